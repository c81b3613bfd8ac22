"""Find identical barcodes in a stream, keep the first, and report labels that disagree.

In: clean barcodes and their labels, block by block. Out: which rows stay. A barcode is known by
its 128-bit BLAKE2b digest: among 10 million different ones two share a digest with a probability
below 1e-24, so equality of digests is taken for equality of letters, and the letters need not be
kept. Guarded by tests/training/data/test_duplicates.py.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.training.data.cleaning import CleanBarcodes


DEDUP_SCOPES = ("none", "global", "partition")
COMPARED_LABELS = (*RANKS, "dna_bin")
DIGEST_BYTES = 16


def barcode_digests(barcodes: CleanBarcodes) -> list[bytes]:
    """Fingerprint each barcode, 16 bytes."""
    letters = memoryview(barcodes.letters)  # type: ignore[arg-type]
    bounds = barcodes.offsets.tolist()
    return [
        blake2b(letters[start:end], digest_size=DIGEST_BYTES).digest()
        for start, end in pairwise(bounds)
    ]


class LabelRegister:
    """Number the labels of one column in order of appearance; an unknown label is -1.

    Attributes:
        names: The labels by number.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, labels: pa.ChunkedArray) -> NDArray[np.int32]:
        """Number the labels of a block, shape (N,)."""
        parts = [np.empty(0, np.int32)]
        for chunk in labels.chunks:
            known = [self._number(name) for name in chunk.dictionary.to_pylist()]
            table = np.array([*known, -1], dtype=np.int32)
            parts.append(table[chunk.indices.fill_null(len(known)).to_numpy()])
        return np.concatenate(parts)

    def _number(self, name: str | None) -> int:
        if name is None:
            return -1
        number = self._numbers.setdefault(name, len(self.names))
        if number == len(self.names):
            self.names.append(name)
        return number


@dataclass
class GrowingRows:
    """An array of rows of numbers that grows at its end, in amortised constant time."""

    width: int
    num_rows: int = 0
    _rows: NDArray[np.int32] = field(init=False)

    def __post_init__(self) -> None:
        self._rows = np.empty((1024, self.width), dtype=np.int32)

    def append(self, rows: NDArray[np.int32]) -> None:
        """Add rows, shape (n, width)."""
        end = self.num_rows + len(rows)
        if end > len(self._rows):
            grown = np.empty((max(end, 2 * len(self._rows)), self.width), dtype=np.int32)
            grown[: self.num_rows] = self._rows[: self.num_rows]
            self._rows = grown
        self._rows[self.num_rows : end] = rows
        self.num_rows = end

    def rows(self) -> NDArray[np.int32]:
        """All rows so far, shape (num_rows, width)."""
        return self._rows[: self.num_rows]


class Conflict(NamedTuple):
    """A dropped duplicate whose label is not that of the row kept.

    Attributes:
        row: Position in the block of the dropped row.
        kept: Number of the kept row, counted over everything kept.
        column: The highest rank that differs, or dna_bin.
        kept_label: Label of the row kept.
        dropped_label: Label of the row dropped.
    """

    row: int
    kept: int
    column: str
    kept_label: str
    dropped_label: str


class DuplicateFilter:
    """Keep the first of identical barcodes.

    Args:
        scope: "global" over everything, "partition" within each partition, "none" keeps all.

    Attributes:
        num_dropped: Duplicates dropped.
        num_dropped_across: Those among them whose twin is in another partition.
        conflicts: Dropped duplicates with a differing label, by column.
    """

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self.num_dropped = 0
        self.num_dropped_across = 0
        self.conflicts: Counter[str] = Counter()
        self.registers = {name: LabelRegister() for name in COMPARED_LABELS}
        self.splits = LabelRegister()
        self._first: dict[bytes, int] = {}
        self._labels = GrowingRows(len(COMPARED_LABELS) + 1)  # the last is the split

    def filter(
        self, digests: Sequence[bytes], table: pa.Table
    ) -> tuple[NDArray[np.bool_], list[Conflict]]:
        """Judge a block of rows.

        Args:
            digests: One for each row.
            table: Its labels and splits, dictionary-encoded.

        Returns:
            is_kept: shape (N,).
            conflicts: Of the rows dropped.
        """
        columns = [self.registers[name].number(table[name]) for name in COMPARED_LABELS]
        labels = np.stack([*columns, self.splits.number(table["split"])], axis=1)
        twins = self._find_first(digests, labels[:, -1])
        is_kept = twins < 0
        self._labels.append(labels[is_kept])
        dropped = np.flatnonzero(~is_kept)
        self.num_dropped += len(dropped)
        return is_kept, self._compare(labels[dropped], dropped, twins[dropped])

    def _find_first(self, digests: Sequence[bytes], splits: NDArray[np.int32]) -> NDArray[np.int64]:
        """Number of the kept row with the same barcode, or -1 for a row that is the first."""
        twins = np.full(len(digests), -1, dtype=np.int64)
        if self.scope == "none":
            return twins
        if self.scope == "partition":
            marks = [int(split + 1).to_bytes(2) for split in splits]
            digests = [digest + mark for digest, mark in zip(digests, marks, strict=True)]
        number = self._labels.num_rows
        first = self._first
        for row, digest in enumerate(digests):
            twin = first.setdefault(digest, number)
            if twin == number:
                number += 1
            else:
                twins[row] = twin
        return twins

    def _compare(
        self, labels: NDArray[np.int32], rows: NDArray[np.int64], twins: NDArray[np.int64]
    ) -> list[Conflict]:
        kept = self._labels.rows()[twins]
        self.num_dropped_across += int((kept[:, -1] != labels[:, -1]).sum())
        differ = ((kept != labels) & (kept >= 0) & (labels >= 0))[:, :-1]  # (dropped, columns)
        conflicts = []
        for index in np.flatnonzero(differ.any(axis=1)):
            at = int(differ[index].argmax())
            name, names = COMPARED_LABELS[at], self.registers[COMPARED_LABELS[at]].names
            self.conflicts[name] += 1
            labels_at = names[kept[index, at]], names[labels[index, at]]
            conflicts.append(Conflict(int(rows[index]), int(twins[index]), name, *labels_at))
        return conflicts

    def label_numbers(self) -> NDArray[np.int32]:
        """Label numbers of all rows kept, columns as in `COMPARED_LABELS`, then the split."""
        return self._labels.rows()

    def set_splits(self, codes: NDArray[np.uint8], names: Sequence[str]) -> None:
        """Note the partitions of all rows kept, where they were drawn after the fact."""
        self.splits = LabelRegister()
        self.splits.names = list(names)
        self._labels.rows()[:, -1] = codes
