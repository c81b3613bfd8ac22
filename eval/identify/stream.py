"""Identification of a file of any size: batches of records in parallel, in constant memory.

In: records, an `Identifier`, a sink. Out: for every record one line of results or one line in the
list of rejected records, in input order. The records are read twice: a random part first, from
which the mixture of the sample is estimated; then all of them. Each batch is processed by one
thread, or one forked worker, in which the numerical libraries are single-threaded too; so the
number of threads changes no result. Guarded by tests/eval/identify/test_stream.py.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import blake2b
from heapq import nsmallest
from itertools import count, islice
from operator import itemgetter
from typing import Any

from threadpoolctl import threadpool_limits

from barcodemae.cpu_memory import return_freed_memory
from barcodemae.errors import SettingsError
from barcodemae.eval.embed.embedder import Embedder
from barcodemae.eval.embed.threads import one_thread_each
from barcodemae.eval.identify.candidates import candidate_lines
from barcodemae.eval.identify.exchange.provenance import Provenance
from barcodemae.eval.identify.findings import Finding
from barcodemae.eval.identify.forks import ForkPool, can_fork
from barcodemae.eval.identify.formats import Format
from barcodemae.eval.identify.identification import Identifier, Rejection
from barcodemae.eval.identify.judge.ladder import Mixture
from barcodemae.eval.identify.resumable import ResultSink, finishing
from barcodemae.eval.identify.summary import Summary
from barcodemae.eval.search.products import bf16_products
from barcodemae.fasta import RecordDigest, SequenceRecord
from barcodemae.output.cells import row_of


MAX_SAMPLED = 1000  # records that the mixture is estimated from
RECORDS_PER_BATCH = 256  # fixed, so that no setting decides which records are computed together
BATCHES_PER_TRIM = 32  # between two returns of freed memory to the system; more often costs time
BATCHES_PER_THREAD = 3  # pending or finished ones; a limit, so that memory stays constant


@dataclass(frozen=True)
class Batch:
    """Records that are identified together.

    Attributes:
        records: Records in input order.
        digest: Hash of all records of the input up to the last of these.
    """

    records: list[SequenceRecord]
    digest: str


@dataclass(frozen=True)
class FinishedBatch:
    """Results of a batch.

    Attributes:
        lines: Lines of the output.
        rejected: Lines of the list of rejected records.
        num_records: Number of records in the batch.
        digest: Hash of all records of the input up to the last of the batch.
        summary: Counts of the batch.
        candidates: Lines of the table of candidates.
    """

    lines: list[str]
    rejected: list[str]
    num_records: int
    digest: str
    summary: Summary
    candidates: list[str]


def can_copy(embedder: Embedder) -> bool:
    """Whether forked workers may use an embedder: not if its model is on a GPU."""
    return can_fork() and embedder.device.partition(":")[0] == "cpu"


def skip_finished_records(
    records: Iterator[SequenceRecord], digest: RecordDigest, done: int, expected: str
) -> None:
    """Skip the records that an interrupted run has finished.

    Args:
        records: All records of the input; advanced past the finished ones.
        digest: Hash of the records; the finished ones are added to it.
        done: Number of finished records.
        expected: Hash of these records in the interrupted run.

    Raises:
        SettingsError: They are not the records of the interrupted run.
    """
    count = 0
    for record in islice(records, done):
        digest.add(record)
        count += 1
    if count < done or (done and digest.value() != expected):
        raise SettingsError(
            f"the first {done} records are not those of the interrupted run; run without --resume"
        )


@dataclass(frozen=True)
class Sample:
    """Part of the records, examined before the others, and the mixture estimated from it.

    Attributes:
        mixture: Mixture of the sample.
        findings: Hash of an examined record's id and letters -> what was found.
        total: Number of all records; None if they were not counted.
    """

    mixture: Mixture
    findings: dict[int, Finding | Rejection]
    total: int | None = None


def hash_record(record: SequenceRecord) -> int:
    """Hash the letters and the id of a record to 64 bits, whatever its place in the file."""
    content = f"{record.sequence}\n{record.id}".encode("utf-8", "surrogateescape")
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "little")


def choose_sample(records: Iterator[SequenceRecord]) -> tuple[list[SequenceRecord], int]:
    """Choose the records with the lowest hashes: a random part that does not depend on their order.

    Args:
        records: All records.

    Returns:
        At most `MAX_SAMPLED` records, in the order of their hashes, and the number of all.
    """
    counter = count()
    hashed = ((hash_record(record), record) for record, _ in zip(records, counter, strict=False))
    lowest = nsmallest(MAX_SAMPLED, hashed, key=itemgetter(0))
    return [record for _, record in lowest], next(counter)


class Worker:
    """Identifies batches and formats the results as text.

    Args:
        identifier: Identifier with its library, model and options.
        form: Text format of the output.
        sample: Records that are examined already, and the mixture.
    """

    def __init__(self, identifier: Identifier, form: Format, sample: Sample) -> None:
        self.identifier = identifier
        self.form = form
        self.sample = sample
        self.num_done = 0
        self._provenance: Provenance | None = None

    def __call__(self, batch: Batch) -> FinishedBatch:
        """Identify one batch."""
        lines, rejected, candidates = [], [], []
        summary = Summary()
        found = self.examine(batch.records)
        for record, part in zip(batch.records, found, strict=True):
            named = self.identifier.conclude(part, self.sample.mixture)
            summary.add(record, named)
            if isinstance(named, Rejection):
                rejected.append(row_of([str(record.number), named.id, named.reason]))
            else:
                lines.append(self.form.write(named, record, self.provenance))
            if isinstance(part, Finding) and part.match is not None:
                library = self.identifier.library
                candidates += candidate_lines(part.id, part.match.candidates, library)
        self.num_done += 1
        if self.num_done % BATCHES_PER_TRIM == 0:
            return_freed_memory()
        return FinishedBatch(lines, rejected, len(batch.records), batch.digest, summary, candidates)

    def provenance(self) -> Provenance:
        """Say where names come from."""
        if self._provenance is None:
            made_by = self.identifier
            self._provenance = Provenance.of(
                made_by.library, made_by.embedder, made_by.options.thresholds
            )
        return self._provenance

    def examine(self, records: list[SequenceRecord]) -> list[Finding | Rejection]:
        """Examine records, but for those that were examined for the sample."""
        known = [self.sample.findings.get(hash_record(record)) for record in records]
        new = [row for row, found in enumerate(known) if found is None]
        for row, found in zip(new, self.identifier.examine([records[r] for r in new]), strict=True):
            known[row] = found
        return [found for found in known if found is not None]


@contextmanager
def single_threaded(embedder: Embedder) -> Iterator[None]:
    """Keep the numerical libraries to the calling thread, with matrix products in bf16 if allowed.

    They are allowed if the model is in bf16. A float32 model computes products of its own here,
    which must stay exact.
    """
    products = bf16_products() if embedder.dtype == "bfloat16" else nullcontext()
    with one_thread_each(), threadpool_limits(limits=1, user_api="blas"), products:
        yield


def identify_stream(
    identifier: Identifier,
    read: Callable[[], Iterator[SequenceRecord]],
    form: Format,
    sink: ResultSink,
    *,
    sample_from: Callable[[], Iterator[SequenceRecord]] | None = None,
    threads: int = 1,
    forks: bool = False,
    on_batch: Callable[["FinishedBatch", int | None], object] | None = None,
) -> Summary:
    """Identify all records and finish the sink.

    Args:
        identifier: Identifier with its library, model and options.
        read: Function that begins to read the query records; called twice.
        form: Text format of the output.
        sink: Destination of the results; it knows how many records are done already.
        sample_from: Function that begins to read what the mixture is estimated from; None for the
            records themselves.
        threads: Number of batches that are processed at the same time.
        forks: Whether each of several threads may fork a worker process, which is faster. Not
            safe if the caller has threads that hold locks.
        on_batch: Function called with each finished batch, and the number of all records if known.

    Returns:
        Counts of what the records of this run were named.

    Raises:
        SettingsError: Fewer than one thread, or the sink resumes a run on other records.
    """
    if not identifier.embedder.shareable:
        threads = 1
    digest = RecordDigest()
    with finishing(sink):
        check_threads(threads)
        forks = forks and threads > 1 and can_copy(identifier.embedder)
        with single_threaded(identifier.embedder):
            sample = take_sample(identifier, sample_from or read, threads, forks=forks)
            summary = Summary(mixture=sample.mixture)
            records = read()
            skip_finished_records(records, digest, sink.progress.records, sink.progress.digest)
            work = Worker(identifier, form, sample)
            batches = into_batches(records, digest)
            for batch in work_on(work, batches, threads, forks=forks):
                sink.append(batch.lines, batch.rejected, batch.num_records, batch.digest)
                summary.merge(batch.summary)
                if on_batch is not None:
                    on_batch(batch, sample.total)
    return summary


def check_threads(threads: int) -> None:
    """Refuse less than one thread.

    Raises:
        SettingsError: There is less than one.
    """
    if threads < 1:
        raise SettingsError(f"at least one thread is needed, got {threads}")


def take_sample(
    identifier: Identifier,
    read: Callable[[], Iterator[SequenceRecord]],
    threads: int,
    *,
    forks: bool,
) -> Sample:
    """Examine a random part of the records and estimate the mixture; nothing if it is given."""
    given = identifier.options.mixture
    if given is not None:
        return Sample(given, {})
    records, total = choose_sample(read())
    batches = (
        records[start : start + RECORDS_PER_BATCH]
        for start in range(0, len(records), RECORDS_PER_BATCH)
    )
    found = [f for part in work_on(identifier.examine, batches, threads, forks=forks) for f in part]
    mixture = identifier.mixture_of([part for part in found if isinstance(part, Finding)])
    keys = [hash_record(record) for record in records]
    return Sample(mixture, dict(zip(keys, found, strict=True)), total)


def work_on(
    work: Callable[[Any], Any], items: Iterable[Any], threads: int, *, forks: bool
) -> Iterator[Any]:
    """Process items in parallel and yield the results in the order of the items.

    Args:
        work: Function applied to each item.
        items: Items.
        threads: Number of items that are processed at the same time.
        forks: Whether each thread forks a worker process.
    """
    with (
        ForkPool(work, threads) if forks else nullcontext(work) as process,
        thread_pool(threads) as pool,
    ):
        futures = (pool.submit(process, item) for item in items)
        yield from in_order(futures, BATCHES_PER_THREAD * threads)


@contextmanager
def thread_pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Give a pool that an error or an interrupt ends at once, without what is still to be done."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def into_batches(records: Iterator[SequenceRecord], digest: RecordDigest) -> Iterator[Batch]:
    """Group the records into batches, and add them to the hash."""
    while batch := list(islice(records, RECORDS_PER_BATCH)):
        for record in batch:
            digest.add(record)
        yield Batch(batch, digest.value())


def in_order(batches: Iterator[Future[Any]], limit: int) -> Iterator[Any]:
    """Yield finished batches in input order, while at most `limit` are submitted ahead."""
    pending: deque[Future[Any]] = deque()
    for batch in batches:
        pending.append(batch)
        if len(pending) >= limit:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()
