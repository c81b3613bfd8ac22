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
again: dynamic programming (`barcode_shifts.py`) chooses for each letter one of the shifts at which
windows of the sequence fit (`barcode_anchors.py`). Ends that do not fit are no part of the barcode,
and of two stretches at the same sites the better letters stay. Scores are whole numbers and each
row is computed independently, so the segments of a sequence do not depend on its batch. This file
goes to the Hub verbatim: it imports only numpy and its neighbours.

In: a frame and sequences without gaps. Out: the segments of each sequence, or its letters in the
frame. Guarded by tests/tokenization/test_barcode_indels.py, measured by benchmarks/fragments.py.

Shapes: N = sequences, L = letters, W = sites of the frame, S = candidate shifts.
A shift is the site of a letter minus its index in the sequence (a diagonal of an alignment).
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .barcode_anchors import candidate_shifts
from .barcode_frame import (
    BLOCK_SIZE,
    MAX_LETTERS,
    MIN_SCORE,
    NO_BASE,
    BarcodeFrame,
    letter_codes,
)
from .barcode_shifts import (
    END_COST,
    INDEL_COST,
    OUTSIDE,
    best_shifts,
    follows_unknown_run,
    letter_scores,
    shift_costs,
    table_of,
)


MOST_UNEQUAL = 1.25  # rows whose numbers of shifts differ by more are computed apart
MAX_CELLS = 2**24  # letters times shifts that are computed together, which bounds the memory
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


class Fit(NamedTuple):
    """How a sequence fits the frame.

    Attributes:
        segments: Its segments in order, which share no letter and no site; one from site 0 if it
            fits nowhere.
        score: Log-odds of its letters less the costs of indels and of cut-off ends, in
            sixteenths of a nat.
        fits: Whether it has a place in the frame.
    """

    segments: list[Segment]
    score: float
    fits: bool


def find_segments(frame: BarcodeFrame, sequences: Sequence[str]) -> list[list[Segment]]:
    """Cut sequences at their indels and find the site of each segment.

    Args:
        frame: The frame of the barcodes.
        sequences: DNA without gaps.

    Returns:
        For each sequence its segments in order; they share no letter and no site. Ends that are no
        part of the barcode belong to no segment. A sequence that fits nowhere is one segment from
        site 0.
    """
    return [fit.segments for fit in find_fits(frame, sequences)]


def find_fits(frame: BarcodeFrame, sequences: Sequence[str]) -> list[Fit]:
    """Find how sequences fit the frame.

    Args:
        frame: The frame of the barcodes.
        sequences: DNA without gaps.
    """
    fits: list[Fit] = [Fit([], 0.0, fits=False)] * len(sequences)
    doubtful: list[int] = []
    candidates: list[NDArray[np.int64]] = []
    order = sorted(range(len(sequences)), key=lambda row: len(sequences[row]))
    for first in range(0, len(order), BLOCK_SIZE):
        rows = order[first : first + BLOCK_SIZE]
        codes = letter_codes([sequences[row] for row in rows])  # (N, L)
        # Most sequences have no indel: the ungapped placement is the answer.
        starts, scores = frame.search(codes)  # (N,), (N,)
        is_placed = scores >= MIN_SCORE
        starts[~is_placed] = 0
        for row, start, score, is_one in zip(
            rows, starts.tolist(), scores.tolist(), is_placed.tolist(), strict=True
        ):
            fits[row] = Fit([Segment(0, len(sequences[row]), start)], score, is_one)
        # A stretch that loses more than an indel costs may fit better at another shift.
        drops = largest_drop(letter_scores(frame, codes, starts))  # (N,)
        chosen = np.flatnonzero((drops > INDEL_COST) | reaches_out(frame, codes, starts))
        doubtful += [rows[place] for place in chosen.tolist()]
        candidates += candidate_shifts(frame, codes[chosen], starts[chosen], scores[chosen])
    for row, fit in refit(frame, sequences, dict(zip(doubtful, candidates, strict=True))):
        if fit.fits:
            fits[row] = fit
    return fits


def refit(
    frame: BarcodeFrame, sequences: Sequence[str], candidates: dict[int, NDArray[np.int64]]
) -> Iterator[tuple[int, Fit]]:
    """Fit sequences that may have indels.

    Args:
        frame: The frame of the barcodes.
        sequences: DNA without gaps.
        candidates: Row of such a sequence -> shifts that its letters may have, (S,).

    Yields:
        Row of a sequence that has any candidate shifts, and its fit.
    """
    for rows in groups_of_equal_size(candidates, sequences):
        codes = letter_codes([sequences[row] for row in rows])  # (N, L)
        shifts = best_shifts(frame, codes, table_of([candidates[row] for row in rows]))  # (N, L)
        for row, codes_of_row, by_letter in zip(rows, codes, shifts, strict=True):
            num_letters = len(sequences[row])
            yield row, fit_of_shifts(frame, codes_of_row[:num_letters], by_letter[:num_letters])


def letters_in_frame(sequence: str, segments: Sequence[Segment]) -> str:
    """Write a sequence site by site from its first segment on, N for each deleted base."""
    parts = []
    next_site = segments[0].site
    for segment in segments:
        num_deleted = segment.site - next_site
        parts += [UNKNOWN_LETTER * num_deleted, sequence[segment.start : segment.stop]]
        next_site = segment.site + segment.stop - segment.start
    return "".join(parts)


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


def reaches_out(
    frame: BarcodeFrame, codes: NDArray[np.uint8], starts: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Find sequences of several pieces that stand partly outside the frame, (N,).

    Letters outside score nothing, so a piece at a wrong place is not noticed there.
    """
    numbers = np.arange(1, codes.shape[1] + 1)
    lengths = ((codes != NO_BASE) * numbers).max(axis=1, initial=0)  # up to the last base, (N,)
    is_outside: NDArray[np.bool_] = (starts < 0) | (starts + lengths > frame.width)  # (N,)
    is_outside[is_outside] = follows_unknown_run(codes[is_outside]).any(axis=1)
    return is_outside


def groups_of_equal_size(
    candidates: dict[int, NDArray[np.int64]], sequences: Sequence[str]
) -> list[list[int]]:
    """Group rows by their number of candidate shifts, as many as the memory allows.

    Args:
        candidates: Row -> candidate shifts, (S,); rows with none are left out.
        sequences: All sequences.

    Returns:
        Rows of each group.
    """
    sizes = {row: len(shifts) for row, shifts in candidates.items() if len(shifts)}
    groups: list[list[int]] = []
    longest = 0
    for row in sorted(sizes, key=lambda row: (sizes[row], len(sequences[row]))):
        longest = max(longest, min(len(sequences[row]), MAX_LETTERS))
        if (
            not groups
            or sizes[row] > MOST_UNEQUAL * sizes[groups[-1][0]]
            or (len(groups[-1]) + 1) * sizes[row] * longest > MAX_CELLS
        ):
            groups.append([])
            longest = min(len(sequences[row]), MAX_LETTERS)
        groups[-1].append(row)
    return groups


def fit_of_shifts(frame: BarcodeFrame, codes: NDArray[np.uint8], shifts: NDArray[np.int64]) -> Fit:
    """Cut a sequence where the shift of its letters changes.

    Args:
        frame: The frame of the barcodes.
        codes: Letter codes, (L,).
        shifts: Shift of every letter, `OUTSIDE` for one that was cut off, (L,).
    """
    bounds = [0, *(np.flatnonzero(np.diff(shifts)) + 1).tolist(), len(shifts)]
    segments: list[Segment] = []
    for start, stop in pairwise(bounds):
        if shifts[start] != OUTSIDE:
            add_segment(frame, codes, segments, Segment(start, stop, int(shifts[start]) + start))
    score = sum(float(segment_scores(frame, codes, part).sum()) for part in segments)
    costs = shift_costs(codes[None])[0]
    score -= sum(float(costs[part.start]) for part in segments[1:])
    score -= END_COST * int((shifts[[0, -1]] == OUTSIDE).sum())
    return Fit(segments, score, score >= MIN_SCORE)


def segment_scores(
    frame: BarcodeFrame, codes: NDArray[np.uint8], segment: Segment
) -> NDArray[np.float32]:
    """Score the letters of a segment, in sixteenths of a nat."""
    start, stop, site = segment
    found: NDArray[np.float32] = letter_scores(
        frame, codes[None, start:stop], np.array([site])
    ).reshape(-1)
    return found


def running_total(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the total of the first 0, 1, ... scores, (L,) to (L + 1,)."""
    total = np.zeros(len(scores) + 1, np.float32)  # `numpy.pad` takes longer than the sum
    scores.cumsum(out=total[1:])
    return total


def add_segment(
    frame: BarcodeFrame, codes: NDArray[np.uint8], segments: list[Segment], added: Segment
) -> None:
    """Append a segment; where it would take sites that are taken, the better letters stay.

    Args:
        frame: The frame of the barcodes.
        codes: Letter codes, (L,).
        segments: Segments so far, in order; changed in place.
        added: Segment to append.
    """
    while segments and added.start < added.stop:
        before = segments[-1]
        size = before.stop - before.start
        overlap = before.site + size - added.site
        if overlap <= 0:
            break
        # Leave out the last t letters of the one and the first `overlap - t` of the other.
        lost_before = running_total(segment_scores(frame, codes, before)[::-1])
        lost_added = running_total(segment_scores(frame, codes, added))
        fewest = max(overlap - len(lost_added) + 1, 0)
        cuts = np.arange(min(fewest, size), min(overlap, size) + 1)  # values of t
        losses = lost_before[cuts] + lost_added[np.where(cuts == size, 0, overlap - cuts)]
        if fewest and losses.min() >= lost_added[-1]:
            return
        cut = int(cuts[losses.argmin()])
        segments.pop()
        if cut < size:
            segments.append(before._replace(stop=before.stop - cut))
            skipped = overlap - cut
            added = Segment(added.start + skipped, added.stop, added.site + skipped)
    if added.start < added.stop:
        segments.append(added)


__all__ = ["Fit", "Segment", "find_fits", "find_segments", "letters_in_frame"]
