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

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .barcode_anchors import unknown_runs
from .barcode_frame import NO_BASE, STEPS_PER_NAT, BarcodeFrame


INDEL_COST = 10 * STEPS_PER_NAT  # about what ten letters at their own sites score
UNKNOWN_COST = 5 * STEPS_PER_NAT  # of another shift after a long run of unknown letters
END_COST = INDEL_COST  # an end that loses more than this is cut off
OUTSIDE = -(2**24)  # shift of a letter that was cut off
NEVER = -1e6  # score of a shift that a row does not have


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
    num_letters = codes.shape[1]
    scores = np.empty((num_letters, *candidates.shape), np.float32)  # (L, N, S)
    for column, shifts in enumerate(candidates.T):
        scores[:, :, column] = letter_scores(frame, codes, shifts).T
    scores += np.where(candidates == OUTSIDE, np.float32(NEVER), np.float32(0))
    costs = shift_costs(codes).T  # (L, N)

    # Forwards: the best total of a path that ends at each shift. Whatever can be computed of all
    # letters at once is left for later, as this loop is most of the time.
    totals = scores  # (L, N, S), written over the scores
    highest = np.empty(costs.shape, np.float32)  # (L, N): best total after each letter
    entered = np.zeros(costs.shape, np.float32)  # (L, N): best total of a path that is new here
    totals[0].max(axis=1, out=highest[0])
    for letter in range(1, num_letters):
        np.subtract(highest[letter - 1], costs[letter], out=entered[letter])
        np.maximum(entered[letter], np.float32(-END_COST), out=entered[letter])
        totals[letter] += np.maximum(totals[letter - 1], entered[letter][:, None])
        totals[letter].max(axis=1, out=highest[letter])

    # Backwards: follow the best path of each row from its last letter.
    best = totals.argmax(axis=2)  # (L, N): best shift after each letter
    is_cut = np.zeros(costs.shape, bool)  # (L, N): a path that is new here has no letters before
    is_cut[1:] = highest[:-1] - costs[1:] <= -END_COST
    end = highest.argmax(axis=0)  # (N,)
    found = np.full(codes.shape, OUTSIDE)  # (N, L)
    for row, last in enumerate(end.tolist()):
        if highest[-1, row] >= highest[last, row] - END_COST:
            last = num_letters - 1
        for start, stop, state in path_of(totals[:, row], entered[:, row], best[:, row], last):
            found[row, start:stop] = candidates[row, state]
            if is_cut[start, row]:
                break
    return found


def path_of(
    totals: NDArray[np.float32],
    entered: NDArray[np.float32],
    best: NDArray[np.int64],
    last: int,
) -> Iterator[tuple[int, int, int]]:
    """Follow the best path of one sequence backwards, shift by shift.

    Args:
        totals: Best total of a path that ends at each letter with each shift, (L, S).
        entered: Best total, before the letter, of a path that takes a shift anew there, (L,).
        best: Best shift after each letter, (L,).
        last: Last letter of the path.

    Yields:
        First letter with a shift, the letter after the last one, and which shift it is.
    """
    stop, state = last + 1, int(best[last])
    while stop:
        # The path took this shift at the last letter at which a new path was better than its own.
        is_new = entered[1:stop] > totals[: stop - 1, state]
        start = stop - 1 - int(is_new[::-1].argmax()) if is_new.any() else 0
        yield start, stop, state
        stop, state = start, int(best[start - 1])


__all__ = ["best_shifts", "letter_scores", "shift_costs", "table_of"]
