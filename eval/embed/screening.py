"""Which sequences a k-mer model can read, and what is wrong with the others.

In: sequences as deposited. Out: row -> reason, in the words of someone who made the file. The
same clean-up as the tokenizer's (case, U, gaps, 3' N), so a sequence that passes always has at
least one k-mer token. Guarded by tests/eval/embed/test_screening.py.
"""

import re
from collections.abc import Sequence


NUCLEOTIDE_CODES = "ACGTRYSWKMBDHVN"  # IUPAC, after U -> T
FOREIGN_LETTER = re.compile(f"[^{NUCLEOTIDE_CODES}]")


def without_gaps(sequence: str) -> str:
    """Remove `-`, `.` and white space, without a regular expression, which takes far longer."""
    return "".join(sequence.replace("-", "").replace(".", "").split())


def clean(sequence: str) -> str:
    """Bring a sequence to upper-case DNA without gaps and without N at its 3' end."""
    return without_gaps(sequence).upper().replace("U", "T").rstrip("N")


def reason_unusable(sequence: str, k: int, max_tokens: int) -> str | None:
    """Say why a k-mer model cannot read a sequence, or None if it can.

    Args:
        sequence: As deposited.
        k: Length of a k-mer in bp.
        max_tokens: Tokens the model reads; letters beyond are cut off.
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
    """Screen a batch: row -> reason, for the rows that cannot be read."""
    reasons = ((row, reason_unusable(text, k, max_tokens)) for row, text in enumerate(sequences))
    return {row: reason for row, reason in reasons if reason is not None}


def find_empty(sequences: Sequence[str]) -> dict[int, str]:
    """Screen for tokenizers with rules of their own: only an empty sequence is refused."""
    return {row: "empty" for row, sequence in enumerate(sequences) if not sequence.strip()}
