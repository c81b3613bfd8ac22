"""Placing of sequences: whether each is a barcode, on which strand, and which letters belong to it.

A model with a frame says so itself (`Placer` of `eval/embed/embedder.py`). For other models and
markers the library's 6-mers answer: how much more frequent they are in its barcodes than letters of
the same shares in random order would make them. Then nothing is cut off, and letters have no sites.
In: sequences as read. Out: a `PlacedSequence` of each.
Guarded by tests/eval/identify/judge/test_placing.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from barcodemae.conventions.letters import clean
from barcodemae.eval.embed.embedder import PlacedSequence
from barcodemae.eval.identify.judge.orientation import StrandProfile, reverse_complement


UNKNOWN_BASE = "N"
WITHOUT_BASES = str.maketrans("", "", "ACGT")
EVIDENCE_SHARE = 0.5  # of the way from shuffled references to real ones: the limit of a barcode
LOW, HIGH = 0.02, 0.98  # quantiles of real and of shuffled references that the limit lies between
NUM_SHUFFLED = 500  # references that are shuffled to find the limit


@dataclass(frozen=True)
class PlacedLetters:
    """Letters whose place is known; a `PlacedSequence`, see there."""

    letters: str
    is_reverse: bool = False
    evidence: float = 0.0
    is_barcode: bool = True
    site: int = 0
    num_before: int = 0
    num_after: int = 0
    num_gained: int = 0
    num_lost: int = 0


class KmerPlacer:
    """Tells barcodes from other letters, and their strand, by the k-mers of a library.

    Args:
        profile: K-mer statistics of the library.
        min_evidence: Lowest evidence of a barcode, nats per k-mer, see `find_min_evidence`.
    """

    width = 0

    def __init__(self, profile: StrandProfile, min_evidence: float) -> None:
        self.profile = profile
        self.min_evidence = min_evidence

    def place(self, sequences: Sequence[str], *, both_strands: bool = True) -> list[PlacedLetters]:
        """Find whether and on which strand each sequence is a barcode."""
        placed = []
        for sequence in sequences:
            letters = clean(sequence)
            is_reverse = both_strands and self.profile.evidence(letters) < 0
            if is_reverse:
                letters = clean(reverse_complement(letters))
            evidence = self.profile.presence(letters)
            is_barcode = evidence >= self.min_evidence
            placed.append(PlacedLetters(letters, is_reverse, evidence, is_barcode))
        return placed


def find_min_evidence(profile: StrandProfile, references: Sequence[str]) -> float:
    """Choose the lowest evidence of a barcode: between references and shuffled references.

    Args:
        profile: K-mer statistics of the library.
        references: Some barcodes of the library.
    """
    generator = np.random.default_rng(0)
    real, shuffled = [], []
    for text in references[:NUM_SHUFFLED]:
        real.append(profile.presence(text))
        shuffled.append(profile.presence("".join(generator.permutation(list(text)))))
    low, high = float(np.quantile(real, LOW)), float(np.quantile(shuffled, HIGH))
    return min(high + EVIDENCE_SHARE * (low - high), low)


def count_bases(letters: str) -> int:
    """Count the letters A, C, G and T."""
    return len(letters) - len(letters.translate(WITHOUT_BASES))


def is_changed(placed: PlacedSequence) -> bool:
    """Whether bases were gained or lost within the barcode."""
    return placed.num_gained + placed.num_lost > 0
