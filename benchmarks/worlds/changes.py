"""Changes to barcodes that keep what they are: gaps, joined reads, sequencing errors, windows.

In: barcodes. Out: as many changed ones, whose names are still right.
Guarded by tests/benchmarks/test_worlds.py.
"""

import re
from collections.abc import Callable

import numpy as np

from barcodemae.eval.identify.reference.altered import random_window
from barcodemae.eval.identify.reference.calibrating import FRAGMENT_LENGTHS


Change = Callable[[str, np.random.Generator], str]
GAP, LOST, OVERLAP = 60, 150, 30  # bp: unknown bases, lost between read ends, read by both ends
JOINT = "N" * 10  # dada2's mergePairs(justConcatenate = TRUE)
HOMOPOLYMER = re.compile(r"A{3,}|C{3,}|G{3,}|T{3,}")
INDEL_SHARES = (0.005, 0.01, 0.02, 0.04)
SUBSTITUTION_SHARES = (0.01, 0.02)


def unchanged(text: str, generator: np.random.Generator) -> str:
    """Return a barcode as it is."""
    del generator
    return text


def unknown_bases(letter: str) -> Change:
    """Return a change that writes a letter for 60 bases somewhere in the middle half."""

    def change(text: str, generator: np.random.Generator) -> str:
        quarter = len(text) // 4
        start = quarter + int(generator.integers(max(1, len(text) - 2 * quarter - GAP)))
        return text[:start] + letter * GAP + text[start + GAP :]

    return change


def joined(joint: str, lost: int) -> Change:
    """Return a change into two read ends with something between them.

    Args:
        joint: Letters between the read ends.
        lost: Bases in the middle that neither end has; if negative, bases that both have.
    """

    def change(text: str, generator: np.random.Generator) -> str:
        del generator
        end = (len(text) - lost) // 2
        return text[:end] + joint + text[end + lost :]

    return change


def indels(share: float) -> Change:
    """Return a change that loses or gains single bases, half of them in homopolymers.

    In a homopolymer (three equal bases or more) a base is lost or repeated, elsewhere it is lost or
    followed by a random one.

    Args:
        share: Expected number of indels per base.
    """

    def change(text: str, generator: np.random.Generator) -> str:
        letters = list(text)
        runs = [place for run in HOMOPOLYMER.finditer(text) for place in range(*run.span())]
        in_runs = generator.random(len(runs)) < share / 2 * len(text) / max(len(runs), 1)
        anywhere = np.flatnonzero(generator.random(len(text)) < share / 2)
        for place in anywhere:
            gained = text[place] + "ACGT"[generator.integers(4)]
            letters[place] = gained if generator.random() < 0.5 else ""
        for place, is_hit in zip(runs, in_runs, strict=True):
            if is_hit:
                letters[place] = 2 * text[place] if generator.random() < 0.5 else ""
        return "".join(letters)

    return change


def substitutions(share: float) -> Change:
    """Return a change that writes another base for a share of the bases."""

    def change(text: str, generator: np.random.Generator) -> str:
        letters = list(text)
        for place in np.flatnonzero(generator.random(len(text)) < share):
            others = [base for base in "ACGT" if base != text[place]]
            letters[place] = others[generator.integers(len(others))]
        return "".join(letters)

    return change


def window(length: int) -> Change:
    """Return a change into a random window; a shorter barcode stays whole."""
    return lambda text, generator: random_window(text, length, generator)


GAPS: dict[str, Change] = {
    "whole": unchanged,
    "60 bases as -": unknown_bases("-"),
    "60 bases as N": unknown_bases("N"),
    "read ends joined by ten N, 150 bases lost": joined(JOINT, LOST),
    "read ends joined by ten N, 30 bases twice": joined(JOINT, -OVERLAP),
    "150 bases as -": joined("-" * LOST, LOST),
    "read ends joined without a mark, 150 bases lost": joined("", LOST),
}
ERRORS: dict[str, Change] = {
    "no errors": unchanged,
    **{f"{100 * share:g} % indels": indels(share) for share in INDEL_SHARES},
    **{f"{100 * share:g} % substitutions": substitutions(share) for share in SUBSTITUTION_SHARES},
}
LENGTHS: dict[str, Change] = {
    **{f"{length} bp": window(length) for length in FRAGMENT_LENGTHS},
    "whole": unchanged,
}
