import asyncio
import threading

import pytest

from barcodemae.serving.record_queue import QueueFullError, RecordQueue


def in_queue(examine, talk, *, num_workers=1, max_waiting=1000):
    """Run a conversation with a queue."""

    async def run():
        queue = RecordQueue(examine, num_workers, max_waiting)
        queue.start()
        try:
            return await talk(queue)
        finally:
            await queue.stop()

    return asyncio.run(run())


def test_every_record_gets_what_was_found_about_it(records):
    async def talk(queue):
        futures = [queue.put(records(3, start)) for start in (0, 10, 20)]
        return [await asyncio.gather(*some) for some in futures]

    found = in_queue(lambda batch: [record.id for record in batch], talk, num_workers=2)
    assert found == [["r0", "r1", "r2"], ["r10", "r11", "r12"], ["r20", "r21", "r22"]]


def test_records_of_several_requests_are_examined_together_while_the_workers_are_busy(records):
    sizes, may_go_on = [], threading.Event()

    def examine(batch):
        sizes.append(len(batch))
        may_go_on.wait()
        return batch

    async def talk(queue):
        first = queue.put(records(1))
        while not sizes:
            await asyncio.sleep(0)
        others = [queue.put(records(2)) for _ in range(5)]
        may_go_on.set()
        await asyncio.gather(*first, *(future for some in others for future in some))

    in_queue(examine, talk)
    assert sizes == [1, 10]


def test_no_more_records_wait_than_are_allowed(records):
    async def talk(queue):
        with pytest.raises(QueueFullError):
            queue.put(records(6))
        return await asyncio.gather(*queue.put(records(5)))

    assert len(in_queue(lambda batch: batch, talk, max_waiting=5)) == 5


def test_records_of_a_request_that_was_given_up_are_not_examined(records):
    seen = []

    def examine(batch):
        seen.extend(record.id for record in batch)
        return batch

    async def talk(queue):
        gone = queue.put(records(2))
        for future in gone:
            future.cancel()
        await asyncio.gather(*queue.put(records(1, start=7)))

    in_queue(examine, talk)
    assert seen == ["r7"]


def test_a_failure_is_told_to_those_in_the_batch_and_the_next_are_examined(records):
    def examine(batch):
        if batch[0].id == "r0":
            raise ValueError("no")
        return batch

    async def talk(queue):
        outcomes = await asyncio.gather(*queue.put(records(2)), return_exceptions=True)
        return outcomes, await asyncio.gather(*queue.put(records(1, start=5)))

    failed, rest = in_queue(examine, talk)
    assert [str(error) for error in failed] == ["no", "no"]
    assert rest[0].id == "r5"
