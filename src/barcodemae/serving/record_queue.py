"""A bounded queue that joins the records of many requests into batches for the workers.

In: records of requests. Out: what was found about each. Requests that arrive while all workers are
busy are examined together when one is free, which costs no waiting when none are. What a record is
examined with changes nothing about it, so answers never depend on who else asks.
Guarded by tests/barcodemae/serving/test_record_queue.py.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from barcodemae.eval.identify.stream import RECORDS_PER_BATCH
from barcodemae.fasta import SequenceRecord


Found = Any  # what the workers give of a record: a finding or a rejection
Examine = Callable[[Sequence[SequenceRecord]], list[Found]]


class QueueFullError(Exception):
    """There are more records waiting than the server takes on."""


class RecordQueue:
    """Records that wait to be examined.

    Args:
        examine: Function that examines records; it blocks, and is called in threads.
        num_workers: Number of batches that are examined at the same time.
        max_waiting: Largest number of records that wait.
    """

    def __init__(self, examine: Examine, num_workers: int, max_waiting: int) -> None:
        self._examine, self._num_workers, self.max_waiting = examine, num_workers, max_waiting
        self._waiting: deque[tuple[SequenceRecord, asyncio.Future[Found]]] = deque()
        self._is_there_work = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def __len__(self) -> int:
        """Number of records that wait."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin to examine what is put into the queue."""
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._num_workers)]

    async def stop(self) -> None:
        """Stop; what still waits is cancelled."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        while self._waiting:
            self._waiting.popleft()[1].cancel()

    def put(self, records: Sequence[SequenceRecord]) -> list[asyncio.Future[Found]]:
        """Put records into the queue: one future for each, in their order.

        Raises:
            QueueFullError: They are too many beside those that wait already.
        """
        if len(self._waiting) + len(records) > self.max_waiting:
            raise QueueFullError
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Found]] = [loop.create_future() for _ in records]
        self._waiting.extend(zip(records, futures, strict=True))
        self._is_there_work.set()
        return futures

    def _take(self) -> list[tuple[SequenceRecord, asyncio.Future[Found]]]:
        """Take the next batch; records whose request was given up are dropped."""
        batch: list[tuple[SequenceRecord, asyncio.Future[Found]]] = []
        while self._waiting and len(batch) < RECORDS_PER_BATCH:
            record, future = self._waiting.popleft()
            if not future.done():
                batch.append((record, future))
        return batch

    async def _work(self) -> None:
        """Examine batch after batch."""
        while True:
            batch = self._take()
            if not batch:
                self._is_there_work.clear()
                await self._is_there_work.wait()
                continue
            futures = [future for _, future in batch]
            try:
                found = await asyncio.to_thread(self._examine, [record for record, _ in batch])
            except asyncio.CancelledError:
                for future in futures:
                    future.cancel()
                raise
            except Exception as error:  # told to every request that has a record in the batch
                settle(futures, [error] * len(futures))
            else:
                settle(futures, found)


def settle(futures: Sequence[asyncio.Future[Found]], outcomes: Sequence[Any]) -> None:
    """Give each future its outcome, a result or an exception, unless it was given up."""
    for future, outcome in zip(futures, outcomes, strict=True):
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
