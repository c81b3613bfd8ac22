import pytest

from barcodemae.distributed.crew import do_all, finish_shards
from barcodemae.distributed.shards import Result, Shard, ShardFolder
from barcodemae.errors import SettingsError, WorkerError


def squared(number):
    if number < 0:
        raise SettingsError("no number below zero")
    return Result({"square": number * number})


def open_squares():
    return squared


def shards(*numbers):
    return [Shard(at, f"key{number}", number) for at, number in enumerate(numbers, start=1)]


def squares(results):
    return [result.facts["square"] for result in results]


def test_every_shard_is_done_once(stand_in):
    crew = stand_in(open_squares, size=3)
    found = {
        shard.number: result.facts["square"] for shard, result in do_all(crew, shards(5, 6, 7, 8))
    }
    assert found == {1: 25, 2: 36, 3: 49, 4: 64}
    assert sorted(crew.done) == [1, 2, 3, 4]


def test_the_shard_of_a_lost_worker_is_done_by_another_one(stand_in):
    crew = stand_in(open_squares, size=2, deaths={2: 1})
    found = {
        shard.number: result.facts["square"] for shard, result in do_all(crew, shards(5, 6, 7))
    }
    assert found == {1: 25, 2: 36, 3: 49}
    assert sorted(crew.done) == [1, 2, 3]
    assert crew.num_hired == 3


def test_a_shard_over_which_every_worker_dies_ends_the_run(stand_in):
    crew = stand_in(open_squares, deaths={2: 99})
    with pytest.raises(WorkerError, match="3 workers were lost over shard 2"):
        list(do_all(crew, shards(5, 6, 7)))


def test_workers_that_die_over_opening_end_the_run(stand_in):
    crew = stand_in(open_squares, deaths={0: 99})
    with pytest.raises(WorkerError, match="over opening model and library"):
        list(do_all(crew, shards(5)))


def test_a_worker_lost_over_opening_is_replaced(stand_in):
    crew = stand_in(open_squares, size=1, deaths={0: 1})
    assert len(list(do_all(crew, shards(5)))) == 1


def test_an_error_of_a_worker_ends_the_run(stand_in):
    with pytest.raises(SettingsError, match="below zero"):
        list(do_all(stand_in(open_squares), shards(5, -1, 7)))


def test_nobody_is_hired_for_nothing(stand_in):
    crew = stand_in(open_squares)
    assert list(do_all(crew, [])) == []
    assert crew.num_hired == 0


def test_nobody_waits_for_a_worker_that_is_not_needed(stand_in):
    crew = stand_in(open_squares, size=2)
    assert len(list(do_all(crew, shards(5)))) == 1
    assert crew.reports  # the other one may still be waiting for a machine


def test_results_come_in_input_order_whoever_finishes_first(stand_in, tmp_path):
    folder = ShardFolder(tmp_path / "shards")
    crew = stand_in(open_squares, size=3, deaths={1: 1})
    keys = finish_shards(crew, shards(5, 6, 7, 8), folder)
    assert crew.done != sorted(crew.done)
    assert squares(folder.in_order(keys)) == [25, 36, 49, 64]


def test_a_second_run_repeats_only_what_is_not_finished(stand_in, tmp_path):
    folder = ShardFolder(tmp_path / "shards")
    with pytest.raises(WorkerError):
        finish_shards(stand_in(open_squares, size=1, deaths={3: 99}), shards(5, 6, 7, 8), folder)
    again = stand_in(open_squares, size=1)
    keys = finish_shards(again, shards(5, 6, 7, 8), ShardFolder(tmp_path / "shards"))
    assert again.done == [3, 4]
    assert squares(folder.in_order(keys)) == [25, 36, 49, 64]
