"""Anchors: the shifts from the frame at which windows of a sequence fit for themselves.

    read       ACCTTATACT...TTGGAACT NNNNNNNNNN GATCCAGCAG...CAACATTT
    pieces     ------- piece 1 ----- (unknown)  ------ piece 2 ------
    windows    [  64  ]  [  64  ]               [  64  ]  [  64  ]
    anchors      +0        +0                     +137      +137

A run of unknown letters is as long as somebody wrote it, not as the bases that are missing: ten N
may join two read ends that are 0 or 300 bases apart. So it cuts the sequence into pieces, and no
window reaches over it. Windows that fit well give the shifts that may occur in a sequence; indels
near them shift by a few bases more. This file goes to the Hub verbatim: it imports only numpy and
`barcode_frame.py`.

In: a frame and letter codes. Out: candidate shifts of each sequence.
Guarded by tests/tokenization/test_barcode_placement.py.

Shapes: N = sequences, L = letters, M = windows, S = candidate shifts.
A shift is the site of a letter minus its index in the sequence.
"""

import numpy as np
from numpy.typing import NDArray

from .barcode_frame import MIN_OVERLAP_BP, MIN_SCORE, NO_BASE, STEPS_PER_NAT, BarcodeFrame


MIN_UNKNOWN_BP = 5  # a run of this many unknown letters or more may stand for any number of bases
WINDOW_BP, STRIDE_BP = 64, 32  # windows that are placed one by one
MIN_ANCHOR_SCORE = 15 * STEPS_PER_NAT  # a window that scores this fits
MAX_SHIFT_BP = 12  # largest distance from an anchor's shift: four codons
BLOCK_WINDOWS = 2048  # windows that are placed together, which bounds the memory


def unknown_runs(codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Mark the letters of each run of at least `MIN_UNKNOWN_BP` unknown letters, (N, L)."""
    is_unknown = np.pad(codes == NO_BASE, ((0, 0), (1, 1)))  # (N, L + 2)
    changes = np.diff(is_unknown.astype(np.int8), axis=1)  # (N, L + 1)
    rows, starts = np.nonzero(changes == 1)
    _, stops = np.nonzero(changes == -1)
    is_long = stops - starts >= MIN_UNKNOWN_BP
    marks = np.zeros((len(codes), codes.shape[1] + 1), np.int8)
    marks[rows[is_long], starts[is_long]] = 1
    marks[rows[is_long], stops[is_long]] = -1
    return marks.cumsum(axis=1)[:, :-1] > 0


def windows_of(is_run: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Lay windows over the pieces of one sequence between its long runs of unknown letters.

    Args:
        is_run: Whether each letter belongs to a long run of unknown letters, (L,).

    Returns:
        Start and stop of each window.
    """
    edges = np.flatnonzero(np.diff(np.pad(~is_run, 1).astype(np.int8)))
    windows = []
    for start, stop in edges.reshape(-1, 2).tolist():
        last = max(stop - WINDOW_BP, start)  # the last window ends with the piece
        firsts = [*range(start, last, STRIDE_BP), last]
        windows += [(first, min(first + WINDOW_BP, stop)) for first in firsts]
    return [window for window in windows if window[1] - window[0] >= MIN_OVERLAP_BP]


def find_anchors(
    frame: BarcodeFrame, codes: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Place the windows of each sequence for themselves.

    Args:
        frame: The frame of the barcodes.
        codes: Letter codes, (N, L).

    Returns:
        rows: Row of each window that fits, and of the best one of each sequence, (M,).
        shifts: Its shift, (M,).
    """
    windows = [
        (row, first, stop)
        for row, is_run in enumerate(unknown_runs(codes))
        for first, stop in windows_of(is_run)
    ]
    table = np.array(windows, np.int64).reshape(-1, 3)  # (M, 3)
    letters = table[:, 1:2] + np.arange(WINDOW_BP)  # (M, 64)
    texts = codes[table[:, :1], np.minimum(letters, codes.shape[1] - 1)]
    texts[letters >= table[:, 2:]] = NO_BASE
    shifts = np.zeros(len(table), np.int64)
    scores = np.zeros(len(table), np.float32)
    candidates = range(MIN_OVERLAP_BP - WINDOW_BP, max(frame.width - MIN_OVERLAP_BP, 0) + 1)
    for first in range(0, len(texts), BLOCK_WINDOWS):
        block = texts[first : first + BLOCK_WINDOWS]
        lowest = np.full(len(block), candidates[0])
        starts, scores[first : first + BLOCK_WINDOWS] = frame.best_start(block, lowest, candidates)
        shifts[first : first + BLOCK_WINDOWS] = starts - table[first : first + BLOCK_WINDOWS, 1]
    best = np.full(len(codes), -np.inf, np.float32)  # (N,)
    np.maximum.at(best, table[:, 0], scores)
    is_anchor = (scores >= MIN_ANCHOR_SCORE) | (scores == best[table[:, 0]])  # (M,)
    return table[is_anchor, 0], shifts[is_anchor]


def candidate_shifts(
    frame: BarcodeFrame,
    codes: NDArray[np.uint8],
    starts: NDArray[np.int64],
    scores: NDArray[np.float32],
) -> list[NDArray[np.int64]]:
    """List the shifts that the letters of each sequence may have.

    Args:
        frame: The frame of the barcodes.
        codes: Letter codes, (N, L).
        starts: Best start of each sequence without indels, (N,).
        scores: Its score, in sixteenths of a nat, (N,).

    Returns:
        For each sequence its shifts in rising order, (S,); none for one that fits nowhere.
    """
    rows, shifts = find_anchors(frame, codes)
    whole = np.flatnonzero(scores >= MIN_SCORE)
    rows, shifts = np.concatenate([rows, whole]), np.concatenate([shifts, starts[whole]])
    deviations = np.arange(-MAX_SHIFT_BP, MAX_SHIFT_BP + 1)
    return [
        np.unique(np.unique(shifts[rows == row])[:, None] + deviations) for row in range(len(codes))
    ]


__all__ = ["candidate_shifts", "unknown_runs"]
