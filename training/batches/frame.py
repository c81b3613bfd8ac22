"""Find the common frame of a data set's barcodes, without labels or alignment.

In: a reader. Out: a `BarcodeFrame`, estimated from the barcodes themselves: the letters by site of
those of the most common length, left as they are, make the first profile; all are placed by it, and
their letters make the next. Bases lost or gained inside a barcode stay as they are in training; the
tokenizer puts them back (`barcode_indels.py`). Guarded by tests/training/batches/test_frame.py.

Shapes: N = barcodes, W = sites of the frame.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from barcodemae.tokenization.barcode_frame import BASES, BLOCK_SIZE, MAX_LETTERS, BarcodeFrame
from barcodemae.training.batches.kmers import NUM_SPECIAL_TOKENS, UNKNOWN_BASE
from barcodemae.training.batches.reader import BarcodeReader


ROUNDS = 2  # the frame is estimated, the starts found, the frame estimated again
SAMPLE_SIZE = 20_000  # barcodes that it is estimated from
MIN_COVERAGE = 0.01  # share of barcodes that must reach a site, or it says nothing
SEED = 658


def sample(reader: BarcodeReader) -> NDArray[np.int64]:
    """Rows that everything is estimated from, ascending, (n,)."""
    size = min(SAMPLE_SIZE, len(reader))
    return np.sort(np.random.default_rng(SEED).choice(len(reader), size, replace=False))


def blocks(rows: NDArray[np.int64], size: int = BLOCK_SIZE) -> Iterator[NDArray[np.int64]]:
    """Cut rows into parts that fit into memory as one number per letter."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def frame_width(reader: BarcodeReader) -> int:
    """Sites of the frame of a reader's barcodes: what the model reads at most."""
    return reader.max_tokens * reader.k


def estimate_frame(reader: BarcodeReader) -> BarcodeFrame:
    """Estimate the frame of a reader's barcodes."""
    rows = sample(reader)
    common = int(np.bincount(reader.lengths[rows]).argmax())
    typical = rows[reader.lengths[rows] == common]
    frame = frame_of(reader, typical, np.zeros(len(typical), np.int64))
    for _ in range(ROUNDS):
        frame = frame_of(reader, rows, find_starts(reader, rows, frame))
    return frame


def frame_of(
    reader: BarcodeReader, rows: NDArray[np.int64], starts: NDArray[np.int64]
) -> BarcodeFrame:
    """Count letters by site for barcodes whose starts are known."""
    counts = np.zeros((frame_width(reader), len(BASES)))
    for part, begins in zip(blocks(rows), blocks(starts), strict=True):
        framed = placed_letters(reader, part, begins)  # (n, W)
        for base in range(len(BASES)):
            counts[:, base] += (framed == base).sum(axis=0)
    total = counts.sum(axis=1, keepdims=True)  # (W, 1)
    shares = np.where(total > MIN_COVERAGE * len(rows), counts / np.maximum(total, 1), 0)
    return BarcodeFrame.from_frequencies(shares)


def find_starts(
    reader: BarcodeReader, rows: NDArray[np.int64], frame: BarcodeFrame
) -> NDArray[np.int64]:
    """Find the site at which each barcode begins, (N,); see `BarcodeFrame`."""
    starts = np.zeros(len(rows), np.int64)
    order = np.argsort(reader.lengths[rows], kind="stable")  # one long barcode widens a whole block
    for part in blocks(order):
        width = min(int(reader.lengths[rows[part]].max()), MAX_LETTERS)
        starts[part] = frame.starts_of_codes(reader.letters(rows[part], width))
    return starts


def placed_letters(
    reader: BarcodeReader, rows: NDArray[np.int64], starts: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Base codes of barcodes by site of the frame, unknown where they have no letter, (N, W)."""
    width = frame_width(reader)
    longest = width + max(int(-starts.min(initial=0)), 0)
    codes = reader.letters(rows, longest)  # (N, longest)
    places = np.arange(width) - starts[:, None]  # (N, W)
    found = np.take_along_axis(codes, np.maximum(places, 0), axis=1)
    return np.where(places >= 0, found, np.uint8(UNKNOWN_BASE))


def placed(reader: BarcodeReader, frame: BarcodeFrame | None) -> BarcodeReader:
    """Read the same barcodes in a frame, if there is one.

    A barcode that has no k-mer there keeps its place, as in the tokenizer.
    """
    if frame is None:
        return reader
    starts = find_starts(reader, np.arange(len(reader)), frame)
    framed = reader.in_frame(starts)
    for part in blocks(np.flatnonzero(starts)):
        ids, _ = framed.batch(part, np.zeros_like(part))
        starts[part[(ids < NUM_SPECIAL_TOKENS).all(axis=1)]] = 0
    return reader.in_frame(starts)
