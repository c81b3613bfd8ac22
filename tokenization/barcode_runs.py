"""The pieces of a sequence that stand at different distances from the frame: runs.

    sites      0 1 2 3 4 5 6 7 8 9
    barcode    A C T T T A G G A T
    read       A C T T A G G C A T        one T lost, one C gained
    runs       A C T T                    letters 0 to 4 from site 0
                         A G G            letters 4 to 7 from site 5
                               A T        letters 8 to 10 from site 8
    in frame   A C T T N A G G A T        so every k-mer stands where it belongs again

A base lost or gained shifts all that follows. The best ungapped placement (`barcode_frame.py`) then
fits up to there and not beyond, or the reverse; such a sequence is placed again, by its clearest
window, and a dynamic programme finds the runs: their scores add up, each new one costs `RUN_COST`.
Scores are whole numbers and every row is computed for itself, so runs depend on the sequence alone.
This file goes to the Hub verbatim: it imports only numpy and its neighbour. Guarded by
tests/tokenization/test_barcode_runs.py, measured by benchmarks/fragments.py.

Shapes: N = sequences, L = letters, W = sites of the frame, S = shifts.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .barcode_frame import (
    BLOCK_SIZE,
    CLEAR_EVIDENCE,
    MIN_OVERLAP_BP,
    NO_BASE,
    STEPS_PER_NAT,
    BarcodeFrame,
    letter_codes,
)


RUN_COST = 10 * STEPS_PER_NAT  # about ten letters in their place give as much evidence
MAX_SHIFT_BP = 12  # furthest from the clearest window's place: four codons
WINDOW_BP, STEP_BP = 64, 32  # windows that are placed for themselves
UNKNOWN = "N"


class Run(NamedTuple):
    """Letters `first` to `last` (not included) of a sequence stand at `site` and after."""

    first: int
    last: int
    site: int


def find_runs(frame: BarcodeFrame, sequences: Sequence[str]) -> list[list[Run]]:
    """Find where the pieces of sequences belong.

    Args:
        frame: The common frame.
        sequences: DNA without gaps.

    Returns:
        For each sequence its runs in order, no letter and no site twice, the first from letter
        0 on. A sequence that fits nowhere is one run from site 0.
    """
    found: list[list[Run]] = [[] for _ in sequences]
    order = sorted(range(len(sequences)), key=lambda row: len(sequences[row]))
    for first in range(0, len(order), BLOCK_SIZE):
        rows = order[first : first + BLOCK_SIZE]
        codes = letter_codes([sequences[row] for row in rows])  # (N, L)
        starts = frame.starts_of_codes(codes)  # (N,)
        for row, start in zip(rows, starts.tolist(), strict=True):
            found[row] = [Run(0, len(sequences[row]), start)]
        is_doubtful = worst_stretch(letter_scores(frame, codes, starts)) > RUN_COST  # (N,)
        doubtful = [row for row, is_one in zip(rows, is_doubtful, strict=True) if is_one]
        shifts = find_shifts(frame, codes[is_doubtful])
        for row, by_letter in zip(doubtful, shifts, strict=True):
            if by_letter is not None:
                found[row] = runs_of_shifts(by_letter[: len(sequences[row])])
    return found


def letters_in_frame(sequence: str, runs: Sequence[Run]) -> str:
    """Write a sequence site by site from its first run's on, N for what was lost."""
    parts = []
    end = runs[0].site
    for run in runs:
        parts += [UNKNOWN * (run.site - end), sequence[run.first : run.last]]
        end = run.site + run.last - run.first
    return "".join(parts)


def letter_scores(
    frame: BarcodeFrame, codes: NDArray[np.uint8], starts: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Evidence of each letter for its site; 0 outside the frame and for no base.

    Args:
        frame: The common frame.
        codes: (N, L).
        starts: Site of the first letter of each, (N,).

    Returns:
        (N, L).
    """
    sites = starts[:, None] + np.arange(codes.shape[1])  # (N, L)
    is_known = (sites >= 0) & (sites < frame.width) & (codes != NO_BASE)
    scores: NDArray[np.float32] = frame.scores[
        np.clip(sites, 0, frame.width - 1), np.minimum(codes, NO_BASE - 1)
    ]
    return np.where(is_known, scores, np.float32(0))


def worst_stretch(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much evidence stands against the worst stretch of each row, (N, L) to (N,)."""
    total = np.pad(np.cumsum(scores, axis=1), ((0, 0), (1, 0)))  # (N, L + 1)
    drop: NDArray[np.float32] = (np.maximum.accumulate(total, axis=1) - total).max(axis=1)
    return drop


def find_shifts(frame: BarcodeFrame, codes: NDArray[np.uint8]) -> list[NDArray[np.int64] | None]:
    """Site less letter for every letter of sequences (N, L); None for one that fits nowhere."""
    if not len(codes):
        return []
    shifts, evidence = best_shifts(frame, codes, clearest_starts(frame, codes))  # (N, L), (N,)
    return [
        row if enough else None
        for row, enough in zip(shifts, evidence >= CLEAR_EVIDENCE, strict=True)
    ]


def clearest_starts(frame: BarcodeFrame, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Place windows of each sequence for themselves; the clearest tells where it begins, (N,)."""
    best = np.zeros(len(codes), np.int64)
    evidence = np.full(len(codes), -np.inf, np.float32)
    lowest = np.full(len(codes), MIN_OVERLAP_BP - WINDOW_BP)
    among = range(MIN_OVERLAP_BP - WINDOW_BP, max(frame.width - MIN_OVERLAP_BP, 0) + 1)
    for first in range(0, codes.shape[1], STEP_BP):
        window = codes[:, first : first + WINDOW_BP]
        starts, found = frame.best_start(window, lowest, among)  # (N,), (N,)
        has_enough = (window != NO_BASE).sum(axis=1) >= MIN_OVERLAP_BP
        is_better = has_enough & (found > evidence)
        best = np.where(is_better, starts - first, best)
        evidence = np.where(is_better, found, evidence)
    return best


def best_shifts(
    frame: BarcodeFrame, codes: NDArray[np.uint8], starts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find for every letter how far site and letter are apart, at the best total score.

    Args:
        frame: The common frame.
        codes: (N, L).
        starts: What the shifts lie around, (N,).

    Returns:
        Site less letter, (N, L), and the total score, (N,).
    """
    around = np.arange(-MAX_SHIFT_BP, MAX_SHIFT_BP + 1)  # (S,)
    scores = np.stack([letter_scores(frame, codes, starts + by) for by in around])  # (S, N, L)
    num_letters, rows = codes.shape[1], np.arange(len(codes))
    came_from = np.zeros(scores.shape, np.int8)  # (S, N, L): shift of the letter before
    total = scores[:, :, 0].copy()  # (S, N)
    stay = np.arange(len(around), dtype=np.int8)[:, None]  # (S, 1)
    for letter in range(1, num_letters):
        best = total.argmax(axis=0)  # (N,)
        changed = total[best, rows] - RUN_COST  # (N,)
        came_from[:, :, letter] = np.where(changed > total, best, stay)
        total = np.maximum(total, changed) + scores[:, :, letter]
    path = np.empty(codes.shape, np.int64)  # (N, L)
    path[:, -1] = total.argmax(axis=0)
    for letter in range(num_letters - 1, 0, -1):
        path[:, letter - 1] = came_from[path[:, letter], rows, letter]
    return starts[:, None] + around[path], total.max(axis=0)


def runs_of_shifts(shifts: NDArray[np.int64]) -> list[Run]:
    """Cut a sequence where the shift of its letters changes, (L,) to runs.

    Of a run that would begin at a site that is taken, the first letters were gained: left out.
    """
    bounds = [0, *(np.flatnonzero(np.diff(shifts)) + 1).tolist(), len(shifts)]
    runs: list[Run] = []
    end = int(shifts[0])  # next site that is free
    for first, last in pairwise(bounds):
        gained = max(end - (int(shifts[first]) + first), 0)
        if first + gained < last:
            runs.append(Run(first + gained, last, int(shifts[first]) + first + gained))
            end = int(shifts[first]) + last
    return runs


__all__ = ["Run", "find_runs", "letters_in_frame"]
