"""Ungapped overlap of two sequences, which suffices for nearly all barcodes of one gene.

In: an inner sequence and an outer one that is not shorter. Out: their overlap at the offset where a
word that both contain matches, and the number of errors. This is far cheaper than an alignment,
which afterwards only has to show that gaps would not help.
Guarded by tests/eval/identify/judge/test_ungapped.py.

Shapes: L = letters of the overlap.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


WORD = 10  # bp; a word that is repeated by chance gives a wrong offset: then the alignment decides
ANY = ord("N")
IS_BASE = np.isin(np.arange(256), np.frombuffer(b"ACGT", np.uint8))  # by letter code, (256,)


@dataclass(frozen=True)
class Overlap:
    """Ungapped overlap of an inner sequence with an outer one.

    Attributes:
        num_columns: Number of letters of the inner sequence that lie in the overlap.
        num_equal: Number of columns whose letters match.
        num_errors: Number of letters of the inner sequence that mismatch or lie outside of the
            overlap, which is how an alignment counts errors.
    """

    num_columns: int
    num_equal: int
    num_errors: int


def find_offset(inner: str, outer: str) -> int | None:
    """Find the position in `outer` at which `inner` begins, by the first word they share.

    Returns:
        The offset in bp, negative where the start of `inner` hangs over; None if no word is shared.
    """
    for start in range(0, len(inner) - WORD + 1, WORD):
        word = inner[start : start + WORD]
        place = outer.find(word)
        if place >= 0 and "N" not in word:
            return place - start
    return None


def count_mismatches(left: NDArray[np.uint8], right: NDArray[np.uint8], has_any: bool) -> int:
    """Count the columns whose letters mismatch.

    Args:
        left: Letter codes of one sequence, (L,).
        right: Letter codes of the other, (L,).
        has_any: Whether either may contain N, which matches A, C, G, T and N.
    """
    differs = left != right
    if has_any:
        for letters, others in ((left, right), (right, left)):
            differs &= ~((letters == ANY) & IS_BASE[others])
    return int(np.count_nonzero(differs))


def find_overlap(inner: str, outer: str) -> Overlap | None:
    """Find the ungapped overlap of two sequences.

    Args:
        inner: Sequence of at least one letter.
        outer: Sequence that is not shorter.

    Returns:
        The overlap, None if the sequences share no word.
    """
    offset = find_offset(inner, outer)
    if offset is None or not (inner.isascii() and outer.isascii()):
        return None
    start = max(-offset, 0)  # position in `inner` at which the overlap begins
    num_columns = min(len(inner) - start, len(outer) - offset - start)
    left = np.frombuffer(inner.encode(), np.uint8, num_columns, start)  # (L,)
    right = np.frombuffer(outer.encode(), np.uint8, num_columns, start + offset)  # (L,)
    num_equal = num_columns - count_mismatches(left, right, "N" in inner or "N" in outer)
    return Overlap(num_columns, num_equal, len(inner) - num_equal)
