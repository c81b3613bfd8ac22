import pytest

from barcodemae.eval.report.averages import Cell, average, comparable
from barcodemae.eval.report.records import ResultRecord


def record(value, **fields):
    return ResultRecord(model="m", dataset="d", probe="zsc", metric="ami", value=value, **fields)


def test_a_mean_counts_its_runs_and_seeds():
    runs = [
        record(
            50.0 + seed + training, seed=seed, training_seed=training, low=40.0, high=60.0 + seed
        )
        for seed in (3, 5)
        for training in (0, 1, 2)
    ]
    assert average(runs) == Cell(55.0, 40.0, 64.0, num_runs=6, num_seeds=2, num_training_seeds=3)
    assert average(runs).repeats == "2 seed(s), 3 training seed(s)"


def test_one_run_stays_as_it_is():
    assert average([record(33.3)]) == Cell(33.3, None, None)
    assert average([record(33.3)]).repeats == "1 seed(s)"


def test_if_a_run_was_measured_twice_the_later_record_counts():
    runs = [record(10.0, seed=0), record(30.0, seed=1), record(50.0, seed=0)]
    assert average(runs).value == pytest.approx(40.0)
    assert average(runs).num_runs == 2


def test_similarity_and_number_format_may_differ_within_a_column():
    protocol = {"rank": "genus", "similarity": "cosine", "search": "x", "dtype": "y"}
    assert comparable({**protocol, "converged": True}) == {"rank": "genus"}
