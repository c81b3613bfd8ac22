"""Estimate the barcode frame of a data set, without labels or a multiple alignment.

The frame gives barcodes common coordinates: it is a position weight matrix in which each site is a
base of the barcode region (`tokenization.barcode_frame`). The first estimate counts the letters of
the barcodes of the most common length, all started at site 0. Then all barcodes are placed in it
and their letters are counted again, `ROUNDS` times. Training leaves indels as they are; the
tokenizer corrects them in the sequences that are embedded (`barcode_indels.py`).

In: a reader. Out: a `BarcodeFrame`, and readers of barcodes placed in one.
Guarded by tests/training/batches/test_frame.py.

Shapes: N = barcodes, n = some of them, W = sites of the frame.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from barcodemae.tokenization.barcode_frame import BASES, BLOCK_SIZE, MAX_LETTERS, BarcodeFrame
from barcodemae.training.batches.kmers import NUM_SPECIAL_TOKENS, UNKNOWN_BASE
from barcodemae.training.batches.reader import BarcodeReader


ROUNDS = 2  # of finding the starts in the frame and estimating it again
SAMPLE_SIZE = 20_000  # barcodes from which the frame is estimated
MIN_COVERAGE = 0.01  # a site that fewer of the barcodes cover carries no information
SEED = 658  # of the sample; fixed, so that a data set has one frame


def sample_rows(reader: BarcodeReader) -> NDArray[np.int64]:
    """Draw the rows from which frame and targets are estimated, in ascending order, (n,)."""
    size = min(SAMPLE_SIZE, len(reader))
    return np.sort(np.random.default_rng(SEED).choice(len(reader), size, replace=False))


def blocks(rows: NDArray[np.int64], size: int = BLOCK_SIZE) -> Iterator[NDArray[np.int64]]:
    """Cut rows into parts that fit in memory with one number per letter."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def frame_width(reader: BarcodeReader) -> int:
    """Number of sites in the frame of a reader: the longest part of a barcode that is read."""
    return reader.max_tokens * reader.k


def estimate_frame(reader: BarcodeReader) -> BarcodeFrame:
    """Estimate the frame of a reader's barcodes."""
    rows = sample_rows(reader)
    # Most barcodes of the most common length cover the same region, so they start at one site.
    most_common = int(np.bincount(reader.lengths[rows]).argmax())
    typical = rows[reader.lengths[rows] == most_common]
    frame = frame_from_starts(reader, typical, np.zeros(len(typical), np.int64))
    for _ in range(ROUNDS):
        frame = frame_from_starts(reader, rows, find_starts(reader, rows, frame))
    return frame


def frame_from_starts(
    reader: BarcodeReader, rows: NDArray[np.int64], starts: NDArray[np.int64]
) -> BarcodeFrame:
    """Count the bases at each site, given where the barcodes start.

    Args:
        reader: The barcodes.
        rows: Rows of the barcodes to count, (n,).
        starts: Site of the first base of each, (n,).

    Returns:
        The frame of these barcodes.
    """
    counts = np.zeros((frame_width(reader), len(BASES)))
    for part, part_starts in zip(blocks(rows), blocks(starts), strict=True):
        framed = placed_letters(reader, part, part_starts)  # (n, W)
        for base in range(len(BASES)):
            counts[:, base] += (framed == base).sum(axis=0)
    total = counts.sum(axis=1, keepdims=True)  # (W, 1)
    is_covered = total > MIN_COVERAGE * len(rows)
    frequencies = np.where(is_covered, counts / np.maximum(total, 1), 0)  # (W, 4)
    return BarcodeFrame.from_frequencies(frequencies)


def find_starts(
    reader: BarcodeReader, rows: NDArray[np.int64], frame: BarcodeFrame
) -> NDArray[np.int64]:
    """Find the site at which each barcode starts.

    Args:
        reader: The barcodes.
        rows: Rows of the barcodes to place, (n,).
        frame: The frame to place them in.

    Returns:
        Site of the first base of each, (n,), as from `BarcodeFrame.find_starts`.
    """
    starts = np.zeros(len(rows), np.int64)
    # By length, because a block is as wide as its longest barcode.
    order = np.argsort(reader.lengths[rows], kind="stable")
    for part in blocks(order):
        width = min(int(reader.lengths[rows[part]].max()), MAX_LETTERS)
        starts[part] = frame.starts_of_codes(reader.letters(rows[part], width))
    return starts


def placed_letters(
    reader: BarcodeReader, rows: NDArray[np.int64], starts: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Read the base codes of barcodes by site of the frame.

    Args:
        reader: The barcodes.
        rows: Rows of the barcodes to read, (n,).
        starts: Site of the first base of each, (n,).

    Returns:
        Base codes, `UNKNOWN_BASE` at sites that a barcode does not cover, (n, W).
    """
    width = frame_width(reader)
    longest = width + max(int(-starts.min(initial=0)), 0)
    codes = reader.letters(rows, longest)  # (n, longest)
    places = np.arange(width) - starts[:, None]  # (n, W)
    found = np.take_along_axis(codes, np.maximum(places, 0), axis=1)
    return np.where(places >= 0, found, np.uint8(UNKNOWN_BASE))


def place_in_frame(reader: BarcodeReader, frame: BarcodeFrame | None) -> BarcodeReader:
    """Make a reader of the same barcodes that are placed in a frame.

    As in the tokenizer, a barcode without a usable k-mer in the frame is read from its first base.

    Args:
        reader: The barcodes, not placed in a frame.
        frame: The frame to place them in; None returns the reader itself.
    """
    if frame is None:
        return reader
    starts = find_starts(reader, np.arange(len(reader)), frame)  # (N,)
    framed = reader.in_frame(starts)
    for part in blocks(np.flatnonzero(starts)):
        ids, _ = framed.batch(part, np.zeros_like(part))
        starts[part[(ids < NUM_SPECIAL_TOKENS).all(axis=1)]] = 0
    return reader.in_frame(starts)
