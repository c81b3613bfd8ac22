"""Preparation of a data set: metadata dumps become one clean, partitioned folder.

    barcodemae prepare SOURCE... --out DIR

In: files in the formats of the field. Out: the folder described in `dataset_writer.py`, written
completely or not at all, and its description. Rows are streamed: memory holds a digest and label
numbers of each barcode kept, not its letters. Guarded by tests/training/data/test_prepare.py,
measured by benchmarks/prepare.py.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from barcodemae.dataset import DUPLICATES, RANKS, REJECTED, SPLITS, dataset_hash
from barcodemae.errors import DataError, SettingsError
from barcodemae.files import staged_folder
from barcodemae.training.data.cleaning import CleaningRules
from barcodemae.training.data.dataset_record import checksums, record_rows, record_source
from barcodemae.training.data.dataset_writer import (
    DESCRIPTION_FILE,
    PartitionWriter,
    RowList,
    write_description,
)
from barcodemae.training.data.duplicates import COMPARED_LABELS, DEDUP_SCOPES
from barcodemae.training.data.leakage import leakage_report
from barcodemae.training.data.partitions import LabelledRows, PartitionPlan, make_partitions
from barcodemae.training.data.progress import (
    Position,
    Segments,
    segments_kept,
    segments_outlived,
    settings_of,
    spooled,
)
from barcodemae.training.data.row_filter import (
    CONFLICT_COLUMNS,
    DUPLICATE_COLUMNS,
    REJECTED_COLUMNS,
    RowFilter,
)
from barcodemae.training.data.sources.recognition import Source, SourceOptions, open_source
from barcodemae.training.data.sources.source_batches import BATCH_SCHEMA
from barcodemae.unpacking import split_member


PARTITION_ORIGINS = ("auto", "source", "make")
_SPOOL_FILE = ".rows.arrow"
_GENUS, _SPECIES = RANKS.index("genus"), RANKS.index("species")
_BIN = COMPARED_LABELS.index("dna_bin")
OnProgress = Callable[[str, int, int | None], None]


@dataclass(frozen=True, kw_only=True)
class PrepareOptions:
    """The options of `prepare`.

    Raises:
        SettingsError: An option has an unknown value.
    """

    source: SourceOptions = field(default_factory=SourceOptions)
    """How sources are read."""
    rules: CleaningRules = field(default_factory=CleaningRules)
    """Which barcodes are kept."""
    plan: PartitionPlan = field(default_factory=PartitionPlan)
    """Sizes of the partitions, if they are drawn."""
    dedup: str = "global"
    """Scope of the de-duplication: "global" as published, "partition", or "none"."""
    partitions: str = "auto"
    """Origin of the partitions: "source" takes the source's, "make" draws them, "auto" takes the
    source's if it has any."""
    heldout: bool = True
    """Whether `other_heldout`, part of the published pre-training set, is kept."""
    unlabelled: bool = False
    """Whether a data set in which no barcode has a name at any rank is wanted."""
    leakage: bool = True
    """Whether barcodes shared between partitions are counted at the end."""

    def __post_init__(self) -> None:
        if self.dedup not in DEDUP_SCOPES:
            raise SettingsError(
                f"dedup must be one of {', '.join(DEDUP_SCOPES)}, got {self.dedup!r}"
            )
        if self.partitions not in PARTITION_ORIGINS:
            known = ", ".join(PARTITION_ORIGINS)
            raise SettingsError(f"partitions must be one of {known}, got {self.partitions!r}")


def prepare(
    sources: Sequence[str],
    out: Path | str,
    options: PrepareOptions,
    *,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
    on_source: Callable[[Source], None] | None = None,
    resume: bool = False,
) -> dict[str, Any]:
    """Prepare a data set.

    Args:
        sources: Files, see `training/data/sources/recognition.py`; rows keep their order.
        out: Folder of the data set.
        options: How the rows are filtered and divided.
        overwrite: Whether an existing data set may be replaced.
        on_progress: Function that is called with the name of a stage, how much of it is done, and
            its total if that is known.
        on_source: Function that is called with each source once its format is known.
        resume: Whether to keep what is read in `OUT.partial`, and to go on where an interrupted
            run that did so stopped.

    Returns:
        The content of `dataset.json`.

    Raises:
        DataError: A source cannot be read, no row is usable, or the folder cannot be written.
        SettingsError: `out` may not be replaced, the options do not fit the sources, or they are
            not those of the interrupted run.
    """
    if sum(source == "-" for source in sources) > 1:
        raise SettingsError("standard input can be read only once")
    opened = [open_source(source, options.source) for source in sources]
    for source in opened:
        if on_source is not None:
            on_source(source)
    is_made = _are_partitions_made(opened, options)
    report = on_progress or (lambda stage, done, total: None)
    out = Path(out)
    keeping: AbstractContextManager[Segments | None] = segments_outlived(out)
    if resume:
        read = [source.source for source in opened]
        keeping = segments_kept(out, settings_of(_recorded(options), sources, read))
    with (
        keeping as segments,
        ThreadPoolExecutor(1) as pool,
        staged_folder(
            out, overwrite=overwrite, marker=DESCRIPTION_FILE, what="data set"
        ) as staging,
    ):
        sums = [pool.submit(checksums, source.source) for source in opened]
        description = _write(opened, staging, options, segments, is_made=is_made, report=report)
        description["sources"] = [
            record_source(given, source, known.result())
            for given, source, known in zip(sources, opened, sums, strict=True)
        ]
        if options.leakage:
            total = description["rows"]["kept"]
            description["leakage"] = leakage_report(
                staging, lambda done: report("leakage", done, total)
            )
        description["hash"] = dataset_hash(staging)
        write_description(staging, description)
    return description


def _are_partitions_made(sources: Sequence[Source], options: PrepareOptions) -> bool:
    with_splits = [source.source for source in sources if source.has_splits]
    without = [source.source for source in sources if not source.has_splits]
    if options.partitions == "source" and without:
        raise SettingsError(f"{without[0]} has no partitions; --partitions make draws some")
    if options.partitions == "auto" and with_splits and without:
        raise SettingsError(
            f"{with_splits[0]} has partitions and {without[0]} has none; "
            "--partitions make draws them anew for all"
        )
    is_made = options.partitions == "make" or not with_splits
    if is_made and options.dedup == "partition":
        raise SettingsError("--dedup partition needs partitions in the source")
    return is_made


def _write(
    sources: Sequence[Source],
    staging: Path,
    options: PrepareOptions,
    segments: Segments | None,
    *,
    is_made: bool,
    report: OnProgress,
) -> dict[str, Any]:
    """Write the rows and the lists of dropped rows; return the description of the data set."""
    with ExitStack() as stack:
        row_filter = RowFilter(
            options.rules,
            options.dedup,
            keep_splits=not is_made,
            rejected=stack.enter_context(RowList(staging / REJECTED, REJECTED_COLUMNS)),
            duplicates=stack.enter_context(RowList(staging / DUPLICATES, DUPLICATE_COLUMNS)),
            conflicts=stack.enter_context(RowList(staging / "conflicts.tsv", CONFLICT_COLUMNS)),
        )
        writer = stack.enter_context(PartitionWriter(staging))
        spool = staging / _SPOOL_FILE if is_made else None
        rows = _kept_rows(sources, row_filter, segments, spool, report)
        if is_made:
            rows = _with_made_partitions(rows, row_filter, options.plan, report)
        for table in rows:
            kept = table if options.heldout else _without_heldout(table, row_filter)
            row_filter.count_labels(kept)
            writer.write(kept)
    num_kept = sum(writer.num_rows.values())
    if num_kept == 0:
        most = ", ".join(f"{name} {count:,}" for name, count in row_filter.dropped.most_common(3))
        raise DataError(
            names_of(sources), f"no usable barcode in {row_filter.num_read:,} rows ({most})"
        )
    if not options.unlabelled and not row_filter.labelled["any"]:
        raise DataError(names_of(sources), _no_label(row_filter, sources))
    if num_kept + row_filter.dropped.total() != row_filter.num_read:
        raise AssertionError("rows kept and dropped do not add up to the rows read")
    return record_rows(row_filter, writer.num_rows, _recorded(options), is_made=is_made)


def _recorded(options: PrepareOptions) -> dict[str, Any]:
    """Write options as JSON can hold them."""
    settings = asdict(options)
    settings["source"]["taxonomy"] = str(options.source.taxonomy or "") or None
    return settings


def names_of(sources: Sequence[Source]) -> str:
    """Name the sources in a message."""
    return ", ".join(source.source for source in sources)


def _no_label(row_filter: RowFilter, sources: Sequence[Source]) -> str:
    how = "; ".join(source.why for source in sources)
    return (
        f"none of {row_filter.num_read:,} records has a name at any rank ({how}): give names in "
        "the headers or by --taxonomy; `prepare --unlabelled` does without"
    )


def _kept_rows(
    sources: Sequence[Source],
    row_filter: RowFilter,
    segments: Segments | None,
    spool: Path | None,
    report: OnProgress,
) -> Iterator[pa.Table]:
    """Return the rows that the filter keeps; if they wait on the disk, all are read by then.

    Args:
        sources: The sources, in order.
        row_filter: A new filter.
        segments: Where the rows wait if the run can be resumed.
        spool: File in which they wait else; None if they need not.
        report: Told how much is read.
    """
    if segments is not None:
        start = segments.restore(row_filter)
        segments.store(_read(sources, row_filter, start, report), row_filter)
        return segments.rows()
    rows = (table for _, table in _read(sources, row_filter, Position(), report))
    return rows if spool is None else spooled(rows, spool)


def _read(
    sources: Sequence[Source], row_filter: RowFilter, start: Position, report: OnProgress
) -> Iterator[tuple[Position, pa.Table]]:
    """Read and filter what follows a position; each batch comes with the position behind it."""
    sizes = [_size(source.source) for source in sources]
    total = sum(size for size in sizes if size) if all(sizes) else None
    ends = list(accumulate(size or 0 for size in sizes))
    skip = start.batches
    for number, source in list(enumerate(sources))[start.source :]:
        before = ends[number] - (sizes[number] or 0)
        source.on_bytes = lambda read, before=before: report("read", before + read, total)
        for done, batch in enumerate(source.batches(skip), start=skip + 1):
            yield Position(number, done), row_filter.filter(source.source, batch)
        yield Position(number + 1), BATCH_SCHEMA.empty_table()
        report("read", ends[number], total)
        skip = 0


def _size(source: str) -> int | None:
    path, _ = split_member(source)
    return path.stat().st_size if path.is_file() else None


def _with_made_partitions(
    rows: Iterator[pa.Table], row_filter: RowFilter, plan: PartitionPlan, report: OnProgress
) -> Iterator[pa.Table]:
    """Draw the partitions of rows, all of which have gone through the filter."""
    codes = _draw(row_filter, plan)
    names = pa.array(SPLITS, pa.string())
    done = 0
    for table in rows:
        here = pa.array(codes[done : done + table.num_rows].astype(np.int32))
        split = pa.DictionaryArray.from_arrays(here, names)
        yield table.set_column(table.num_columns - 1, "split", split)
        done += table.num_rows
        report("partition", done, len(codes))


def _draw(row_filter: RowFilter, plan: PartitionPlan) -> NDArray[np.uint8]:
    labels = row_filter.duplicates.label_numbers()
    registers = row_filter.duplicates.registers
    rows = LabelledRows(
        species=labels[:, _SPECIES],
        genus=labels[:, _GENUS],
        bins=labels[:, _BIN],
        keys=row_filter.keys(),
        species_names=registers["species"].names,
        genus_names=registers["genus"].names,
    )
    codes = make_partitions(rows, plan)
    # The description counts genera and species by the last column.
    row_filter.duplicates.set_splits(codes, SPLITS)
    return codes


def _without_heldout(table: pa.Table, row_filter: RowFilter) -> pa.Table:
    kept = table.filter(pa.compute.not_equal(table["split"].cast(pa.string()), "other_heldout"))
    row_filter.dropped["other_heldout"] += table.num_rows - kept.num_rows
    return kept
