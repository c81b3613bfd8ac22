"""Count barcodes that stand in two partitions, whole or inside a longer one.

In: a prepared data set. Out: for each pair of partitions, how many barcodes of the first are
identical to one of the second, and how many are a proper part of one. Letters are compared by a
rolling hash of 64 bits, so that two passes over the data find every containment at any position;
a chance hit among 10**8 comparisons with 10**7 barcodes has a probability below 1e-4.
Guarded by tests/training/data/test_leakage.py (against a search letter by letter).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from barcodemae.dataset import SPLITS, open_dataset
from barcodemae.training.data.cleaning import letters_and_offsets


ANCHOR_BP = 32  # a contained barcode is found by its first bases; shorter ones are not looked for
ROWS_PER_BLOCK = 4096
_FILTER_BITS = 26
_BASE = 0x9E3779B97F4A7C15 | 1  # any odd number with well-mixed bits
Hashes = NDArray[np.uint64]
Report = dict[str, dict[str, int]]


class RollingHash:
    """Hashes of any window of a block of letters, from one pass over it."""

    def __init__(self) -> None:
        generator = np.random.default_rng(20250218)
        self._values = generator.integers(1, 2**64, size=256, dtype=np.uint64)
        self._powers = np.ones(1, dtype=np.uint64)
        self._inverses = np.ones(1, dtype=np.uint64)
        self._sums = np.zeros(1, dtype=np.uint64)

    def load(self, letters: NDArray[np.uint8]) -> None:
        """Take a block of letters."""
        if len(self._powers) <= len(letters):
            size = len(letters) + 1
            self._powers = _powers(_BASE, size)
            self._inverses = _powers(pow(_BASE, -1, 2**64), size)
        terms = self._values[letters]
        terms *= self._powers[: len(letters)]
        self._sums = np.zeros(len(letters) + 1, dtype=np.uint64)
        np.cumsum(terms, out=self._sums[1:])

    def windows(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Hashes:
        """Hash `letters[start:start + length]` for many windows."""
        hashes: Hashes = self._sums[starts + lengths] - self._sums[starts]
        hashes *= self._inverses[starts]
        return hashes

    def all_windows(self, length: int) -> Hashes:
        """Hash the window of one length at every start."""
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
    dataset = open_dataset(directory)
    names = pa.array(SPLITS, pa.string())
    for batch in dataset.to_batches(columns=["dna_barcode", "split"], batch_size=ROWS_PER_BLOCK):
        if batch.num_rows:
            codes = pa.compute.index_in(batch["split"].cast(pa.string()), names).fill_null(-1)
            letters, offsets = letters_and_offsets(batch["dna_barcode"])
            yield _Block(letters, offsets, codes.to_numpy(zero_copy_only=False).astype(np.int8))


class _Barcodes:
    """Every barcode by its hash, sorted, and the ways in which a window may begin one."""

    def __init__(self, directory: Path, rolling: RollingHash) -> None:
        hashes, lengths, anchors, splits = [], [], [], []
        for block in _blocks(directory):
            rolling.load(block.letters)
            starts, sizes = block.offsets[:-1], np.diff(block.offsets)
            hashes.append(rolling.windows(starts, sizes) + sizes.astype(np.uint64))
            anchors.append(rolling.windows(starts, np.minimum(sizes, ANCHOR_BP)))
            lengths.append(sizes)
            splits.append(block.splits)
        self.splits = np.concatenate(splits)
        row_lengths = np.concatenate(lengths)
        self.distinct, first, self.of_row = np.unique(
            np.concatenate(hashes), return_index=True, return_inverse=True
        )
        long_enough = first[row_lengths[first] >= ANCHOR_BP]
        ways = np.stack(
            [np.concatenate(anchors)[long_enough], row_lengths[long_enough].astype(np.uint64)]
        )
        ways = np.unique(ways, axis=1) if ways.size else ways
        self.anchors, self.way_starts = np.unique(ways[0], return_index=True)
        self.way_counts = np.diff(np.append(self.way_starts, ways.shape[1]))
        self.way_lengths = ways[1].astype(np.int64)
        self.may_be_anchor = np.zeros(1 << _FILTER_BITS, dtype=np.bool_)
        self.may_be_anchor[self.anchors >> np.uint64(64 - _FILTER_BITS)] = True

    def find(self, hashes: Hashes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Positions in `hashes` that are barcodes, and which of the distinct ones they are."""
        return _lookup(self.distinct, hashes)


def _lookup(known: Hashes, wanted: Hashes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if not known.size:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    at = np.searchsorted(known, wanted)
    at[at == len(known)] = 0
    hits = np.flatnonzero(known[at] == wanted)
    return hits, at[hits]


def _contained(
    block: _Block, rolling: RollingHash, barcodes: _Barcodes
) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Distinct barcodes that are a proper part of a row, and the partition of that row."""
    rolling.load(block.letters)
    windows = rolling.all_windows(ANCHOR_BP)
    candidates = np.flatnonzero(barcodes.may_be_anchor[windows >> np.uint64(64 - _FILTER_BITS)])
    hits, anchors = _lookup(barcodes.anchors, windows[candidates])
    counts = barcodes.way_counts[anchors]
    starts = np.repeat(candidates[hits], counts)
    first = np.cumsum(counts) - counts
    within = np.arange(counts.sum()) - np.repeat(first, counts)
    lengths = barcodes.way_lengths[np.repeat(barcodes.way_starts[anchors], counts) + within]
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
    """Count shared barcodes between partitions.

    Args:
        directory: A prepared data set.
        on_rows: Called with the number of rows searched so far.

    Returns:
        `{"identical": ..., "contained": ...}`, each partition -> other partition -> number of
        rows of the first with an identical (longer) barcode in the other; pairs with none are
        left out.
    """
    directory = Path(directory)
    rolling = RollingHash()
    barcodes = _Barcodes(directory, rolling)
    shape = (len(barcodes.distinct), len(SPLITS))
    is_identical, is_part = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    known = barcodes.splits >= 0
    is_identical[barcodes.of_row[known], barcodes.splits[known]] = True
    num_rows = 0
    for block in _blocks(directory):
        which, splits = _contained(block, rolling, barcodes)
        is_part[which[splits >= 0], splits[splits >= 0]] = True
        num_rows += len(block.splits)
        if on_rows is not None:
            on_rows(num_rows)
    return {
        "identical": _count_pairs(is_identical, barcodes),
        "contained": _count_pairs(is_part, barcodes),
    }


def _count_pairs(is_found: NDArray[np.bool_], barcodes: _Barcodes) -> Report:
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
