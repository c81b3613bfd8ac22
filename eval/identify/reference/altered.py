"""Altered copies of held-out barcodes: fragments, and reads with sequencing errors.

A short query is less certain, and a read that lost or gained bases differs from its species for
another reason than evolution. In: held-out barcodes. Out: their altered letters.
Guarded by tests/eval/identify/reference/test_altered.py.
"""

import numpy as np

from barcodemae.eval.embed.embedder import PlacedSequence
from barcodemae.eval.identify.judge.placing import UNKNOWN_BASE, PlacedLetters, count_bases


INDEL_RATES = (0.005, 0.01, 0.02, 0.04)  # of simulated reads; each read has one of them
SUBSTITUTION_RATES = (0.0, 0.0, 0.005, 0.01)
BASES = "ACGT"


def random_start(letters: str, length: int, generator: np.random.Generator) -> int:
    """Draw where a window of letters begins; a shorter sequence stays whole."""
    return int(generator.integers(max(len(letters) - length, 0) + 1))


def random_window(letters: str, length: int, generator: np.random.Generator) -> str:
    """Cut a window of letters from a random position; a shorter sequence stays whole."""
    start = random_start(letters, length, generator)
    return letters[start : start + length]


def cut_fragment(
    placed: PlacedSequence, length: int, generator: np.random.Generator
) -> PlacedLetters:
    """Cut a fragment from a random position; a short barcode stays whole.

    Args:
        placed: Placed letters of a barcode.
        length: Length of the fragment, bp.
        generator: Source of the position.
    """
    start = random_start(placed.letters, length, generator)
    cut = placed.letters[start : start + length]
    letters = cut.lstrip(UNKNOWN_BASE)
    site = placed.site + start + len(cut) - len(letters)
    return PlacedLetters(
        letters.rstrip(UNKNOWN_BASE),
        evidence=placed.evidence,
        is_barcode=count_bases(letters) > 0,
        site=site,
    )


def simulate_read(letters: str, generator: np.random.Generator) -> str:
    """Simulate a read: bases lost, gained (half of them doubled) and replaced.

    Args:
        letters: Letters of a barcode; unknown ones are dropped.
        generator: Source of the errors.
    """
    indels = generator.choice(INDEL_RATES)
    substitutions = generator.choice(SUBSTITUTION_RATES)
    return with_errors(letters.replace(UNKNOWN_BASE, ""), indels, substitutions, generator)


def with_errors(
    letters: str, indels: float, substitutions: float, generator: np.random.Generator
) -> str:
    """Lose, gain and replace bases at given rates per base.

    Args:
        letters: DNA.
        indels: Rate of bases lost or gained, half of each.
        substitutions: Rate of bases replaced.
        generator: Source of the errors.
    """
    chance = generator.random(len(letters))
    read = []
    for base, drawn in zip(letters, chance, strict=True):
        if drawn < indels / 2:
            continue
        if drawn < indels:
            read.append(base if generator.random() < 0.5 else str(generator.choice(list(BASES))))
        replaced = indels <= drawn < indels + substitutions
        read.append(str(generator.choice(list(BASES.replace(base, "")))) if replaced else base)
    return "".join(read)
