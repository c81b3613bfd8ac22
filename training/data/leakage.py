"""Leakage between partitions: barcodes of one that occur in another, alone or in a longer barcode.

In: a prepared data set. Out: for each pair of partitions, how many barcodes of the first are
identical to one of the second, and how many are a proper substring of one. Letters are compared by
a 64-bit rolling hash, so that two passes over the data find a substring at any position. The
probability of a false hit among 10**8 comparisons with 10**7 barcodes is below 1e-4.
Guarded by tests/training/data/test_leakage.py (against a search letter by letter).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from barcodemae.dataset import SPLITS, read_rows
from barcodemae.training.data.cleaning import letters_and_offsets


ANCHOR_BP = 32  # a substring is found by its first bases; shorter barcodes are not searched for
ROWS_PER_BLOCK = 4096
_FILTER_BITS = 26  # of an anchor's hash; the table that they index excludes most windows quickly
_BASE = 0x9E3779B97F4A7C15 | 1  # any odd number with well-mixed bits
Hashes = NDArray[np.uint64]
Report = dict[str, dict[str, int]]


class RollingHash:
    """Hashes of arbitrary windows of a block of letters, from one pass over it."""

    def __init__(self) -> None:
        generator = np.random.default_rng(20250218)
        self._values = generator.integers(1, 2**64, size=256, dtype=np.uint64)
        self._powers = np.ones(1, dtype=np.uint64)
        self._inverses = np.ones(1, dtype=np.uint64)
        self._sums = np.zeros(1, dtype=np.uint64)

    def load(self, letters: NDArray[np.uint8]) -> None:
        """Prepare the hashes of a block of letters, which replaces the block before."""
        if len(self._powers) <= len(letters):
            size = len(letters) + 1
            self._powers = _powers(_BASE, size)
            self._inverses = _powers(pow(_BASE, -1, 2**64), size)
        terms = self._values[letters]
        terms *= self._powers[: len(letters)]
        self._sums = np.zeros(len(letters) + 1, dtype=np.uint64)
        np.cumsum(terms, out=self._sums[1:])

    def windows(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Hashes:
        """Hash `letters[start:start + length]` for many windows at once."""
        hashes: Hashes = self._sums[starts + lengths] - self._sums[starts]
        hashes *= self._inverses[starts]
        return hashes

    def all_windows(self, length: int) -> Hashes:
        """Hash the windows of one length at every start."""
        if len(self._sums) <= length:
            return np.empty(0, dtype=np.uint64)
        hashes = self._sums[length:] - self._sums[:-length]
        hashes *= self._inverses[: len(hashes)]
        return hashes


def _powers(base: int, size: int) -> Hashes:
    factors = np.full(size, base, dtype=np.uint64)
    factors[0] = 1
    powers: Hashes = np.cumprod(factors, dtype=np.uint64)
    return powers


@dataclass(frozen=True)
class _Block:
    letters: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    splits: NDArray[np.int8]


def _blocks(directory: Path) -> Iterator[_Block]:
    names = pa.array(SPLITS, pa.string())
    for batch in read_rows(directory, ["dna_barcode", "split"], batch_size=ROWS_PER_BLOCK):
        if batch.num_rows:
            codes = pa.compute.index_in(batch["split"].cast(pa.string()), names).fill_null(-1)
            letters, offsets = letters_and_offsets(batch["dna_barcode"])
            yield _Block(letters, offsets, codes.to_numpy(zero_copy_only=False).astype(np.int8))


class _Barcodes:
    """The hashes of all barcodes, and an index of the barcodes that begin with an anchor.

    Attributes:
        splits: Number of the partition of each row; -1 if unknown.
        distinct: Hashes of the distinct barcodes, sorted.
        of_row: Index of each row's barcode in `distinct`.
        anchors: Hashes of the distinct anchors (first `ANCHOR_BP` bases), sorted.
        length_starts: For each anchor, the index of its first entry in `lengths`.
        length_counts: For each anchor, the number of its entries in `lengths`.
        lengths: For each anchor, the distinct lengths in bp of the barcodes that begin with it.
        may_be_anchor: For the leading bits of a hash, whether any anchor has them.
    """

    def __init__(self, directory: Path, rolling: RollingHash) -> None:
        hashes, sizes_of_rows, anchors, splits = [], [], [], []
        for block in _blocks(directory):
            rolling.load(block.letters)
            starts, sizes = block.offsets[:-1], np.diff(block.offsets)
            hashes.append(rolling.windows(starts, sizes) + sizes.astype(np.uint64))
            anchors.append(rolling.windows(starts, np.minimum(sizes, ANCHOR_BP)))
            sizes_of_rows.append(sizes)
            splits.append(block.splits)
        self.splits = np.concatenate(splits)
        row_lengths = np.concatenate(sizes_of_rows)
        self.distinct, first, self.of_row = np.unique(
            np.concatenate(hashes), return_index=True, return_inverse=True
        )
        long_enough = first[row_lengths[first] >= ANCHOR_BP]
        pairs = np.stack(  # (anchor, length)
            [np.concatenate(anchors)[long_enough], row_lengths[long_enough].astype(np.uint64)]
        )
        pairs = np.unique(pairs, axis=1) if pairs.size else pairs
        self.anchors, self.length_starts = np.unique(pairs[0], return_index=True)
        self.length_counts = np.diff(np.append(self.length_starts, pairs.shape[1]))
        self.lengths = pairs[1].astype(np.int64)
        self.may_be_anchor = np.zeros(1 << _FILTER_BITS, dtype=np.bool_)
        self.may_be_anchor[self.anchors >> np.uint64(64 - _FILTER_BITS)] = True

    def find(self, hashes: Hashes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find hashes of barcodes; return their indices in `hashes` and in `distinct`."""
        return _lookup(self.distinct, hashes)


def _lookup(known: Hashes, wanted: Hashes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find hashes in a sorted array; return the indices of the hits in `wanted` and `known`."""
    if not known.size:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    at = np.searchsorted(known, wanted)
    at[at == len(known)] = 0
    hits = np.flatnonzero(known[at] == wanted)
    return hits, at[hits]


def _contained(
    block: _Block, rolling: RollingHash, barcodes: _Barcodes
) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Find the barcodes that are a proper substring of a row of a block.

    Returns:
        which: Index of each such barcode in `barcodes.distinct`.
        splits: Number of the partition of the row that contains it.
    """
    # Find the windows that are the anchor of a barcode.
    rolling.load(block.letters)
    windows = rolling.all_windows(ANCHOR_BP)
    candidates = np.flatnonzero(barcodes.may_be_anchor[windows >> np.uint64(64 - _FILTER_BITS)])
    hits, anchors = _lookup(barcodes.anchors, windows[candidates])

    # Extend each of them to all lengths of barcodes that begin with this anchor.
    counts = barcodes.length_counts[anchors]
    starts = np.repeat(candidates[hits], counts)
    first = np.cumsum(counts) - counts
    within = np.arange(counts.sum()) - np.repeat(first, counts)
    lengths = barcodes.lengths[np.repeat(barcodes.length_starts[anchors], counts) + within]

    # Keep the windows inside one row and shorter than it, and compare them as a whole.
    rows = np.searchsorted(block.offsets, starts, side="right") - 1
    row_starts, row_ends = block.offsets[rows], block.offsets[rows + 1]
    is_proper = (starts + lengths <= row_ends) & (lengths < row_ends - row_starts)
    starts, lengths, rows = starts[is_proper], lengths[is_proper], rows[is_proper]
    hashes = rolling.windows(starts, lengths) + lengths.astype(np.uint64)
    found, which = barcodes.find(hashes)
    return which, block.splits[rows[found]]


def leakage_report(
    directory: Path | str, on_rows: Callable[[int], None] | None = None
) -> dict[str, Report]:
    """Count the barcodes that partitions share.

    Args:
        directory: Folder of a prepared data set.
        on_rows: Function that is called with the number of rows searched so far.

    Returns:
        `{"identical": ..., "contained": ...}`, each of the form partition -> other partition ->
        number of rows of the first that are identical to a barcode of the other, or contained in
        a longer one. Pairs of partitions without any are left out.
    """
    directory = Path(directory)
    rolling = RollingHash()
    barcodes = _Barcodes(directory, rolling)
    shape = (len(barcodes.distinct), len(SPLITS))
    is_identical, is_contained = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    known = barcodes.splits >= 0
    is_identical[barcodes.of_row[known], barcodes.splits[known]] = True
    num_rows = 0
    for block in _blocks(directory):
        which, splits = _contained(block, rolling, barcodes)
        is_contained[which[splits >= 0], splits[splits >= 0]] = True
        num_rows += len(block.splits)
        if on_rows is not None:
            on_rows(num_rows)
    return {
        "identical": _count_pairs(is_identical, barcodes),
        "contained": _count_pairs(is_contained, barcodes),
    }


def _count_pairs(is_found: NDArray[np.bool_], barcodes: _Barcodes) -> Report:
    """Count rows by their partition and by the partitions in which their barcode was found."""
    report: Report = {}
    for code, name in enumerate(SPLITS):
        rows = barcodes.of_row[barcodes.splits == code]
        counts = is_found[rows].sum(axis=0)
        pairs = {
            other: int(count)
            for other, count in zip(SPLITS, counts, strict=True)
            if count and other != name
        }
        if pairs:
            report[name] = pairs
    return report
