"""Screening of sequences: which ones a k-mer model can read, and what is wrong with the others.

In: sequences as they stand in the file. Out: row -> reason, in the words of those who make such
files. Sequences are cleaned as by the tokenizer (case, U, gaps, N at the 3' end), so one that
passes has at least one k-mer token. Guarded by tests/eval/embed/test_screening.py.
"""

import re
from collections.abc import Sequence


NUCLEOTIDE_CODES = "ACGTRYSWKMBDHVN"  # IUPAC, after U -> T
FOREIGN_LETTER = re.compile(f"[^{NUCLEOTIDE_CODES}]")


def without_gaps(sequence: str) -> str:
    """Remove `-`, `.` and white space; a regular expression would take far longer."""
    return "".join(sequence.replace("-", "").replace(".", "").split())


def clean(sequence: str) -> str:
    """Convert a sequence to upper-case DNA without gaps and without N at its 3' end."""
    return without_gaps(sequence).upper().replace("U", "T").rstrip("N")


def reason_unusable(sequence: str, k: int, max_tokens: int) -> str | None:
    """Say why a k-mer model cannot read a sequence, or None if it can.

    Args:
        sequence: Sequence as it stands in the file.
        k: Length of a k-mer, bp.
        max_tokens: Number of tokens that the model reads; it ignores the letters beyond.
    """
    letters = clean(sequence)
    if not letters:
        return "empty" if not without_gaps(sequence) else "nothing but N"
    if first := FOREIGN_LETTER.search(letters):
        foreign = sorted(set(letters) - set(NUCLEOTIDE_CODES))
        place = first.start() + 1
        return f"not DNA: letter(s) {' '.join(foreign)}, first at base {place} (protein?)"
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
