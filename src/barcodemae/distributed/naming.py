"""`identify` on many machines: workers that hold library and model name blocks of records.

In: blocks of records. Out: finished batches in input order, which the command writes as it writes
its own. A batch is of the records that one machine would take together, and every worker examines
the same sample first, so each line is that of one machine.
Guarded by tests/barcodemae/distributed/test_naming.py.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import astuple, dataclass, field, replace
from typing import Any

from barcodemae.calls.names import open_library
from barcodemae.cpu_memory import reuse_freed_memory
from barcodemae.distributed.blocks import Block
from barcodemae.distributed.crew import HireCrew, finish_shards
from barcodemae.distributed.sampling import choose_among, open_sampling
from barcodemae.distributed.shards import Result, Shard, ShardFolder, key_of
from barcodemae.errors import SettingsError
from barcodemae.eval.identify.formats import FORMATS
from barcodemae.eval.identify.identification import Identifier, IdentifyOptions
from barcodemae.eval.identify.judge.ladder import Mixture
from barcodemae.eval.identify.resumable import ResultSink, finishing
from barcodemae.eval.identify.stream import (
    RECORDS_PER_BATCH,
    Batch,
    FinishedBatch,
    Worker,
    single_threaded,
    take_sample,
)
from barcodemae.eval.identify.summary import Summary
from barcodemae.fasta import SequenceRecord


COUNTERS = ("records", "reads", "novel", "reasons")


@dataclass(frozen=True, kw_only=True)
class NamingOrder:
    """What a worker opens to name barcodes; called, it opens it.

    Attributes:
        library: Library, as `--reference` takes it, to be found on every machine.
        model: Model, likewise.
        choices: How the model is opened, see `open_library`.
        options: Options of the identification.
        form: Format of the output.
        sample: Records that the mixture is estimated from; not used where it is given.
    """

    library: str
    model: str
    choices: dict[str, Any]
    options: IdentifyOptions
    form: str
    sample: list[SequenceRecord] = field(default_factory=list)

    def __call__(self) -> "NamingWorker":
        """Open library and model."""
        return NamingWorker(self)


class NamingWorker:
    """Names blocks of records.

    Args:
        order: What to open.
    """

    def __init__(self, order: NamingOrder) -> None:
        reuse_freed_memory()
        opened = open_library(order.library, order.model, **order.choices)
        identifier = Identifier(opened.references, opened.embedder, order.options)
        self.for_life = ExitStack()  # settings that hold until the process ends
        self.for_life.enter_context(single_threaded(identifier.embedder))
        sample = take_sample(identifier, lambda: iter(order.sample), 1, forks=False)
        self.mixture = sample.mixture
        self.work = Worker(identifier, FORMATS[order.form], sample)

    def __call__(self, block: Block) -> Result:
        """Name the records of a block."""
        records = block.records()
        summary = Summary()
        lines, rejected, candidates = [], [], []
        for start in range(0, len(records), RECORDS_PER_BATCH):
            done = self.work(Batch(records[start : start + RECORDS_PER_BATCH], ""))
            lines += done.lines
            rejected += done.rejected
            candidates += done.candidates
            summary.merge(done.summary)
        return Result(
            {
                "lines": lines,
                "rejected": rejected,
                "candidates": candidates,
                "count": block.count,
                "mixture": [self.mixture.shares, self.mixture.origin],
                "has_sizes": summary.has_sizes,
                "counts": {name: dict(getattr(summary, name)) for name in COUNTERS},
            }
        )


def finished_batch(result: Result, key: str) -> FinishedBatch:
    """Return the result of a block as the command takes it; its key stands for its records."""
    facts = result.facts
    shares, origin = facts["mixture"]
    counts = {name: Counter(facts["counts"][name]) for name in COUNTERS}
    summary = Summary(Mixture(tuple(shares), origin), has_sizes=facts["has_sizes"], **counts)
    return FinishedBatch(
        facts["lines"], facts["rejected"], facts["count"], key, summary, facts["candidates"]
    )


def name_blocks(
    hire: HireCrew,
    order: NamingOrder,
    blocks: Callable[[], Iterator[Block]],
    settings: dict[str, Any],
    folder: ShardFolder,
) -> Iterator[FinishedBatch]:
    """Name all blocks, then yield what was found in input order.

    Args:
        hire: Function that hires a crew.
        order: What its workers open; the sample is chosen here.
        blocks: Function that begins to read the blocks.
        settings: What determines the lines, beside the sample.
        folder: Where finished blocks are kept.
    """
    if order.options.mixture is None:
        with hire(open_sampling) as crew:
            sample, _ = choose_among(crew, blocks())
        order = replace(order, sample=sample)
    known = [settings, [astuple(record) for record in order.sample]]
    with hire(order) as crew:
        shards = (
            Shard(number, key_of(known, block.content()), block)
            for number, block in enumerate(blocks(), start=1)
        )
        keys = finish_shards(crew, shards, folder)
    yield from map(finished_batch, folder.in_order(keys), keys)


def write_named(
    batches: Iterator[FinishedBatch],
    sink: ResultSink,
    on_batch: Callable[[FinishedBatch, int | None], object],
) -> Summary:
    """Write finished batches, but for those that an interrupted run has written, and count them.

    Args:
        batches: All of the run, in order.
        sink: Destination, not yet closed.
        on_batch: Function called with each batch that is written, and None.

    Returns:
        Counts of all batches.

    Raises:
        SettingsError: The sink resumes a run on other records.
    """
    written, summary = sink.progress.records, Summary()
    with finishing(sink):
        for batch in batches:
            summary.mixture = batch.summary.mixture
            summary.merge(batch.summary)
            if written > 0:
                written -= batch.num_records
                if written <= 0:
                    check_written(batch.digest, sink.progress.digest)
                continue
            sink.append(batch.lines, batch.rejected, batch.num_records, batch.digest)
            on_batch(batch, None)
    return summary


def check_written(key: str, written: str) -> None:
    """Check that the last batch that an interrupted run has written is one of this run.

    Raises:
        SettingsError: It is not.
    """
    if key != written:
        raise SettingsError(
            "the records written so far are not those of this run; run without --resume"
        )
