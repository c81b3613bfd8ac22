"""Which strand a barcode is written on, and whether its reading frame is open.

In: sequences cleaned as in `screening.py`. Out: `plus` or `minus` by the k-mers that the library's
own barcodes have on one strand and not on the other, so a query is embedded once, not twice.
Guarded by tests/eval/test_orientation.py.

Shapes: N = sequences, C = 4**K k-mers.
"""

from collections.abc import Iterable
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from barcodemae.eval.embed.kmer_counts import KmerCounts


STRAND_K = 6
CLEAR_EVIDENCE = 10.0  # nats of log-odds; below, both strands are embedded and compared
COMPLEMENT = str.maketrans("ACGTRYSWKMBDHVN", "TGCAYRSWMKVHDBN")
# Stops that the mitochondrial codes of invertebrates (NCBI 5) and vertebrates (2) share; AGA and
# AGG are stops in code 2 only, amino acids in code 5, so they tell nothing here.
STOPS = ("TAA", "TAG")


def reverse_complement(sequence: str) -> str:
    """Return the other strand; IUPAC codes are complemented too."""
    return sequence.translate(COMPLEMENT)[::-1]


def reverse_complement_codes(k: int) -> NDArray[np.int64]:
    """Return, for each k-mer in `product("ACGT")` order, the number of its other strand, (C,)."""
    codes = np.arange(4**k)
    reverse = np.zeros_like(codes)
    for _ in range(k):
        reverse = reverse * 4 + (3 - codes % 4)
        codes = codes // 4
    return reverse


class StrandProfile:
    """Log-odds of each k-mer to stand on the library's strand rather than on the other.

    Args:
        counts: How often each k-mer occurs in the library, (C,).
    """

    def __init__(self, counts: NDArray[np.int64]) -> None:
        self.counts = counts
        self.kmers = KmerCounts(STRAND_K)
        forward = counts + 1.0
        self.log_odds = np.log(forward) - np.log(forward[reverse_complement_codes(STRAND_K)])

    @staticmethod
    def count(sequences: Iterable[str]) -> NDArray[np.int64]:
        """Count the k-mers of some barcodes, (C,)."""
        counter = KmerCounts(STRAND_K)
        counts = np.zeros(4**STRAND_K, np.int64)
        for sequence in sequences:
            counts += np.bincount(counter.kmer_codes(sequence), minlength=len(counts))
        return counts

    def evidence(self, sequence: str) -> float:
        """Log-odds in nats: positive for the library's strand, negative for the other.

        Neighbouring k-mers share K - 1 bases, so their sum is divided by K.
        """
        return float(self.log_odds[self.kmers.kmer_codes(sequence)].sum()) / STRAND_K

    def choose(self, sequence: str) -> str:
        """Return `plus`, `minus`, or `unclear` where the evidence is weak."""
        evidence = self.evidence(sequence)
        if abs(evidence) < CLEAR_EVIDENCE:
            return "unclear"
        return "plus" if evidence > 0 else "minus"


def has_open_frame(sequence: str) -> bool:
    """Whether any of the three forward frames is free of the stops TAA and TAG."""
    first, second = STOPS
    between = sequence.replace(second, first).split(first)
    # Stops have three letters, so what lies between them tells their frames.
    frames = {start % 3 for start in accumulate(len(part) for part in between[:-1])}
    return len(frames) < 3
