import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from barcodemae.errors import BarcodeMAEError, DataError, WorkerError
from barcodemae.eval.identify import forks
from barcodemae.eval.identify.forks import ForkPool, can_fork


pytestmark = pytest.mark.skipif(not can_fork(), reason="processes are not copied here")


def test_results_come_from_the_requested_number_of_other_processes():
    with ForkPool(lambda item: (os.getpid(), item), 2) as work:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(work, range(8)))
        assert [item for _, item in found] == list(range(8))
        assert len({process for process, _ in found} - {os.getpid()}) == 2


def test_a_worker_inherits_what_its_parent_has_even_if_it_cannot_be_pickled():
    lock = threading.Lock()
    with ForkPool(lambda item: (lock.locked(), item), 1) as work:
        assert work("x") == (False, "x")


class Strange(Exception):
    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")


def fail(item):
    if item == "data":
        raise DataError("file", "no barcode", 7)
    raise Strange("this", item)


def test_an_exception_in_a_worker_is_raised_in_the_parent_and_the_worker_lives_on():
    with ForkPool(fail, 1) as work:
        with pytest.raises(BarcodeMAEError, match="file, line 7: no barcode"):
            work("data")
        with pytest.raises(RuntimeError, match="this and that"):  # cannot be sent as it is
            work("that")


def test_a_killed_worker_is_reported():
    with (
        ForkPool(lambda item: os.kill(os.getpid(), signal.SIGKILL), 1) as work,
        pytest.raises(WorkerError, match="ended before it was done"),
    ):
        work(0)


@pytest.fixture
def interruptible():
    """A process that was started in the background ignores interrupts from the beginning."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_workers_ignore_interrupts():
    """Ctrl-C reaches the workers too: the terminal sends it to all processes."""
    with ForkPool(lambda item: (os.kill(os.getpid(), signal.SIGINT), item)[1], 1) as work:
        assert work("x") == "x"


def test_workers_exit_with_their_block():
    with ForkPool(lambda _: os.getpid(), 3) as work:
        processes = [work(0) for _ in range(3)]
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_a_worker_that_does_not_exit_is_killed(monkeypatch):
    monkeypatch.setattr(forks, "SECONDS_TO_EXIT", 0.0)
    with ForkPool(lambda _: signal.pause(), 1) as work:
        work._connections[0].send("work without an end")
        (process,) = work._processes
    assert process.exitcode == -signal.SIGKILL


PARENT = """
import os, sys
from barcodemae.eval.identify import forks
from barcodemae.eval.identify.forks import ForkPool
with ForkPool(lambda _: os.getpid(), 2) as work:
    print(work(0), work(0), flush=True)
    sys.stdin.read()
"""


def is_running(process):
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_workers_exit_if_their_parent_is_killed():
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        workers = [int(process) for process in parent.stdout.readline().split()]
        assert all(map(is_running, workers))
        parent.kill()
    while any(map(is_running, workers)):  # pytest's own timeout ends this
        time.sleep(0.05)
