"""Filters of a data set's rows, with an account of every row that is dropped.

In: `SourceBatch`es. Out: tables of clean rows without duplicates; counts by filter that add up to
the rows read; lists of rejected rows and of conflicting labels. Guarded by
tests/training/data/test_prepare.py.

Shapes: N = rows of a batch.
"""

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from barcodemae.dataset import RANKS, SPLITS
from barcodemae.training.data.cleaning import CleaningRules, find_refused, read_barcodes
from barcodemae.training.data.dataset_writer import RowList
from barcodemae.training.data.duplicates import DIGEST_BYTES, DuplicateFilter, barcode_digests
from barcodemae.training.data.sources.source_batches import Rejected, SourceBatch


REJECTED_COLUMNS = ("source", "line_or_record", "processid", "filter", "reason")
DUPLICATE_COLUMNS = ("source", "line_or_record", "dropped_processid", "kept_processid")
CONFLICT_COLUMNS = (
    *("source", "line_or_record", "dropped_processid", "kept_processid"),
    *("column", "dropped_label", "kept_label"),
)


@dataclass
class _Names:
    """The names of all rows kept so far, by index."""

    starts: list[int] = field(default_factory=lambda: [0])
    chunks: list[pa.Array] = field(default_factory=list)

    def append(self, names: pa.ChunkedArray) -> None:
        self.chunks.append(names.combine_chunks())
        self.starts.append(self.starts[-1] + len(names))

    def __getitem__(self, number: int) -> str:
        at = bisect_right(self.starts, number) - 1
        return str(self.chunks[at][number - self.starts[at]])


@dataclass(frozen=True)
class Learnt:
    """What the filter learnt from a stretch of rows: enough to go on behind it.

    Attributes:
        counts: Its counts of all rows up to the end of the stretch.
        labels: Column -> labels that are new, of dropped rows too.
        names: processid of each row kept, K of them.
        digests: Digest of each row kept as two numbers, (K, 2).
        numbers: Label numbers of each row kept, (K, columns).
        lists: Name of a list -> text that was added to it.
    """

    counts: dict[str, Any]
    labels: dict[str, list[str]]
    names: pa.ChunkedArray
    digests: NDArray[np.uint64]
    numbers: NDArray[np.int32]
    lists: dict[str, bytes]


class RowFilter:
    """The filters of `barcodemae prepare`: readable, complete and usable rows, without duplicates.

    Args:
        rules: Which barcodes are usable.
        dedup: Scope of the de-duplication, see `DuplicateFilter`.
        keep_splits: Whether rows keep the partitions of the source, and so must have a known one.
        rejected: List to which unusable rows are added.
        duplicates: List to which dropped duplicates are added.
        conflicts: List to which duplicates with differing labels are added.

    Attributes:
        num_read: Number of rows read.
        dropped: Name of the filter -> number of rows dropped.
        labelled: Rank -> number of rows kept that have a name at it; `any` counts those with some.
        duplicates: The de-duplication, with its counts and label numbers.
    """

    def __init__(
        self,
        rules: CleaningRules,
        dedup: str,
        *,
        keep_splits: bool,
        rejected: RowList,
        duplicates: RowList,
        conflicts: RowList,
    ) -> None:
        self.num_read = 0
        self.dropped: Counter[str] = Counter()
        self.labelled: Counter[str] = Counter()
        self.duplicates = DuplicateFilter(dedup)
        self._rules = rules
        self._keep_splits = keep_splits
        self._rejected = rejected
        self._dropped_duplicates = duplicates
        self._conflicts = conflicts
        self._names = _Names()
        self._digests: list[NDArray[np.uint64]] = []  # two numbers of each row kept
        self._lists = {"rejected": rejected, "duplicates": duplicates, "conflicts": conflicts}
        self._mark()

    def filter(self, source: str, batch: SourceBatch) -> pa.Table:
        """Filter a batch of rows.

        Args:
            source: Name of the source, for the lists.
            batch: The next rows of the source.

        Returns:
            The rows that are kept, with clean barcodes.
        """
        table = batch.table
        self.num_read += table.num_rows + len(batch.rejected)
        if not self._keep_splits:
            nothing = pa.nulls(table.num_rows, table.schema.field("split").type)
            table = table.set_column(table.num_columns - 1, table.schema.field("split"), nothing)

        # Clean the barcodes and reject unusable rows.
        barcodes = read_barcodes(table["dna_barcode"].combine_chunks())
        reasons = find_refused(barcodes, self._rules) | self._incomplete(table)
        self._list_rejected(source, batch, reasons)
        is_kept = np.ones(len(barcodes), dtype=np.bool_)
        is_kept[list(reasons)] = False

        # Drop duplicates among the others.
        usable = np.flatnonzero(is_kept)
        digests = barcode_digests(barcodes)
        if reasons:
            digests = [digests[row] for row in usable]
        at = table.schema.get_field_index("dna_barcode")
        table = table.set_column(at, "dna_barcode", barcodes.to_arrow())
        originals, conflicts = self.duplicates.filter(digests, table.filter(pa.array(is_kept)))
        is_first = originals < 0
        is_kept[usable] = is_first
        kept = table.filter(pa.array(is_kept))
        self._names.append(kept["processid"])
        self._digests.append(_as_numbers(b"".join(digests))[is_first])
        self.dropped["duplicate"] += int((~is_first).sum())
        names = table["processid"]
        self._dropped_duplicates.add(
            (
                source,
                batch.places[usable[row]],
                names[int(usable[row])],
                self._names[originals[row]],
            )
            for row in np.flatnonzero(~is_first).tolist()
        )
        self._conflicts.add(
            (
                *(source, batch.places[usable[found.row]], names[int(usable[found.row])]),
                *(self._names[found.kept], found.column, found.dropped_label, found.kept_label),
            )
            for found in conflicts
        )
        return kept

    def keys(self) -> NDArray[np.uint64]:
        """Return a pseudo-random number for each row kept that depends on its barcode only."""
        return np.concatenate([np.empty(0, np.uint64), *(each[:, 0] for each in self._digests)])

    def learnt(self) -> Learnt:
        """Return what was learnt since the last call; to be called before partitions are drawn."""
        duplicates = self.duplicates
        learnt = Learnt(
            counts={
                "num_read": self.num_read,
                "dropped": dict(self.dropped),
                "num_dropped": duplicates.num_dropped,
                "num_dropped_across": duplicates.num_dropped_across,
                "conflicts": dict(duplicates.conflicts),
            },
            labels={
                name: register.names[self._num_labels[name] :]
                for name, register in duplicates.all_registers().items()
            },
            names=pa.chunked_array(self._names.chunks[self._num_chunks :], pa.string()),
            digests=np.concatenate([_as_numbers(b""), *self._digests[self._num_chunks :]]),
            numbers=duplicates.label_numbers()[self._num_rows :],
            lists={name: each.new_text() for name, each in self._lists.items()},
        )
        self._mark()
        return learnt

    def restore(self, learnt: Learnt) -> None:
        """Take in what another filter has learnt from the next stretch of rows."""
        counts, duplicates = learnt.counts, self.duplicates
        self.num_read = counts["num_read"]
        self.dropped = Counter(counts["dropped"])
        duplicates.num_dropped = counts["num_dropped"]
        duplicates.num_dropped_across = counts["num_dropped_across"]
        duplicates.conflicts = Counter(counts["conflicts"])
        duplicates.restore(_as_bytes(learnt.digests), learnt.numbers, learnt.labels)
        self._names.append(learnt.names)
        self._digests.append(learnt.digests)
        for name, each in self._lists.items():
            each.restore(learnt.lists[name])
        self._mark()

    def _mark(self) -> None:
        """Note up to where `learnt` has told."""
        self._num_chunks = len(self._names.chunks)
        self._num_rows = self._names.starts[-1]
        registers = self.duplicates.all_registers()
        self._num_labels = {name: len(register.names) for name, register in registers.items()}

    def num_repeated_names(self) -> int:
        """Count the rows kept whose processid an earlier row has too."""
        if not self._names.chunks:
            return 0
        names = pa.chunked_array(self._names.chunks)
        return len(names) - int(pc.count_distinct(names).as_py())

    def count_labels(self, kept: pa.Table) -> None:
        """Count the names of rows that are written."""
        is_labelled = np.zeros(kept.num_rows, np.bool_)
        for rank in RANKS:
            is_named = kept[rank].is_valid().to_numpy()
            self.labelled[rank] += int(is_named.sum())
            is_labelled |= is_named
        self.labelled["any"] += int(is_labelled.sum())

    def _incomplete(self, table: pa.Table) -> dict[int, tuple[str, str]]:
        """Find rows without a processid or a known partition: row -> (filter, reason)."""
        reasons: dict[int, tuple[str, str]] = {}
        if self._keep_splits:
            splits = table["split"].cast(pa.string())
            is_known = pc.is_in(splits, pa.array(SPLITS)).to_numpy()
            for row in np.flatnonzero(~is_known):
                name = splits[int(row)].as_py()
                shown = "no partition" if name is None else f"partition {name!r} is unknown"
                reasons[int(row)] = ("unknown_split", shown)
        for row in np.flatnonzero(pc.is_null(table["processid"]).to_numpy()):
            reasons[int(row)] = ("no_processid", "no processid")
        return reasons

    def _list_rejected(
        self, source: str, batch: SourceBatch, reasons: dict[int, tuple[str, str]]
    ) -> None:
        names = batch.table["processid"]
        rows = [
            Rejected(int(batch.places[row]), names[row].as_py() or "", *reason)
            for row, reason in reasons.items()
        ]
        self.dropped.update(row.kind for row in [*batch.rejected, *rows])
        self._rejected.add((source, *row) for row in sorted([*batch.rejected, *rows]))


def _as_numbers(digests: bytes) -> NDArray[np.uint64]:
    """View digests that follow each other as two numbers each."""
    return np.frombuffer(digests, dtype=np.uint64).reshape(-1, 2)


def _as_bytes(digests: NDArray[np.uint64]) -> list[bytes]:
    """Take numbers for digests again."""
    joined = digests.tobytes()
    return [joined[start : start + DIGEST_BYTES] for start in range(0, len(joined), DIGEST_BYTES)]
