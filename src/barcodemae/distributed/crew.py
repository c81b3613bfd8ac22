"""Who does what: shards are handed to workers, and those of a lost worker to another one.

In: a crew, whose workers are processes anywhere, and shards. Out: each shard with its result, in
the order in which they are finished. A worker has one shard at a time, so a slow one holds up
nothing but its own. A lost worker is replaced; a shard over which several die ends the run, and so
does an error that a worker reports. Guarded by tests/barcodemae/distributed/test_crew.py.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from barcodemae.distributed.shards import Shard, ShardFolder
from barcodemae.errors import WorkerError


MAX_ATTEMPTS = 3  # at one shard, or at opening model and library, if each time a worker is lost


@dataclass(frozen=True)
class Report:
    """What a crew hears of a worker.

    Attributes:
        worker: Number of the worker.
        result: Result of its shard; None of a worker that has opened what it needs.
        error: Why it cannot go on; None if it can.
        is_lost: Whether the worker is no more, by no fault of the shard that is known.
    """

    worker: int
    result: Any = None
    error: BaseException | None = None
    is_lost: bool = False


class Crew(Protocol):
    """Workers, each of which opens what it needs and then computes one shard at a time.

    Attributes:
        size: Number of workers that are wanted at the same time.
    """

    size: int

    def hire(self) -> int:
        """Begin a worker, and return its number; it reports when it is ready."""

    def hand(self, worker: int, shard: Shard) -> None:
        """Give a worker that is ready a shard; it reports when that is finished."""

    def dismiss(self, worker: int) -> None:
        """End a worker that has nothing to do."""

    def wait(self) -> Report:
        """Wait until a worker reports."""

    def close(self) -> None:
        """End all workers."""


Make = Callable[[], Callable[[Any], Any]]  # opens what a worker needs: a function of a shard's load
HireCrew = Callable[[Make], AbstractContextManager[Crew]]


def do_all(crew: Crew, shards: Iterable[Shard]) -> Iterator[tuple[Shard, Any]]:
    """Have all shards computed.

    Args:
        crew: The workers.
        shards: Shards; as many are read ahead as there are workers.

    Yields:
        A shard and its result, as soon as it is finished.

    Raises:
        WorkerError: Workers were lost over the same shard, or while they opened model and library,
            again and again.
    """
    ahead = iter(shards)
    first = next(ahead, None)
    if first is None:  # nothing to do, so nobody is hired
        return
    again: deque[Shard] = deque([first])
    at: dict[int, Shard | None] = {crew.hire(): None for _ in range(crew.size)}  # None: opening
    lost: Counter[int] = Counter()
    following: Shard | None = first
    while following is not None or again or any(at.values()):  # nobody waits for one who opens
        report = crew.wait()
        shard = at.pop(report.worker)
        if report.is_lost:
            count_loss(lost, shard)
            if shard is not None:
                again.append(shard)
            at[crew.hire()] = None
            continue
        if report.error is not None:
            raise report.error
        following = again.popleft() if again else next(ahead, None)
        if following is None:
            crew.dismiss(report.worker)
        else:
            crew.hand(report.worker, following)
            at[report.worker] = following
        if shard is not None:
            yield shard, report.result


def count_loss(lost: Counter[int], shard: Shard | None) -> None:
    """Count a lost worker against its shard, or against opening, which is number 0.

    Raises:
        WorkerError: It was one too many.
    """
    number = 0 if shard is None else shard.number
    lost[number] += 1
    if lost[number] >= MAX_ATTEMPTS:
        what = f"shard {number}" if number else "opening model and library"
        raise WorkerError(
            f"{MAX_ATTEMPTS} workers were lost over {what}; is there memory for each of them?"
        )


def finish_shards(crew: Crew, shards: Iterable[Shard], folder: ShardFolder) -> list[str]:
    """Have all shards computed that are not in the folder yet.

    Returns:
        The key of each shard, in order.

    Raises:
        WorkerError: As for `do_all`.
    """
    keys: list[str] = []
    for shard, result in do_all(crew, folder.missing(shards, keys)):
        folder.save(shard.number, shard.key, result)
    return keys
