"""De-duplication of barcodes in a stream: the first of identical ones is kept.

In: clean barcodes and their labels, block by block. Out: which rows are kept, and which labels of
dropped duplicates disagree with the row kept. Barcodes are compared by 128-bit BLAKE2b digests, so
their letters need not be stored: among 10 million different barcodes, two have the same digest with
a probability below 1e-24. Guarded by tests/training/data/test_duplicates.py.

Shapes: N = rows of a block.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
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
    """Compute a digest of each barcode, 16 bytes."""
    letters = memoryview(barcodes.letters)  # type: ignore[arg-type]
    bounds = barcodes.offsets.tolist()
    return [
        blake2b(letters[start:end], digest_size=DIGEST_BYTES).digest()
        for start, end in pairwise(bounds)
    ]


class LabelRegister:
    """Numbers the labels of one column in order of appearance; an unknown label is -1.

    Attributes:
        names: The labels, in the order of their numbers.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, labels: pa.ChunkedArray) -> NDArray[np.int32]:
        """Number the labels of a block, (N,)."""
        parts = [np.empty(0, np.int32)]
        for chunk in labels.chunks:
            known = [self._number(name) for name in chunk.dictionary.to_pylist()]
            table = np.array([*known, -1], dtype=np.int32)
            parts.append(table[chunk.indices.fill_null(len(known)).to_numpy()])
        return np.concatenate(parts)

    def extend(self, names: Sequence[str]) -> None:
        """Number labels that are new, in this order."""
        for name in names:
            self._number(name)

    def _number(self, name: str | None) -> int:
        if name is None:
            return -1
        number = self._numbers.setdefault(name, len(self.names))
        if number == len(self.names):
            self.names.append(name)
        return number


@dataclass
class GrowingRows:
    """A matrix of numbers to which rows can be appended in amortised constant time."""

    width: int
    num_rows: int = 0
    _rows: NDArray[np.int32] = field(init=False)

    def __post_init__(self) -> None:
        self._rows = np.empty((1024, self.width), dtype=np.int32)

    def append(self, rows: NDArray[np.int32]) -> None:
        """Append rows, (n, width)."""
        end = self.num_rows + len(rows)
        if end > len(self._rows):
            grown = np.empty((max(end, 2 * len(self._rows)), self.width), dtype=np.int32)
            grown[: self.num_rows] = self._rows[: self.num_rows]
            self._rows = grown
        self._rows[self.num_rows : end] = rows
        self.num_rows = end

    def rows(self) -> NDArray[np.int32]:
        """Return all rows so far, (num_rows, width)."""
        return self._rows[: self.num_rows]


class Conflict(NamedTuple):
    """A dropped duplicate whose label differs from that of the row kept.

    Attributes:
        row: Index of the dropped row in its block.
        kept: Index of the row kept, among all rows kept so far.
        column: Highest rank at which the labels differ, or dna_bin.
        kept_label: Label of the row kept.
        dropped_label: Label of the dropped row.
    """

    row: int
    kept: int
    column: str
    kept_label: str
    dropped_label: str


class DuplicateFilter:
    """Keeps the first of identical barcodes and drops the others.

    Args:
        scope: Which rows are compared: "global" for all, "partition" for those of one partition,
            "none" for no de-duplication.

    Attributes:
        num_dropped: Number of duplicates dropped.
        num_dropped_across: Number of dropped duplicates of a row in another partition.
        conflicts: Column -> number of dropped duplicates whose label there differs.
    """

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self.num_dropped = 0
        self.num_dropped_across = 0
        self.conflicts: Counter[str] = Counter()
        self.registers = {name: LabelRegister() for name in COMPARED_LABELS}
        self.splits = LabelRegister()
        self._first: dict[bytes, int] = {}
        self._labels = GrowingRows(len(COMPARED_LABELS) + 1)  # the last column is the split

    def filter(
        self, digests: Sequence[bytes], table: pa.Table
    ) -> tuple[NDArray[np.int64], list[Conflict]]:
        """Find the duplicates in a block of rows.

        Args:
            digests: Digest of each row, N of them.
            table: Labels and splits of the rows, dictionary-encoded.

        Returns:
            originals: Index of the row kept in its place, among all rows kept so far, of each
                dropped row; -1 for a row that is kept, (N,).
            conflicts: Dropped rows whose labels disagree with the row kept.
        """
        columns = [self.registers[name].number(table[name]) for name in COMPARED_LABELS]
        labels = np.stack([*columns, self.splits.number(table["split"])], axis=1)
        originals = self._find_originals(digests, labels[:, -1])
        is_kept = originals < 0
        self._labels.append(labels[is_kept])
        dropped = np.flatnonzero(~is_kept)
        self.num_dropped += len(dropped)
        return originals, self._compare_labels(labels[dropped], dropped, originals[dropped])

    def _find_originals(
        self, digests: Sequence[bytes], splits: NDArray[np.int32]
    ) -> NDArray[np.int64]:
        """Find the index of the kept row with the same barcode, (N,); -1 for a first row."""
        originals = np.full(len(digests), -1, dtype=np.int64)
        if self.scope == "none":
            return originals
        number = self._labels.num_rows
        first = self._first
        for row, digest in enumerate(self._compared(digests, splits)):
            original = first.setdefault(digest, number)
            if original == number:
                number += 1
            else:
                originals[row] = original
        return originals

    def _compared(self, digests: Sequence[bytes], splits: NDArray[np.int32]) -> Sequence[bytes]:
        """Return what must differ between rows that are kept: in a partition, only digests."""
        if self.scope != "partition":
            return digests
        marks = [int(split + 1).to_bytes(2) for split in splits]
        return [digest + mark for digest, mark in zip(digests, marks, strict=True)]

    def _compare_labels(
        self, labels: NDArray[np.int32], rows: NDArray[np.int64], originals: NDArray[np.int64]
    ) -> list[Conflict]:
        """Compare the labels of dropped rows with those of the rows kept."""
        kept = self._labels.rows()[originals]
        self.num_dropped_across += int((kept[:, -1] != labels[:, -1]).sum())
        differ = ((kept != labels) & (kept >= 0) & (labels >= 0))[:, :-1]  # (dropped, columns)
        conflicts = []
        for index in np.flatnonzero(differ.any(axis=1)):
            column = int(differ[index].argmax())
            name, names = COMPARED_LABELS[column], self.registers[COMPARED_LABELS[column]].names
            self.conflicts[name] += 1
            two_labels = names[kept[index, column]], names[labels[index, column]]
            conflicts.append(Conflict(int(rows[index]), int(originals[index]), name, *two_labels))
        return conflicts

    def all_registers(self) -> dict[str, LabelRegister]:
        """Return the registers of the columns of `label_numbers`, in this order."""
        return {**self.registers, "split": self.splits}

    def restore(
        self,
        digests: Sequence[bytes],
        labels: NDArray[np.int32],
        names: Mapping[str, Sequence[str]],
    ) -> None:
        """Take in rows that an earlier run kept, after those it had kept before.

        Args:
            digests: Digest of each row, N of them.
            labels: Their label numbers, (N, columns).
            names: Column -> labels that are new since the rows before, of dropped rows too.
        """
        for name, register in self.all_registers().items():
            register.extend(names[name])
        if self.scope != "none":
            rows = range(self._labels.num_rows, self._labels.num_rows + len(digests))
            self._first.update(zip(self._compared(digests, labels[:, -1]), rows, strict=True))
        self._labels.append(labels)

    def label_numbers(self) -> NDArray[np.int32]:
        """Return the label numbers of all rows kept: `COMPARED_LABELS`, then the split."""
        return self._labels.rows()

    def set_splits(self, codes: NDArray[np.uint8], names: Sequence[str]) -> None:
        """Set the partitions of all rows kept, if they were drawn after de-duplication.

        Args:
            codes: Number of the partition of each row kept.
            names: Names of the partitions, in the order of their numbers.
        """
        self.splits = LabelRegister()
        self.splits.names = list(names)
        self._labels.rows()[:, -1] = codes
