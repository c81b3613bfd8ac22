"""Screening of sequences: which ones a k-mer model can read, and what is wrong with the others.

In: sequences as they stand in the file. Out: row -> reason, in the words of those who make such
files. Letters are read as in `barcodemae.conventions.letters`, so a sequence that passes has at
least one k-mer token. Guarded by tests/eval/embed/test_screening.py.
"""

import re
from collections.abc import Sequence

from barcodemae.conventions.letters import (
    LIMIT_TOLD,
    NUCLEOTIDE_CODES,
    STAND_INS,
    clean,
    is_nothing,
)


FOREIGN_LETTER = re.compile(f"[^{NUCLEOTIDE_CODES}]")


def reason_no_dna(letters: str) -> str | None:
    """Say which letters of a cleaned sequence are no nucleotide codes, or None if all are."""
    first = FOREIGN_LETTER.search(letters)
    if first is None:
        return None
    foreign = set(letters) - set(NUCLEOTIDE_CODES)
    shown = " ".join(letter if letter.isprintable() else repr(letter) for letter in sorted(foreign))
    limit = LIMIT_TOLD if foreign <= set(STAND_INS) else "protein?"
    return f"not DNA: letter(s) {shown}, first at base {first.start() + 1} ({limit})"


def reason_unusable(sequence: str, k: int, max_tokens: int) -> str | None:
    """Say why a k-mer model cannot read a sequence, or None if it can.

    Args:
        sequence: Sequence as it stands in the file.
        k: Length of a k-mer, bp.
        max_tokens: Number of tokens that the model reads; it ignores the letters beyond.
    """
    letters = clean(sequence)
    if not letters:
        return "empty" if is_nothing(sequence) else "nothing but N"
    if reason := reason_no_dna(letters):
        return reason
    if len(letters) < k:
        return f"too short: {len(letters)} bases, the model reads k-mers of {k}"
    if not re.match(rf"(?:.{{{k}}})*?[ACGT]{{{k}}}", letters[: k * max_tokens]):
        return f"no k-mer of {k} bases without an ambiguous letter"
    return None


def find_unusable(sequences: Sequence[str], k: int, max_tokens: int) -> dict[int, str]:
    """Screen sequences for a k-mer model: row -> reason, for those that it cannot read."""
    reasons = ((row, reason_unusable(text, k, max_tokens)) for row, text in enumerate(sequences))
    return {row: reason for row, reason in reasons if reason is not None}


def find_empty(sequences: Sequence[str]) -> dict[int, str]:
    """Screen sequences for a tokenizer with rules of its own: row -> reason, for empty ones."""
    return {row: "empty" for row, sequence in enumerate(sequences) if not sequence.strip()}
