import os
import signal
from concurrent.futures.process import BrokenProcessPool

import pytest

from barcodemae.errors import WorkerError
from barcodemae.fasta import SequenceRecord
from barcodemae.serving.workers import Workers


@pytest.fixture(scope="module")
def workers(opened):
    made = Workers(opened, 1)
    made.wait_until_ready()
    yield made
    made.close()


def record_of(folder):
    _, name, letters = (folder / "queries.fasta").read_text().replace(">", "\n").split("\n")[:3]
    return SequenceRecord(1, name, name, letters)


def test_workers_examine_as_an_identifier_does(workers, identifier, folder):
    record = record_of(folder)
    (found,), (expected,) = workers([record]), identifier.examine([record])
    assert found.id == expected.id
    assert found.match.nearest == expected.match.nearest
    assert found.match.identity == expected.match.identity


def test_a_killed_worker_is_replaced_and_its_records_are_examined_all_the_same(workers, folder):
    record = record_of(folder)
    workers([record])
    before = workers.num_replaced
    for process in list(workers._pool._processes):
        os.kill(process, signal.SIGKILL)
    assert workers([record])[0].id == record.id
    assert workers.num_replaced == before + 1


class DeadPool:
    """A pool whose processes die over whatever they are given."""

    def submit(self, *_):
        raise BrokenProcessPool("killed")

    def shutdown(self, **_):
        pass


def test_records_that_kill_every_worker_end_in_an_error(opened, folder, monkeypatch):
    monkeypatch.setattr(Workers, "_new_pool", lambda self: DeadPool())
    workers = Workers(opened, 1)
    with pytest.raises(WorkerError, match="died 3 times"):
        workers([record_of(folder)])
    assert workers.num_replaced == 3
