"""Indels of a barcode: the segments of a sequence, each at its own shift from the frame.

    sites      0 1 2 3 4 5 6 7 8 9
    barcode    A C T T T A G G A T
    read       A C T T A G G C A T        one T deleted, one C inserted
    segments   A C T T                    letters 0 to 3, from site 0
                         A G G            letters 4 to 6, from site 5
                               A T        letters 8 and 9, from site 8
    in frame   A C T T N A G G A T        so every k-mer is at its own sites again

An inserted or deleted base (an indel) shifts every letter after it. The best ungapped placement
(`barcode_frame.py`) then fits only before the indel or only after it. Such a sequence is placed
again, starting from its best-scoring window, and dynamic programming cuts it into segments without
indels: the scores of the segments add up, and each indel costs `INDEL_COST`. Scores are whole
numbers and each row is computed independently, so the segments of a sequence do not depend on its
batch. This file goes to the Hub verbatim: it imports only numpy and `barcode_frame.py`.

In: a frame and sequences without gaps. Out: the segments of each sequence, or its letters in the
frame. Guarded by tests/tokenization/test_barcode_indels.py, measured by benchmarks/fragments.py.

Shapes: N = sequences, L = letters, W = sites of the frame, S = candidate shifts.
A shift is the site of a letter minus its index in the sequence (a diagonal of an alignment).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .barcode_frame import (
    BLOCK_SIZE,
    MIN_OVERLAP_BP,
    MIN_SCORE,
    NO_BASE,
    STEPS_PER_NAT,
    BarcodeFrame,
    letter_codes,
)


INDEL_COST = 10 * STEPS_PER_NAT  # about what ten letters at their own sites score
MAX_SHIFT_BP = 12  # largest distance from the best window's shift: four codons
WINDOW_BP, STRIDE_BP = 64, 32  # windows that are placed one by one
UNKNOWN_LETTER = "N"


class Segment(NamedTuple):
    """A stretch of a sequence without indels.

    Attributes:
        start: Index of its first letter.
        stop: Index after its last letter.
        site: Site of its first letter in the frame.
    """

    start: int
    stop: int
    site: int


def find_segments(frame: BarcodeFrame, sequences: Sequence[str]) -> list[list[Segment]]:
    """Cut sequences at their indels and find the site of each segment.

    Args:
        frame: The frame of the barcodes.
        sequences: DNA without gaps.

    Returns:
        For each sequence its segments in order; they share no letter and no site, and the first
        begins at letter 0. A sequence that fits nowhere is one segment from site 0.
    """
    found: list[list[Segment]] = [[] for _ in sequences]
    order = sorted(range(len(sequences)), key=lambda row: len(sequences[row]))
    for first in range(0, len(order), BLOCK_SIZE):
        rows = order[first : first + BLOCK_SIZE]
        codes = letter_codes([sequences[row] for row in rows])  # (N, L)
        # Most sequences have no indel: the ungapped placement is the answer.
        starts = frame.starts_of_codes(codes)  # (N,)
        for row, start in zip(rows, starts.tolist(), strict=True):
            found[row] = [Segment(0, len(sequences[row]), start)]
        # A stretch that loses more than an indel costs may fit better at another shift.
        is_doubtful = largest_drop(letter_scores(frame, codes, starts)) > INDEL_COST  # (N,)
        doubtful = [row for row, is_one in zip(rows, is_doubtful, strict=True) if is_one]
        shifts = find_shifts(frame, codes[is_doubtful])
        for row, by_letter in zip(doubtful, shifts, strict=True):
            if by_letter is not None:
                found[row] = segments_of_shifts(by_letter[: len(sequences[row])])
    return found


def letters_in_frame(sequence: str, segments: Sequence[Segment]) -> str:
    """Write a sequence site by site from its first segment on, N for each deleted base."""
    parts = []
    next_site = segments[0].site
    for segment in segments:
        num_deleted = segment.site - next_site
        parts += [UNKNOWN_LETTER * num_deleted, sequence[segment.start : segment.stop]]
        next_site = segment.site + segment.stop - segment.start
    return "".join(parts)


def letter_scores(
    frame: BarcodeFrame, codes: NDArray[np.uint8], starts: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Score each letter at its site; 0 outside the frame and for an unknown base.

    Args:
        frame: The frame of the barcodes.
        codes: Letter codes, (N, L).
        starts: Site of the first letter of each sequence, (N,).

    Returns:
        Log-odds in sixteenths of a nat, (N, L).
    """
    sites = starts[:, None] + np.arange(codes.shape[1])  # (N, L)
    is_known = (sites >= 0) & (sites < frame.width) & (codes != NO_BASE)
    scores: NDArray[np.float32] = frame.scores[
        np.clip(sites, 0, frame.width - 1), np.minimum(codes, NO_BASE - 1)
    ]
    return np.where(is_known, scores, np.float32(0))


def largest_drop(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Find the most that any stretch of a row loses: minus its minimum subarray sum.

    Args:
        scores: Scores of the letters, (N, L).

    Returns:
        The largest loss of each row, 0 if no stretch loses, (N,).
    """
    total = np.pad(np.cumsum(scores, axis=1), ((0, 0), (1, 0)))  # (N, L + 1)
    drop: NDArray[np.float32] = (np.maximum.accumulate(total, axis=1) - total).max(axis=1)
    return drop


def find_shifts(frame: BarcodeFrame, codes: NDArray[np.uint8]) -> list[NDArray[np.int64] | None]:
    """Find the shift of every letter; None for a sequence that fits nowhere.

    Args:
        frame: The frame of the barcodes.
        codes: Letter codes, (N, L).

    Returns:
        For each sequence its shifts, (L,), or None.
    """
    if not len(codes):
        return []
    shifts, scores = best_shifts(frame, codes, best_window_starts(frame, codes))  # (N, L), (N,)
    return [
        row if is_enough else None
        for row, is_enough in zip(shifts, scores >= MIN_SCORE, strict=True)
    ]


def best_window_starts(frame: BarcodeFrame, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Place windows of each sequence on their own and trust the best-scoring one.

    Args:
        frame: The frame of the barcodes.
        codes: Letter codes, (N, L).

    Returns:
        Site of each sequence's first letter according to its best window, (N,).
    """
    best = np.zeros(len(codes), np.int64)
    best_score = np.full(len(codes), -np.inf, np.float32)
    lowest = np.full(len(codes), MIN_OVERLAP_BP - WINDOW_BP)
    candidates = range(MIN_OVERLAP_BP - WINDOW_BP, max(frame.width - MIN_OVERLAP_BP, 0) + 1)
    for first in range(0, codes.shape[1], STRIDE_BP):
        window = codes[:, first : first + WINDOW_BP]
        starts, scores = frame.best_start(window, lowest, candidates)  # (N,), (N,)
        has_enough_bases = (window != NO_BASE).sum(axis=1) >= MIN_OVERLAP_BP
        is_better = has_enough_bases & (scores > best_score)
        best = np.where(is_better, starts - first, best)
        best_score = np.where(is_better, scores, best_score)
    return best


def best_shifts(
    frame: BarcodeFrame, codes: NDArray[np.uint8], starts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the shifts with the best total score, less the cost of indels (Viterbi algorithm).

    Args:
        frame: The frame of the barcodes.
        codes: Letter codes, (N, L).
        starts: Centre of each sequence's candidate shifts, (N,).

    Returns:
        shifts: Shift of every letter, (N, L).
        scores: Total score of each sequence, (N,).
    """
    deviations = np.arange(-MAX_SHIFT_BP, MAX_SHIFT_BP + 1)  # (S,)
    scores = np.stack([letter_scores(frame, codes, starts + by) for by in deviations])  # (S, N, L)
    num_letters, rows = codes.shape[1], np.arange(len(codes))

    # Forwards: the best total of a path that ends at each shift, and where that path came from.
    came_from = np.zeros(scores.shape, np.int8)  # (S, N, L): shift of the letter before
    total = scores[:, :, 0].copy()  # (S, N)
    stay = np.arange(len(deviations), dtype=np.int8)[:, None]  # (S, 1)
    for letter in range(1, num_letters):
        best = total.argmax(axis=0)  # (N,)
        after_indel = total[best, rows] - INDEL_COST  # (N,)
        came_from[:, :, letter] = np.where(after_indel > total, best, stay)
        total = np.maximum(total, after_indel) + scores[:, :, letter]

    # Backwards: follow the best path from its last letter.
    path = np.empty(codes.shape, np.int64)  # (N, L)
    path[:, -1] = total.argmax(axis=0)
    for letter in range(num_letters - 1, 0, -1):
        path[:, letter - 1] = came_from[path[:, letter], rows, letter]
    return starts[:, None] + deviations[path], total.max(axis=0)


def segments_of_shifts(shifts: NDArray[np.int64]) -> list[Segment]:
    """Cut a sequence where the shift of its letters changes.

    Where a lower shift would put letters at sites that are already taken, those letters are
    insertions and left out.

    Args:
        shifts: Shift of every letter, (L,).

    Returns:
        The segments, in order.
    """
    bounds = [0, *(np.flatnonzero(np.diff(shifts)) + 1).tolist(), len(shifts)]
    segments: list[Segment] = []
    next_site = int(shifts[0])  # the first site that is still free
    for start, stop in pairwise(bounds):
        shift = int(shifts[start])
        num_inserted = max(next_site - (shift + start), 0)
        if start + num_inserted < stop:
            segments.append(Segment(start + num_inserted, stop, shift + start + num_inserted))
            next_site = shift + stop
    return segments


__all__ = ["Segment", "find_segments", "letters_in_frame"]
