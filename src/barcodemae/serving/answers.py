"""The answer to a request: the lines that `identify` writes for a file of the same records.

In: a question, and a queue that examines records. Out: chunks of text. The mixture is estimated
from the records of the request, which are a sample of their own; if it is given, lines leave as
soon as they are known. Rejected records follow the others, each with number, id and reason: in
`#` lines, or as objects of JSON Lines. Guarded by tests/barcodemae/serving/test_answers.py.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

from barcodemae.eval.identify.findings import Finding, Identification, conclude
from barcodemae.eval.identify.formats import FORMATS
from barcodemae.eval.identify.identification import Identifier, Rejection
from barcodemae.eval.identify.judge.ladder import Mixture
from barcodemae.eval.identify.stream import RECORDS_PER_BATCH, choose_sample
from barcodemae.eval.identify.summary import Summary
from barcodemae.output.cells import json_line, row_of
from barcodemae.serving.questions import Question
from barcodemae.serving.record_queue import Found, RecordQueue


async def answer(
    question: Question,
    identifier: Identifier,
    queue: RecordQueue,
    on_done: Callable[[Summary], None],
) -> AsyncIterator[str]:
    """Examine the records of a question and name them.

    Args:
        question: The question.
        identifier: Identifier of the library, for names; the workers have their own.
        queue: Queue of records that wait for the workers.
        on_done: Function called with the counts of the answer when it is complete.

    Yields:
        Text, in the order of the records.

    Raises:
        QueueFullError: Too many records are waiting; nothing has been yielded then.
        WorkerError: The records could not be examined.
    """
    futures = queue.put(question.records)
    try:
        mixture = question.mixture
        if mixture is None:
            sampled, _ = choose_sample(iter(question.records))
            places = {id(record): place for place, record in enumerate(question.records)}
            found = await asyncio.gather(*(futures[places[id(record)]] for record in sampled))
            mixture = identifier.mixture_of([part for part in found if isinstance(part, Finding)])
        form = FORMATS[question.format]
        summary, rejected = Summary(mixture=mixture), []
        yield form.header
        for start in range(0, len(futures), RECORDS_PER_BATCH):
            block = slice(start, start + RECORDS_PER_BATCH)
            parts: list[Found] = await asyncio.gather(*futures[block])
            lines = []
            for record, part in zip(question.records[block], parts, strict=True):
                named = name(part, identifier, question, mixture)
                summary.add(record, named)
                if isinstance(named, Rejection):
                    rejected.append(rejection_line(named, question.format))
                else:
                    lines.append(form.line(named))
            yield "".join(lines)
            await asyncio.sleep(0)  # others get their turn
        yield "".join(rejected)
        on_done(summary)
    finally:  # the request was given up, or one of its batches failed
        for future in futures:
            future.cancel()


def name(
    part: Found, identifier: Identifier, question: Question, mixture: Mixture
) -> Identification | Rejection:
    """Name what was found of one record by the thresholds of its request."""
    if isinstance(part, Rejection):
        return part
    return conclude(part, identifier.library, mixture, question.thresholds)


def rejection_line(rejected: Rejection, output_format: str) -> str:
    """Write a rejected record as a line of an answer."""
    if output_format == "jsonl":
        return json_line(
            {"id": rejected.id, "number": rejected.number, "rejected": rejected.reason}
        )
    return "# rejected: " + row_of([str(rejected.number), rejected.id, rejected.reason])
