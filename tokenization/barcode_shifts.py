"""The best shift of every letter of a sequence, by dynamic programming.

    letters    G G A C C T T A A C T T ... C A C T     an adapter, a barcode with a base too many
    shifts     - - -2 -2 -2 -2 -2 -3 -3 ...            `-` for a letter outside the barcode

The scores of the letters at their sites add up. A change of shift costs `INDEL_COST`, after a long
run of unknown letters only `UNKNOWN_COST`; an end that is cut off costs `END_COST`, whatever its
length. This file goes to the Hub verbatim: it imports only numpy and its neighbours.

In: a frame, letter codes and candidate shifts. Out: the shift of each letter.
Guarded by tests/tokenization/test_barcode_indels.py.

Shapes: N = sequences, L = letters, S = candidate shifts.
A shift is the site of a letter minus its index in the sequence (a diagonal of an alignment).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .barcode_anchors import unknown_runs
from .barcode_frame import NO_BASE, STEPS_PER_NAT, BarcodeFrame


INDEL_COST = 10 * STEPS_PER_NAT  # about what ten letters at their own sites score
UNKNOWN_COST = 5 * STEPS_PER_NAT  # of another shift after a long run of unknown letters
END_COST = INDEL_COST  # an end that loses more than this is cut off
OUTSIDE = -(2**24)  # shift of a letter that was cut off
NEVER = -1e6  # score of a shift that a row does not have
CUT = -1  # in place of the shift of the letter before: the path starts here


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
    sites = starts.astype(np.int32)[:, None] + np.arange(codes.shape[1], dtype=np.int32)  # (N, L)
    # Negative sites are huge as unsigned numbers, so one comparison finds both sides.
    rows = np.minimum(sites.view(np.uint32), np.uint32(frame.width)).astype(np.int32)
    scores: NDArray[np.float32] = frame.padded_scores[rows * np.int32(NO_BASE + 1) + codes]
    return scores


def table_of(shifts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Write candidate shifts as a table, `OUTSIDE` where a row has fewer than others, (N, S)."""
    table = np.full((len(shifts), max(map(len, shifts))), OUTSIDE)
    for row, values in enumerate(shifts):
        table[row, : len(values)] = values
    return table


def follows_unknown_run(codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Mark the first letter after each long run of unknown letters, (N, L)."""
    is_run = unknown_runs(codes)  # (N, L)
    return np.pad(is_run, ((0, 0), (1, 0)))[:, :-1] & ~is_run


def shift_costs(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what it costs that a letter has another shift than the letter before, (N, L)."""
    return np.where(follows_unknown_run(codes), np.float32(UNKNOWN_COST), np.float32(INDEL_COST))


def best_shifts(
    frame: BarcodeFrame, codes: NDArray[np.uint8], candidates: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Find the shifts with the best total score, less the costs of indels and of cut-off ends.

    This is the Viterbi algorithm with free ends.

    Args:
        frame: The frame of the barcodes.
        codes: Letter codes, (N, L).
        candidates: Shifts that the letters of each row may have, `OUTSIDE` for none, (N, S).

    Returns:
        Shift of every letter, `OUTSIDE` for one of a cut-off end, (N, L).
    """
    num_rows, num_letters = codes.shape
    rows = np.arange(num_rows)
    scores = np.empty((num_letters, *candidates.shape), np.float32)  # (L, N, S)
    for column, shifts in enumerate(candidates.T):
        scores[:, :, column] = letter_scores(frame, codes, shifts).T
    costs = shift_costs(codes)  # (N, L)

    scores += np.where(candidates == OUTSIDE, np.float32(NEVER), np.float32(0))

    # Forwards: the best total of a path that ends at each shift, and where that path came from.
    came_from = np.full(scores.shape, CUT, np.int16)  # (L, N, S)
    stay = np.arange(candidates.shape[1], dtype=np.int16)  # (S,)
    best = np.empty((num_letters, num_rows), np.int64)  # (L, N): best shift after each letter
    highest = np.empty((num_letters, num_rows), np.float32)  # (L, N): its total
    total = scores[0]  # (N, S)
    for letter in range(num_letters):
        if letter:
            after_indel = highest[letter - 1] - costs[:, letter]  # (N,)
            source = np.where(after_indel > -END_COST, best[letter - 1], CUT)[:, None]
            entered = np.maximum(after_indel, np.float32(-END_COST))[:, None]  # (N, 1)
            np.copyto(came_from[letter], np.where(entered > total, source, stay))
            total = np.maximum(total, entered) + scores[letter]
        best[letter] = total.argmax(axis=1)
        highest[letter] = total[rows, best[letter]]
    end = highest.argmax(axis=0)  # (N,)
    is_whole = highest[-1] >= highest[end, rows] - END_COST
    last = np.where(is_whole, num_letters - 1, end)  # (N,)
    state = best[last, rows]  # (N,)

    # Backwards: follow the best path from its last letter.
    shifts = np.full(codes.shape, OUTSIDE)  # (N, L)
    for letter in range(num_letters - 1, -1, -1):
        is_inside = (letter <= last) & (state != CUT)  # (N,)
        shifts[:, letter] = np.where(is_inside, candidates[rows, state], OUTSIDE)
        state = np.where(is_inside, came_from[letter, rows, state], state)
    return shifts


__all__ = ["best_shifts", "letter_scores", "shift_costs", "table_of"]
