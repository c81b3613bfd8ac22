"""Identify a file of any size: in units of records, several at once, in constant memory.

In: records, an `Identifier`, a sink. Out: one line per record, in order, or a line of the rejected
ones; never neither. A unit is worked on by one thread, or one copy of this process, whose numerical
libraries use no other, so how many there are changes nothing. Guarded by
tests/eval/identify/test_stream.py.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice

import torch
from threadpoolctl import threadpool_limits

from barcodemae.cpu_memory import return_freed_memory
from barcodemae.errors import SettingsError
from barcodemae.eval.embed.embedder import Embedder
from barcodemae.eval.embed.threads import one_thread_each
from barcodemae.eval.identify.forks import Forks, can_fork
from barcodemae.eval.identify.formats import Format
from barcodemae.eval.identify.identification import Identification, Identifier, Rejection
from barcodemae.eval.identify.resumable import RecordDigest, ResultSink
from barcodemae.eval.search.reference_search import coarse_products
from barcodemae.fasta import SequenceRecord


UNIT = 256  # records; fixed, so that no setting decides which are computed together
UNITS_PER_TRIM = 32  # after so many, freed memory is given back; oftener takes time
UNITS_PER_THREAD = 3  # waiting or done: memory does not grow with the file


@dataclass(frozen=True)
class Unit:
    """Some records.

    Attributes:
        records: In order.
        digest: Of all records up to the last of them.
    """

    records: list[SequenceRecord]
    digest: str


@dataclass(frozen=True)
class FinishedUnit:
    """Results of some records.

    Attributes:
        lines: Of the output.
        rejected: Of the list of rejected records.
        num_records: That went in.
        digest: Of all records so far.
    """

    lines: list[str]
    rejected: list[str]
    num_records: int
    digest: str


def can_copy(embedder: Embedder) -> bool:
    """Whether copies of this process may use an embedder: not one whose model is on a GPU."""
    return can_fork() and torch.device(embedder.device).type == "cpu"


def skip_done(
    records: Iterator[SequenceRecord], digest: RecordDigest, done: int, expected: str
) -> None:
    """Pass over the records that an earlier run finished.

    Raises:
        SettingsError: They are not the same records.
    """
    count = 0
    for record in islice(records, done):
        digest.add(record)
        count += 1
    if count < done or (done and digest.value() != expected):
        raise SettingsError(
            f"the first {done} records are not those of the interrupted run; run without --resume"
        )


class Worker:
    """Identifies units and writes them as text.

    Args:
        identifier: Library, model and options.
        form: Text format.
    """

    def __init__(self, identifier: Identifier, form: Format) -> None:
        self.identifier = identifier
        self.form = form
        self.num_done = 0

    def __call__(self, unit: Unit) -> FinishedUnit:
        """Identify one unit."""
        lines, rejected = [], []
        with torch.inference_mode():
            for found in self.identifier.identify(unit.records):
                if isinstance(found, Rejection):
                    rejected.append(f"{found.number}\t{found.id}\t{found.reason}\n")
                elif isinstance(found, Identification):
                    lines.append(self.form.line(found))
        self.num_done += 1
        if self.num_done % UNITS_PER_TRIM == 0:
            return_freed_memory()
        return FinishedUnit(lines, rejected, len(unit.records), unit.digest)


@contextmanager
def single_threaded(embedder: Embedder) -> Iterator[None]:
    """Let the numerical libraries compute on the calling thread alone, as fast as they may."""
    # A model in float32 has products in float32 itself, which are to stay so.
    coarse = coarse_products() if embedder.dtype == "bfloat16" else nullcontext()
    with one_thread_each(), threadpool_limits(limits=1, user_api="blas"), coarse:
        yield


def identify_stream(
    identifier: Identifier,
    records: Iterator[SequenceRecord],
    form: Format,
    sink: ResultSink,
    *,
    threads: int = 1,
    forks: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> None:
    """Identify all records and finish the sink.

    Args:
        identifier: Library, model and options.
        records: The queries.
        form: Text format.
        sink: Where results go; it knows how many records are done already.
        threads: Units worked on at the same time.
        forks: Whether each of several threads may have a copy of this process to work on, which is
            faster; not if the caller has threads that hold locks.
        on_progress: Called with the number of records done.

    Raises:
        SettingsError: No thread, or the sink continues a run on other records.
    """
    if not identifier.embedder.shareable:
        threads = 1
    digest = RecordDigest()
    try:
        if threads < 1:
            raise SettingsError(f"at least one thread is needed, got {threads}")
        skip_done(records, digest, sink.progress.records, sink.progress.digest)
        work = Worker(identifier, form)
        forks = forks and threads > 1 and can_copy(identifier.embedder)
        with (
            single_threaded(identifier.embedder),
            Forks(work, threads) if forks else nullcontext(work) as work_on,
            ThreadPoolExecutor(threads) as pool,
        ):
            units = (pool.submit(work_on, unit) for unit in cut(records, digest))
            for unit in in_order(units, UNITS_PER_THREAD * threads):
                sink.append(unit.lines, unit.rejected, unit.num_records, unit.digest)
                if on_progress is not None:
                    on_progress(sink.progress.records)
        sink.finish()
    finally:
        sink.close()


def cut(records: Iterator[SequenceRecord], digest: RecordDigest) -> Iterator[Unit]:
    """Cut the records into units."""
    while unit := list(islice(records, UNIT)):
        for record in unit:
            digest.add(record)
        yield Unit(unit, digest.value())


def in_order(units: Iterator[Future[FinishedUnit]], limit: int) -> Iterator[FinishedUnit]:
    """Give finished units in order, with at most `limit` begun and not given."""
    waiting: deque[Future[FinishedUnit]] = deque()
    for unit in units:
        waiting.append(unit)
        if len(waiting) >= limit:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
