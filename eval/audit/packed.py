"""Letters of records as bits, by which millions of pairs are compared site by site in seconds.

Of each site three bits: whether its letter is known, and the two that tell A, C, G and T apart. In:
letter codes in the frame. Out: numbers of shared and of different sites of pairs of records.
Guarded by tests/eval/audit/test_packed.py.

Shapes: N = records, W = sites of the frame, P = pairs, B = words of 64 sites.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from barcodemae.eval.identify.judge.comparison import NO_BASE, conserved_sites


WORD = 64
ROWS_PER_BLOCK, PAIRS_PER_BLOCK = 8192, 16_384


class SiteCounts(NamedTuple):
    """Numbers of sites of pairs of records.

    Attributes:
        shared: Sites whose letter is known of both, (P,).
        different: Those whose letters differ, (P,).
        slow_shared: Shared ones at the first two positions of codons, (P,).
        slow_different: Different ones there, (P,).
    """

    shared: NDArray[np.int64]
    different: NDArray[np.int64]
    slow_shared: NDArray[np.int64]
    slow_different: NDArray[np.int64]


@dataclass(frozen=True)
class PackedLetters:
    """Letters as bits.

    Attributes:
        known: Whether a letter is known, (N, B).
        low: Lower bit of its code, 0 where unknown, (N, B).
        high: Higher bit of its code, 0 where unknown, (N, B).
        slow: Sites at the first two positions of codons, (B,).
    """

    known: NDArray[np.uint64]
    low: NDArray[np.uint64]
    high: NDArray[np.uint64]
    slow: NDArray[np.uint64]

    @classmethod
    def of(cls, letters: NDArray[np.uint8]) -> Self:
        """Pack letter codes, (N, W)."""
        num_words = -(-letters.shape[1] // WORD)
        planes = [np.zeros((len(letters), num_words), np.uint64) for _ in range(3)]
        for start in range(0, len(letters), ROWS_PER_BLOCK):
            here = slice(start, start + ROWS_PER_BLOCK)
            codes = letters[here]
            is_known = codes < NO_BASE
            bits = (is_known, is_known & (codes & 1 == 1), is_known & (codes & 2 == 2))
            for plane, part in zip(planes, bits, strict=True):
                plane[here] = pack(part)
        slow = pack(conserved_sites(letters)[None])[0]
        return cls(planes[0], planes[1], planes[2], slow)

    def compare(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> SiteCounts:
        """Count the sites of pairs of records, given by the rows of both, (P,) each."""
        counts = np.zeros((4, len(left)), np.int64)
        for start in range(0, len(left), PAIRS_PER_BLOCK):
            here = slice(start, start + PAIRS_PER_BLOCK)
            one, other = left[here], right[here]
            shared = self.known[one] & self.known[other]  # (P, B)
            differs = (self.low[one] ^ self.low[other]) | (self.high[one] ^ self.high[other])
            differs &= shared
            parts = (shared, differs, shared & self.slow, differs & self.slow)
            for count, part in zip(counts, parts, strict=True):
                count[here] = np.bitwise_count(part).sum(axis=1, dtype=np.int64)
        return SiteCounts(*counts)


def pack(bits: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Pack bits into words, (rows, W) to (rows, B)."""
    width = -(-bits.shape[1] // WORD) * WORD
    padded = np.zeros((len(bits), width), bool)
    padded[:, : bits.shape[1]] = bits
    return np.packbits(padded, axis=1).view(np.uint64)


__all__ = ["PackedLetters", "SiteCounts"]
