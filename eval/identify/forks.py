"""A pool of forked worker processes, which do not compete for Python's global lock as threads do.

In: a function and the number of workers. Out: the function's results; an exception that it raises
in a worker is raised again in the caller. Workers load nothing: a fork inherits everything that its
parent had in memory. They exit with the parent, however it ends. Forking is safe on Linux only.
Guarded by tests/eval/identify/test_forks.py.
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
SECONDS_TO_EXIT = 5.0  # before a worker is killed


def can_fork() -> bool:
    """Whether processes can be forked safely on this system."""
    return sys.platform == "linux"


class ForkPool(Generic[Item, Result]):
    """Forked workers, each of which processes one item at a time.

    A context manager that forks the workers on entry. A call with an item, from any thread, waits
    for an idle worker and returns its result.

    Args:
        work: Function applied to each item. Items, results and exceptions are pickled on their way
            between the processes.
        num_workers: Number of worker processes.
    """

    def __init__(self, work: Callable[[Item], Result], num_workers: int) -> None:
        self._work = work
        self._num_workers = num_workers
        self._idle: Queue[Any] = Queue()
        self._connections: list[Any] = []
        self._processes: list[Any] = []

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("fork")
        pipes = [context.Pipe() for _ in range(self._num_workers)]
        ends = [end for pipe in pipes for end in pipe]
        self._connections = [parent_end for parent_end, _ in pipes]
        for _, worker_end in pipes:
            others = [end for end in ends if end is not worker_end]
            process = context.Process(
                target=serve, args=(self._work, worker_end, others), daemon=True
            )
            process.start()
            self._processes.append(process)
        for parent_end, worker_end in pipes:
            worker_end.close()
            self._idle.put(parent_end)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            if kind is None:
                process.join(SECONDS_TO_EXIT)
            process.kill()
            process.join()

    def __call__(self, item: Item) -> Result:
        """Process an item on an idle worker.

        Raises:
            WorkerError: The worker exited before it returned a result.
        """
        connection = self._idle.get()
        try:
            connection.send(item)
            is_done, outcome = connection.recv()
        except (EOFError, OSError) as error:
            raise WorkerError(
                "a worker process ended before it was done; if memory ran out, use fewer threads"
            ) from error
        finally:
            self._idle.put(connection)
        if not is_done:
            raise outcome
        result: Result = outcome
        return result


def serve(work: Callable[[Any], Any], connection: Connection, others: Sequence[Connection]) -> None:
    """Process items until the parent's end of the connection is closed.

    Args:
        work: Function applied to each item.
        connection: Pipe on which items arrive and results leave.
        others: Inherited pipe ends of the other workers. They are closed here, because a reader
            sees the end of a pipe only when no process holds its other end open.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles interrupts
    for other in others:
        other.close()
    while True:
        try:
            item = connection.recv()
        except (EOFError, OSError):
            return
        try:
            outcome = (True, work(item))
        except Exception as error:  # raised again by the parent
            outcome = (False, make_picklable(error))
        try:
            connection.send(outcome)
        except BrokenPipeError:
            return


def make_picklable(error: Exception) -> Exception:
    """Return the exception itself, or one with its message or traceback if it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # a foreign class may raise anything while it is pickled
        if isinstance(error, BarcodeMAEError):
            return BarcodeMAEError(str(error))
        return RuntimeError("".join(traceback.format_exception(error)))
    return error
