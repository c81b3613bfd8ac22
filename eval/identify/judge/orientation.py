"""Strand of a barcode, and whether it has an open reading frame.

In: letters read as in `barcodemae.conventions.letters`. Out: log-odds of the library's strand, by
how much more often its barcodes contain the k-mers of the sequence than those of its reverse
complement; and of the library's marker, against letters in random order.
Guarded by tests/eval/identify/judge/test_orientation.py.

Shapes: C = 4**K k-mers.
"""

from collections.abc import Iterable
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from barcodemae.eval.embed.kmer_counts import KmerCounts


STRAND_K = 6
COMPLEMENT = str.maketrans("ACGTRYSWKMBDHVN", "TGCAYRSWMKVHDBN")
# Stop codons of both the invertebrate (NCBI 5) and the vertebrate (2) mitochondrial code. AGA and
# AGG are stops in code 2 but amino acids in code 5, so they are not counted.
STOPS = ("TAA", "TAG")


def reverse_complement(sequence: str) -> str:
    """Return the reverse complement of a sequence; IUPAC codes are complemented too."""
    return sequence.translate(COMPLEMENT)[::-1]


def reverse_complement_codes(k: int) -> NDArray[np.int64]:
    """Return the code of each k-mer's reverse complement, (C,); codes are in `product` order."""
    codes = np.arange(4**k)
    reverse = np.zeros_like(codes)
    for _ in range(k):
        reverse = reverse * 4 + (3 - codes % 4)
        codes = codes // 4
    return reverse


class StrandProfile:
    """K-mer statistics of a library, which tell the strand of a query.

    Args:
        counts: Number of occurrences of each k-mer in the library's barcodes, (C,).

    Attributes:
        log_odds: Log-odds in nats that a k-mer is read on the library's strand, (C,).
        background_odds: Log-odds in nats of a k-mer against letters in random order, (C,).
    """

    def __init__(self, counts: NDArray[np.int64]) -> None:
        self.counts = counts
        self.kmers = KmerCounts(STRAND_K)
        forward = counts + 1.0
        self.log_odds = np.log(forward) - np.log(forward[reverse_complement_codes(STRAND_K)])
        digits = np.arange(4**STRAND_K)[:, None] // 4 ** np.arange(STRAND_K) % 4  # (C, K)
        shares = np.array([(forward[:, None] * (digits == base)).sum() for base in range(4)])
        expected = np.log(shares / shares.sum())[digits].sum(axis=1)  # (C,)
        self.background_odds = np.log(forward / forward.sum()) - expected

    @staticmethod
    def count(sequences: Iterable[str]) -> NDArray[np.int64]:
        """Count the k-mers of barcodes, (C,)."""
        counter = KmerCounts(STRAND_K)
        counts = np.zeros(4**STRAND_K, np.int64)
        for sequence in sequences:
            counts += np.bincount(counter.kmer_codes(sequence), minlength=len(counts))
        return counts

    def evidence(self, sequence: str) -> float:
        """Return the log-odds in nats that a sequence is written on the library's strand.

        Overlapping k-mers share K - 1 bases, so the sum over all of them is divided by K.
        """
        return float(self.log_odds[self.kmers.kmer_codes(sequence)].sum()) / STRAND_K

    def presence(self, sequence: str) -> float:
        """Return the evidence that a sequence is of the library's marker, nats per k-mer.

        It is the log-odds of its distinct k-mers in the library against letters of the same shares
        in random order, over the number of all its k-mers: so repeats gather no evidence.
        """
        codes = self.kmers.kmer_codes(sequence)
        if not len(codes):
            return -np.inf
        return float(self.background_odds[np.unique(codes)].sum()) / len(codes)


def has_open_frame(sequence: str) -> bool:
    """Whether any of the three forward frames is free of the stop codons TAA and TAG."""
    first, second = STOPS
    between = sequence.replace(second, first).split(first)
    # A stop codon does not change the frame, so the lengths between stops tell their frames.
    frames = {start % 3 for start in accumulate(len(part) for part in between[:-1])}
    return len(frames) < 3
