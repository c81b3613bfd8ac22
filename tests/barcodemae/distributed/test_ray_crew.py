import os
import signal
import sys

import pytest

from barcodemae import cli
from barcodemae.distributed import ray_crew
from barcodemae.distributed.crew import finish_shards
from barcodemae.distributed.ray_crew import Desk, import_ray, ray_crews
from barcodemae.distributed.shards import Result, Shard, ShardFolder
from barcodemae.errors import SettingsError, WorkerError
from barcodemae.eval.embed import threads
from barcodemae.eval.embed.threads import num_threads


class Squares:
    """Squares numbers; the first to meet 7 is killed over it, and 99 is an error."""

    def __init__(self, mark):
        self.mark = mark

    def __call__(self):
        return self.square

    def square(self, number):
        if number == 7 and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 99:
            raise SettingsError("not 99")
        return Result({"square": number**2, "process": os.getpid()})


def shards(*numbers):
    return [Shard(at, f"key{number}", number) for at, number in enumerate(numbers, start=1)]


@pytest.fixture(scope="module")
def local():
    """Two workers of Ray on this machine."""
    ray = pytest.importorskip("ray")
    ray.cloudpickle.register_pickle_by_value(sys.modules[Squares.__module__])
    with ray_crews("local", size=2) as hire:
        yield hire


@pytest.mark.slow
def test_workers_of_ray_do_every_shard_and_a_killed_one_is_replaced(local, tmp_path):
    folder, mark = ShardFolder(tmp_path / "shards"), tmp_path / "killed"
    with local(Squares(mark)) as crew:
        keys = finish_shards(crew, shards(5, 6, 7, 8, 9), folder)
        assert crew.num_hired == 3
    assert mark.exists()
    found = list(folder.in_order(keys))
    assert [result.facts["square"] for result in found] == [25, 36, 49, 64, 81]
    assert os.getpid() not in {result.facts["process"] for result in found}


@pytest.mark.slow
def test_a_mistake_comes_back_from_a_worker_of_ray(local, tmp_path):
    folder = ShardFolder(tmp_path / "shards")
    with local(Squares(tmp_path / "killed")) as crew, pytest.raises(WorkerError, match="not 99"):
        finish_shards(crew, shards(99), folder)


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_named():
    pytest.importorskip("ray")
    with pytest.raises(SettingsError, match="no Ray cluster can be reached at 'nowhere:1'"):
        ray_crews("nowhere:1").__enter__()


def test_without_ray_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match=r"pip install 'barcodemae\[ray\]'"):
        import_ray()


def test_the_command_says_it_in_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    fasta = tmp_path / "a.fasta"
    fasta.write_text(">a\nACGTACGT\n")
    command = ["embed", str(fasta), "-m", "kmer:3", "-o", str(tmp_path / "a.tsv"), "--ray", "local"]
    assert cli.main(command) == 2
    assert "barcodemae[ray]" in capsys.readouterr().err
    assert not (tmp_path / "a.tsv").exists()


def test_a_worker_of_another_version_is_refused():
    assert Desk("0.0.0").open(lambda: None)[0] == "error"


def test_a_worker_has_one_core_and_computes_on_one_thread(monkeypatch):
    monkeypatch.setattr(threads, "default_threads", lambda: 16)
    desk = Desk(ray_crew.__version__)
    assert desk.open(lambda: lambda load: num_threads()) == ("ready", None)
    with desk.for_life:
        assert desk.do("anything") == ("done", 1)


def test_a_mistake_of_the_user_is_reported_and_not_raised():
    desk = Desk(ray_crew.__version__)

    def make():
        raise SettingsError("no such model")

    assert desk.open(make) == ("error", "no such model")
