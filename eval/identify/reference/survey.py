"""First pass over the references: place them, screen them, count their names.

In: a prepared data set, a model. Out: the usable references with their placed letters in a
temporary Arrow file, so that the second pass need not place them again; a `Survey` of what they are
called; and why each of the others was left out. Whatever is left out is listed, never lost.
Guarded by tests/eval/identify/reference/test_survey.py.

Shapes: N = rows of a batch.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from barcodemae.conventions.letters import clean
from barcodemae.conventions.taxa import tidy_taxon
from barcodemae.dataset import RANKS, open_dataset, scan_splits
from barcodemae.errors import DataError
from barcodemae.eval.embed.embedder import Embedder, PlacedSequence, Placer
from barcodemae.eval.identify.judge.orientation import (
    StrandProfile,
    has_open_frame,
    reverse_complement,
)
from barcodemae.eval.identify.judge.placing import KmerPlacer, find_min_evidence


ROWS_PER_BATCH = 4096
MAX_PROFILED = 20_000  # references that tell the k-mers of a library without a frame
MIN_FRAMED_SHARE = 0.5  # of the references; with fewer in the frame, this is another marker
OnProgress = Callable[[str, int, int | None], None]
# (data set, partitions, model, placer, survey) -> usable references, placed, batch by batch
Screen = Callable[[Path, tuple[str, ...], Embedder, Placer, "Survey"], Iterator[pa.Table]]
UNNAMED, UNREADABLE, NO_BARCODE = "no name at any rank", "unreadable", "not a barcode"


@dataclass(frozen=True)
class UnusedReference:
    """A row that is not among the references.

    Attributes:
        id: Id of the barcode.
        reason: `UNNAMED`, `UNREADABLE` or `NO_BARCODE`.
        detail: What is wrong with it.
    """

    id: str
    reason: str
    detail: str


@dataclass
class Survey:
    """Counts and names of the references, which the first pass collects.

    Attributes:
        width: Sites of the frame; 0 without one.
        num_kept: Number of references that go into the library.
        num_reversed: Number of references that stood on the other strand.
        num_placeholders: Number of names that name no taxon, such as `Bactrocera sp.`.
        num_open: Number of kept references with an open reading frame.
        min_evidence: Lowest evidence of a barcode without a frame, see `find_min_evidence`.
        left_out: Rows that are not among the references.
        taxa: Rank -> name -> code, in the order of appearance.
        strand: Counts of 6-mers, (4**6,).
        shifts: Row of each kept reference that gained or lost bases -> numbers of both.
        closed: Rows of the kept references without an open reading frame.
    """

    width: int = 0
    num_kept: int = 0
    num_reversed: int = 0
    num_placeholders: int = 0
    num_open: int = 0
    min_evidence: float = 0.0
    left_out: list[UnusedReference] = field(default_factory=list)
    taxa: dict[str, dict[str, int]] = field(default_factory=lambda: {r: {} for r in RANKS})
    strand: Any = field(default_factory=lambda: StrandProfile.count([]))
    shifts: dict[int, tuple[int, int]] = field(default_factory=dict)
    closed: list[int] = field(default_factory=list)

    @property
    def num_left_out(self) -> dict[str, int]:
        """Number of rows left out for each reason."""
        return dict(Counter(row.reason for row in self.left_out))

    def add(self, references: pa.Table) -> None:
        """Count some references and collect their names."""
        sequences = references["barcode"].to_pylist()
        is_open = [has_open_frame(text) for text in sequences]
        self.closed += [self.num_kept + row for row, fits in enumerate(is_open) if not fits]
        self.num_kept += len(sequences)
        self.num_open += sum(is_open)
        self.strand += StrandProfile.count(sequences)
        for rank in RANKS:
            known = self.taxa[rank]
            for name in references[rank].unique().to_pylist():
                if name is not None:
                    known.setdefault(name, len(known))


def stream_rows(directory: Path, splits: tuple[str, ...]) -> Iterator[pa.Table]:
    """Stream the rows of a data set in batches, with all ranks and `dna_bin` as text columns."""
    present = set(open_dataset(directory).schema.names)
    optional = [name for name in (*RANKS, "dna_bin") if name in present]
    for batch in scan_splits(directory, splits, ["processid", "dna_barcode", *optional]):
        for start in range(0, batch.num_rows, ROWS_PER_BATCH):
            rows = pa.table(batch.slice(start, ROWS_PER_BATCH))
            columns = {
                "id": rows["processid"].cast(pa.large_string()),
                "barcode": rows["dna_barcode"].cast(pa.large_string()),
            }
            for name in (*RANKS, "dna_bin"):
                is_given = name in present
                columns[name] = (
                    rows[name].cast(pa.string()) if is_given else pa.nulls(len(rows), pa.string())
                )
            yield pa.table(columns)


def without_placeholders(rows: pa.Table, survey: Survey) -> pa.Table:
    """Replace names that name no taxon by nulls, and count them."""
    for rank in RANKS:
        names = rows[rank].to_pylist()
        real = [None if name is None else tidy_taxon(rank, name) for name in names]
        survey.num_placeholders += sum(
            name is not None and kept is None for name, kept in zip(names, real, strict=True)
        )
        column = rows.column_names.index(rank)
        rows = rows.set_column(column, rank, pa.array(real, pa.string()))
    return rows


def choose_placer(
    directory: Path, splits: tuple[str, ...], embedder: Embedder, survey: Survey
) -> Placer:
    """Choose how references are placed: in the model's frame, or by their own k-mers.

    A frame is of one marker. If most of the references do not fit, they are of another one.
    """
    some = first_barcodes(directory, splits)
    if embedder.placer is not None:
        fits = [p.is_barcode for p in embedder.placer.place(some[:ROWS_PER_BATCH])]
        if fits and sum(fits) / len(fits) >= MIN_FRAMED_SHARE:
            survey.width = embedder.placer.width
            return embedder.placer
    return profile_references([text for text in map(clean, some) if text], survey)


def first_barcodes(directory: Path, splits: tuple[str, ...]) -> list[str]:
    """Read the first barcodes of a data set, about `MAX_PROFILED`, as they stand there."""
    some: list[str] = []
    for rows in stream_rows(directory, splits):
        some += [text or "" for text in rows["barcode"].to_pylist()]
        if len(some) >= MAX_PROFILED:
            break
    return some


def profile_references(sequences: list[str], survey: Survey) -> KmerPlacer:
    """Learn the k-mers of a library; most of the references are on one strand.

    References of the other strand are turned before the k-mers are counted once more.
    """
    first = StrandProfile(StrandProfile.count(sequences))
    turned = [reverse_complement(text) if first.evidence(text) < 0 else text for text in sequences]
    profile = StrandProfile(StrandProfile.count(turned))
    survey.min_evidence = find_min_evidence(profile, turned)
    return KmerPlacer(profile, survey.min_evidence)


def keep_usable(rows: pa.Table, placer: Placer, embedder: Embedder, survey: Survey) -> pa.Table:
    """Keep the rows that are barcodes, have a name at some rank, and that the model can read.

    Args:
        rows: Rows from `stream_rows`.
        placer: How references are placed.
        embedder: Model.
        survey: Survey in which what is left out is listed.

    Returns:
        The rows that are kept, with placed letters in `barcode`, and their first `site`.
    """
    rows = without_placeholders(rows, survey)
    is_named = np.zeros(rows.num_rows, bool)
    for rank in RANKS:
        is_named |= rows[rank].is_valid().to_numpy()
    texts = [text or "" for text in rows["barcode"].to_pylist()]
    placed = list(placer.place(texts))
    # What fits nowhere is unreadable rather than foreign if the model says so.
    as_given = [p.letters if p.is_barcode else clean(t) for p, t in zip(placed, texts, strict=True)]
    invalid = embedder.find_invalid(as_given)
    keep = np.zeros(rows.num_rows, bool)
    for row, name in enumerate(rows["id"].to_pylist()):
        if row in invalid:
            survey.left_out.append(UnusedReference(name, UNREADABLE, invalid[row]))
        elif not placed[row].is_barcode:
            why = f"evidence {placed[row].evidence:.2f} nats per letter"
            survey.left_out.append(UnusedReference(name, NO_BARCODE, why))
        elif not is_named[row]:
            survey.left_out.append(UnusedReference(name, UNNAMED, ""))
        else:
            if placed[row].num_gained or placed[row].num_lost:
                place = survey.num_kept + int(keep.sum())
                survey.shifts[place] = placed[row].num_gained, placed[row].num_lost
            keep[row] = True
            survey.num_reversed += placed[row].is_reverse
    return with_letters(rows, placed).filter(pa.array(keep))


def with_letters(rows: pa.Table, placed: list[PlacedSequence]) -> pa.Table:
    """Replace the barcodes by their placed letters, and add the site of the first."""
    letters = pa.array([sequence.letters for sequence in placed], pa.large_string())
    sites = pa.array([sequence.site for sequence in placed], pa.int32())
    rows = rows.set_column(rows.column_names.index("barcode"), "barcode", letters)
    return rows.append_column("site", sites)


def survey_references(
    directory: Path,
    splits: tuple[str, ...],
    embedder: Embedder,
    kept: Path,
    report: OnProgress,
    *,
    elsewhere: Screen | None = None,
) -> Survey:
    """Read all references once, write the usable ones to a file, and survey them.

    Args:
        directory: Folder of the data set.
        splits: Partitions whose rows are the references.
        embedder: Model.
        kept: Temporary Arrow file to write.
        report: Function called with the stage, the number of references, and None.
        elsewhere: Function that does what `screen` does, in other processes; None to do it here.

    Raises:
        DataError: No reference can be used.
    """
    survey = Survey()
    placer = choose_placer(directory, splits, embedder, survey)
    batches = (elsewhere or screen)(directory, splits, embedder, placer, survey)
    write_kept(kept, batches, survey, report)
    if survey.num_kept == 0:
        counts = ", ".join(f"{count} {why}" for why, count in survey.num_left_out.items())
        raise DataError(directory, f"no reference can be used: {counts or 'there are no rows'}")
    return survey


def screen(
    directory: Path, splits: tuple[str, ...], embedder: Embedder, placer: Placer, survey: Survey
) -> Iterator[pa.Table]:
    """Read the references of a data set, and yield the usable ones, placed, batch by batch."""
    for rows in stream_rows(directory, splits):
        yield keep_usable(rows, placer, embedder, survey)


def write_kept(kept: Path, batches: Iterable[pa.Table], survey: Survey, report: OnProgress) -> None:
    """Survey placed references, and write them to a temporary Arrow file.

    Args:
        kept: File to write.
        batches: References, with the columns that `keep_usable` returns.
        survey: Survey to which they are added.
        report: Function called with the stage, the number of references, and None.
    """
    writer: Any = None
    with pa.OSFile(str(kept), "wb") as sink:
        for references in batches:
            survey.add(references)
            writer = writer or pa.ipc.new_file(sink, references.schema)
            writer.write_table(references)
            report("survey", survey.num_kept, None)
        if writer is not None:
            writer.close()
