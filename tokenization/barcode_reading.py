"""From a sequence to the k-mers that stand for it: placed in the frame, masks put on the grid.

    ACGTA[MASK]CGGTACA          k = 6, no frame
    ACGTA*  *****C  GGTACA      [MASK] stands for six bases, so it may hide parts of two k-mers
    [MASK]  [MASK]  GGTACA

In a frame the leading k-mers that a sequence lacks are [UNK], and a deleted base is N. This file
goes to the Hub verbatim: it imports only its neighbours.

In: sequences as they stand in a file, with or without [MASK]. Out: a `Reading` of each.
Guarded by tests/tokenization/test_framed_tokenizer.py.
"""

import re
from collections.abc import Sequence
from itertools import count
from typing import NamedTuple

from .barcode_frame import BarcodeFrame
from .barcode_indels import find_segments, letters_in_frame
from .barcode_placement import UNKNOWN_LETTER, unknown_for_gaps
from .kmer_backend import FRAMED_TEXT_MARK, MASK_TOKEN, UNK_TOKEN


# Letters of a private range stand for the masked bases, one letter for each [MASK] of a sequence.
FIRST_MASKED, LAST_MASKED = "\ue000", "\uf8ff"
MASKED = re.compile(f"[{FIRST_MASKED}-{LAST_MASKED}]")
NUM_MASKED_LETTERS = ord(LAST_MASKED) - ord(FIRST_MASKED) + 1
KNOWN_LETTERS = frozenset("ACGTUacgtu")


class Reading(NamedTuple):
    """How a sequence is read.

    Attributes:
        lead: Number of k-mers before the first complete one, which the sequence lacks.
        letters: Its letters from the first complete k-mer on; a masked base is a letter of a
            private range, the same for all bases of one [MASK].
    """

    lead: int
    letters: str


class BarcodeReading:
    """Reads sequences as k-mers.

    Args:
        k: Length of a k-mer in bp.
        frame: The frame in which sequences are placed; None reads them from their first base.
    """

    def __init__(self, k: int, frame: BarcodeFrame | None) -> None:
        self.k = k
        self.frame = frame

    def read(self, sequences: Sequence[str], max_tokens: int) -> list[Reading]:
        """Read sequences.

        Args:
            sequences: Sequences; `-` and `.` inside are unknown bases.
            max_tokens: Longest row in tokens. A sequence without a k-mer in so many tokens of the
                frame is read from its first base, so not refused.
        """
        texts = [unknown_for_gaps(self.mark_masks(text)) for text in sequences]
        if self.frame is None:
            return [Reading(0, text) for text in texts]
        readings = []
        for text, segments in zip(texts, find_segments(self.frame, texts), strict=True):
            first_site = segments[0].site
            lead = max(-(-first_site // self.k), 0)  # k-mers that are missing or incomplete
            letters = letters_in_frame(text, segments)[lead * self.k - first_site :]
            is_usable = self.has_kmer(letters, max_tokens - lead)
            readings.append(Reading(lead, letters) if is_usable else Reading(0, text))
        return readings

    def mark_masks(self, text: str) -> str:
        """Write k letters for every special token of a text: N for [UNK], others for a [MASK].

        The bases of one [MASK] are one letter of the private range, those of the next another.
        """
        text = text.removeprefix(FRAMED_TEXT_MARK)
        if "[" not in text:
            return text
        text = text.replace(UNK_TOKEN, UNKNOWN_LETTER * self.k)
        numbers = count()
        return re.sub(
            re.escape(MASK_TOKEN),
            lambda _: chr(ord(FIRST_MASKED) + next(numbers) % NUM_MASKED_LETTERS) * self.k,
            text,
        )

    def has_kmer(self, letters: str, max_tokens: int) -> bool:
        """Whether any of the first `max_tokens` k-mers consists of A, C, G and T only."""
        pattern = rf"(?:.{{{self.k}}})*?[ACGTUacgtu]{{{self.k}}}"
        return re.match(pattern, letters[: self.k * max(max_tokens, 0)]) is not None

    def tokens_of(self, reading: Reading, max_tokens: int) -> str:
        """Write a reading as what the plain tokenizer reads into its tokens, at most `max_tokens`.

        A k-mer with a masked base is [MASK], the last one even if it is incomplete. Beside a
        [MASK], which separates texts, every other k-mer that is not A, C, G and T only is written
        as [UNK], since N would be stripped there.
        """
        lead = min(reading.lead, max_tokens)
        letters = reading.letters[: (max_tokens - lead) * self.k]
        if MASKED.search(letters):
            letters = letters.rstrip("Nn")
            kmers = [letters[base : base + self.k] for base in range(0, len(letters), self.k)]
            if len(kmers[-1]) < self.k and not MASKED.search(kmers[-1]):
                kmers.pop()
            letters = "".join(map(self.token_of, kmers))
        return UNK_TOKEN * lead + letters

    @staticmethod
    def token_of(kmer: str) -> str:
        """Write a k-mer as a token: itself, [MASK] or [UNK]."""
        if MASKED.search(kmer):
            return MASK_TOKEN
        return kmer if KNOWN_LETTERS.issuperset(kmer) else UNK_TOKEN

    def framed_text(self, reading: Reading, max_tokens: int) -> str:
        """Write a reading as framed text, every letter at its site, up to `max_tokens` k-mers."""
        letters = (UNKNOWN_LETTER * self.k * reading.lead + reading.letters)[: max_tokens * self.k]
        return FRAMED_TEXT_MARK + letters.upper().replace("U", "T").rstrip(UNKNOWN_LETTER)


__all__ = ["BarcodeReading", "Reading"]
