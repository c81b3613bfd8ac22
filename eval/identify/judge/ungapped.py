"""Two sequences laid on each other without gaps, as the barcodes of one gene nearly always lie.

In: an inner sequence and an outer one that is not shorter. Out: how they overlap where a word that
both hold comes to lie on itself, and with how many errors. Far cheaper than an alignment, which
then has to show only that gaps would not help. Guarded by
tests/eval/identify/judge/test_ungapped.py.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


WORD = 10  # bp; the offset may be wrong where chance repeats a word, then the alignment decides
ANY = ord("N")
IS_BASE = np.isin(np.arange(256), np.frombuffer(b"ACGT", np.uint8))  # by letter, (256,)


@dataclass(frozen=True)
class Overlap:
    """How an inner sequence lies on an outer one.

    Attributes:
        num_columns: Letters of the inner sequence that have a partner.
        num_equal: Letters that agree with their partner.
        num_errors: As an alignment counts them: letters that disagree or have no partner.
    """

    num_columns: int
    num_equal: int
    num_errors: int


def find_offset(inner: str, outer: str) -> int | None:
    """Place in `outer` where `inner` begins, by its first word that is there; None without one.

    Negative where the start of `inner` hangs over.
    """
    for start in range(0, len(inner) - WORD + 1, WORD):
        word = inner[start : start + WORD]
        place = outer.find(word)
        if place >= 0 and "N" not in word:
            return place - start
    return None


def count_mismatches(left: NDArray[np.uint8], right: NDArray[np.uint8], has_any: bool) -> int:
    """Count the places (L,) at which letters differ; N, if there, agrees with A, C, G, T and N."""
    differs = left != right
    if has_any:
        for letters, others in ((left, right), (right, left)):
            differs &= ~((letters == ANY) & IS_BASE[others])
    return int(np.count_nonzero(differs))


def find_overlap(inner: str, outer: str) -> Overlap | None:
    """Lay `inner` on `outer`; None where they share no word.

    Args:
        inner: At least one letter.
        outer: Not shorter.
    """
    offset = find_offset(inner, outer)
    if offset is None or not (inner.isascii() and outer.isascii()):
        return None
    start = max(-offset, 0)  # of the overlap, in `inner`
    num_columns = min(len(inner) - start, len(outer) - offset - start)
    left = np.frombuffer(inner.encode(), np.uint8, num_columns, start)
    right = np.frombuffer(outer.encode(), np.uint8, num_columns, start + offset)
    num_equal = num_columns - count_mismatches(left, right, "N" in inner or "N" in outer)
    return Overlap(num_columns, num_equal, len(inner) - num_equal)
