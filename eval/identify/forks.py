"""Work on copies of this process: Python's lock, which threads share, does not hold them up.

In: a function and how many copies. Out: its results; what it raises is raised here. Nothing has to
be loaded again: a copy has all that this process had when it was made. Copies end with this
process, however it ends. Only where the system can copy a process safely, which is Linux. Guarded
by tests/eval/identify/test_forks.py.
"""

import multiprocessing
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from queue import Queue
from typing import Any, Generic, Self, TypeVar

from barcodemae.errors import BarcodeMAEError, WorkerError


Item = TypeVar("Item")
Result = TypeVar("Result")
SECONDS_TO_END = 5.0


def can_fork() -> bool:
    """Whether this system copies processes safely."""
    return sys.platform == "linux"


class Forks(Generic[Item, Result]):
    """Copies of this process, each doing one thing at a time.

    A context manager; called with an item, from any thread, it waits for a copy that has nothing to
    do, and for its result.

    Args:
        work: What is done to an item. Items, results and what it raises are sent between processes.
        count: Number of copies.
    """

    def __init__(self, work: Callable[[Item], Result], count: int) -> None:
        self._work = work
        self._count = count
        self._free: Queue[Any] = Queue()
        self._links: list[Any] = []
        self._processes: list[Any] = []

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("fork")
        pipes = [context.Pipe() for _ in range(self._count)]
        ends = [end for pipe in pipes for end in pipe]
        self._links = [here for here, _ in pipes]
        for _, there in pipes:
            others = [end for end in ends if end is not there]
            process = context.Process(target=serve, args=(self._work, there, others), daemon=True)
            process.start()
            self._processes.append(process)
        for here, there in pipes:
            there.close()
            self._free.put(here)
        return self

    def __exit__(self, *_: object) -> None:
        for link in self._links:
            link.close()
        for process in self._processes:
            process.join(SECONDS_TO_END)
            process.kill()
            process.join()

    def __call__(self, item: Item) -> Result:
        """Let a copy work on an item.

        Raises:
            WorkerError: The copy ended before it was done.
        """
        link = self._free.get()
        try:
            link.send(item)
            is_done, outcome = link.recv()
        except (EOFError, OSError) as error:
            raise WorkerError(
                "a worker process ended before it was done; if memory ran out, use fewer threads"
            ) from error
        finally:
            self._free.put(link)
        if not is_done:
            raise outcome
        result: Result = outcome
        return result


def serve(work: Callable[[Any], Any], link: Connection, others: Sequence[Connection]) -> None:
    """Work on items until the other end of a link is gone.

    Args:
        work: What is done to an item.
        link: Where items come from and results go.
        others: Ends of links that are not this copy's; an end is gone when nobody has it open.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's business
    for other in others:
        other.close()
    while True:
        try:
            item = link.recv()
        except (EOFError, OSError):
            return
        try:
            outcome = (True, work(item))
        except Exception as error:  # raised again by the parent
            outcome = (False, sendable(error))
        try:
            link.send(outcome)
        except BrokenPipeError:
            return


def sendable(error: Exception) -> Exception:
    """Return an exception, or its story if it cannot be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its class does
        if isinstance(error, BarcodeMAEError):
            return BarcodeMAEError(str(error))
        return RuntimeError("".join(traceback.format_exception(error)))
    return error
