"""Identification of a file of any size: batches of records in parallel, in constant memory.

In: records, an `Identifier`, a sink. Out: for every record one line of results or one line in the
list of rejected records, in input order. Each batch is processed by one thread, or one forked
worker, in which the numerical libraries are single-threaded too; so the number of threads changes
no result. Guarded by tests/eval/identify/test_stream.py.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice

from threadpoolctl import threadpool_limits

from barcodemae.cpu_memory import return_freed_memory
from barcodemae.errors import SettingsError
from barcodemae.eval.embed.embedder import Embedder
from barcodemae.eval.embed.threads import one_thread_each
from barcodemae.eval.identify.forks import ForkPool, can_fork
from barcodemae.eval.identify.formats import Format
from barcodemae.eval.identify.identification import Identification, Identifier, Rejection
from barcodemae.eval.identify.progress import RecordDigest
from barcodemae.eval.identify.resumable import ResultSink
from barcodemae.eval.search.products import bf16_products
from barcodemae.fasta import SequenceRecord
from barcodemae.output.cells import row_of


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
    """

    lines: list[str]
    rejected: list[str]
    num_records: int
    digest: str


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


class Worker:
    """Identifies batches and formats the results as text.

    Args:
        identifier: Identifier with its library, model and options.
        form: Text format of the output.
    """

    def __init__(self, identifier: Identifier, form: Format) -> None:
        self.identifier = identifier
        self.form = form
        self.num_done = 0

    def __call__(self, batch: Batch) -> FinishedBatch:
        """Identify one batch."""
        lines, rejected = [], []
        for found in self.identifier.identify(batch.records):
            if isinstance(found, Rejection):
                rejected.append(row_of([str(found.number), found.id, found.reason]))
            elif isinstance(found, Identification):
                lines.append(self.form.line(found))
        self.num_done += 1
        if self.num_done % BATCHES_PER_TRIM == 0:
            return_freed_memory()
        return FinishedBatch(lines, rejected, len(batch.records), batch.digest)


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
        identifier: Identifier with its library, model and options.
        records: Query records.
        form: Text format of the output.
        sink: Destination of the results; it knows how many records are done already.
        threads: Number of batches that are processed at the same time.
        forks: Whether each of several threads may fork a worker process, which is faster. Not
            safe if the caller has threads that hold locks.
        on_progress: Function called with the number of finished records.

    Raises:
        SettingsError: Fewer than one thread, or the sink resumes a run on other records.
    """
    if not identifier.embedder.shareable:
        threads = 1
    digest = RecordDigest()
    try:
        check_threads(threads)
        skip_finished_records(records, digest, sink.progress.records, sink.progress.digest)
        work = Worker(identifier, form)
        forks = forks and threads > 1 and can_copy(identifier.embedder)
        with (
            single_threaded(identifier.embedder),
            ForkPool(work, threads) if forks else nullcontext(work) as work_on,
            thread_pool(threads) as pool,
        ):
            batches = (pool.submit(work_on, batch) for batch in into_batches(records, digest))
            for batch in in_order(batches, BATCHES_PER_THREAD * threads):
                sink.append(batch.lines, batch.rejected, batch.num_records, batch.digest)
                if on_progress is not None:
                    on_progress(sink.progress.records)
        sink.finish()
    except BaseException as error:
        sink.stop(error)
        raise
    finally:
        sink.close()


def check_threads(threads: int) -> None:
    """Refuse less than one thread.

    Raises:
        SettingsError: There is less than one.
    """
    if threads < 1:
        raise SettingsError(f"at least one thread is needed, got {threads}")


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


def in_order(batches: Iterator[Future[FinishedBatch]], limit: int) -> Iterator[FinishedBatch]:
    """Yield finished batches in input order, while at most `limit` are submitted ahead."""
    pending: deque[Future[FinishedBatch]] = deque()
    for batch in batches:
        pending.append(batch)
        if len(pending) >= limit:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()
