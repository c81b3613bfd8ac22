"""Whether a sequence is a barcode, where in the frame its letters stand, and on which strand.

    read       adapter ACCTTATACT...TTGGAACT NNNNNNNNNN GATCCAGCAG...CAACATTT primer
    letters            ACCTTATACT...TTGGAACTNNN ... NNNNGATCCAGCAG...CAACATTT
                       site 1                           site 402

The log-odds of the frame against equal frequencies of A, C, G and T are about 0.9 nats per letter
for a barcode of an insect, 0.4 for unusual animals, and below zero for anything else. The search
picks the best of many places, undoes indels and cuts off ends, and pays for each; what is left must
reach `MIN_NATS`, and `MIN_NATS_PER_LETTER` for each known letter inside the barcode. Of random,
shuffled (letters, pairs, codons) and reversed sequences of 60 to 2,000 bp none of 77,000 was
accepted. Of barcodes of 100 bp, 0.1 % of insects and vertebrates and 0.5 % of molluscs are refused,
of those of 150 bp and more one in 10,000. This file goes to the Hub verbatim: it imports only numpy
and its neighbours.

In: a frame and sequences as they stand in a file. Out: a `Placement` of each.
Guarded by tests/tokenization/test_barcode_placement.py.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from .barcode_anchors import MIN_UNKNOWN_BP
from .barcode_frame import BASES, STEPS_PER_NAT, BarcodeFrame
from .barcode_indels import UNKNOWN_LETTER, Fit, Segment, find_fits, letters_in_frame


MIN_NATS = 20.0
MIN_NATS_PER_LETTER = 0.08
# An unknown letter or a long run of them this close to an indel marks it: a few letters may fit on
# either side of an indel, so its place is not quite certain.
MARK_BP, RUN_MARK_BP = 3, 15
UNKNOWN_RUN = UNKNOWN_LETTER * MIN_UNKNOWN_BP
IUPAC = "ACGTRYSWKMBDHVN"
COMPLEMENTS = str.maketrans(IUPAC, "TGCAYRSWMKVHDBN")
WHITE_SPACE = re.compile(r"\s+")
GAP_LETTERS = "-."
GAP = re.compile(r"[-.]")
FOREIGN_LETTER = re.compile(f"[^{IUPAC}]")


class Placement(NamedTuple):
    """Where the letters of a sequence stand in the frame.

    Attributes:
        letters: Letters in the frame, site by site from `site` to the last one inside the barcode;
            N for each lost or unknown base. Inserted bases and what stands outside the barcode are
            left out. Of a sequence that fits nowhere, its letters as they are.
        site: Site of the first letter, from 0.
        is_reverse: Whether the sequence had to be reverse-complemented.
        evidence: Log-odds of the frame against background, less the cost of indels, per known
            letter inside the barcode, nats.
        is_barcode: Whether the evidence and the number of letters suffice.
        num_before: Number of known letters before the barcode, which were cut off.
        num_after: Number of known letters after it.
        num_gained: Number of inserted bases that were left out.
        num_lost: Number of deleted bases. A change of place at an unknown letter counts as neither.
    """

    letters: str
    site: int
    is_reverse: bool
    evidence: float
    is_barcode: bool
    num_before: int
    num_after: int
    num_gained: int
    num_lost: int


class BarcodePlacer:
    """Places sequences in a frame.

    Args:
        frame: The frame of the barcodes.
    """

    def __init__(self, frame: BarcodeFrame) -> None:
        self.frame = frame

    @property
    def width(self) -> int:
        """Number of sites of the frame, W."""
        return self.frame.width

    def place(self, sequences: Sequence[str], *, both_strands: bool = True) -> list[Placement]:
        """Find whether, where and on which strand each sequence is a barcode.

        Args:
            sequences: DNA; `-` and `.` inside a sequence are unknown bases.
            both_strands: Whether to try the reverse complement of what is no barcode as it is.
        """
        texts = [read_letters(text) for text in sequences]
        fits = find_fits(self.frame, texts)
        placements = [
            self.describe(text, fit, is_reverse=False)
            for text, fit in zip(texts, fits, strict=True)
        ]
        if both_strands:
            rows = [row for row, placed in enumerate(placements) if not placed.is_barcode]
            turned = [reverse_complement(texts[row]) for row in rows]
            others = find_fits(self.frame, turned)
            for row, text, fit in zip(rows, turned, others, strict=True):
                if (fit.fits, fit.score) > (fits[row].fits, fits[row].score):
                    placements[row] = self.describe(text, fit, is_reverse=True)
        return placements

    def lay_out(self, sequences: Sequence[str]) -> list[tuple[int, str]]:
        """Write sequences site by site, gained bases left out and N for each lost one.

        Args:
            sequences: DNA on the strand of the frame; `-` and `.` inside are unknown bases.

        Returns:
            For each sequence the site of its first letter, negative before the frame, and its
            letters from there on.
        """
        texts = [unknown_for_gaps(text) for text in sequences]
        fits = find_fits(self.frame, texts)
        return [
            (fit.segments[0].site, letters_in_frame(text, fit.segments))
            for text, fit in zip(texts, fits, strict=True)
        ]

    def describe(self, text: str, fit: Fit, *, is_reverse: bool) -> Placement:
        """Describe how a sequence fits.

        Args:
            text: Oriented letters of the sequence.
            fit: How it fits the frame.
            is_reverse: Whether it was reverse-complemented.
        """
        first, last = fit.segments[0], fit.segments[-1]
        whole = letters_in_frame(text, fit.segments)
        inside = whole[max(-first.site, 0) : max(self.width - first.site, 0)]
        letters = inside.lstrip(UNKNOWN_LETTER)
        site = max(first.site, 0) + len(inside) - len(letters) if letters else 0
        too_far = max(last.site + last.stop - last.start - self.width, 0)
        num_known = count_known(letters)
        score = fit.score / STEPS_PER_NAT
        num_gained, num_lost = count_indels(text, fit.segments)
        return Placement(
            letters=letters.rstrip(UNKNOWN_LETTER),
            site=site,
            is_reverse=is_reverse,
            evidence=score / max(num_known, 1),
            is_barcode=fit.fits and score >= max(MIN_NATS, MIN_NATS_PER_LETTER * num_known),
            num_before=count_known(text[: first.start + max(-first.site, 0)]),
            num_after=count_known(text[last.stop - too_far :]),
            num_gained=num_gained,
            num_lost=num_lost,
        )


def read_letters(text: str) -> str:
    """Read a sequence as it stands in a file: upper-case IUPAC letters, N for any other.

    White space and gaps at the ends are removed; gaps inside are unknown bases.
    """
    letters = unknown_for_gaps(text).upper().replace("U", "T")
    return FOREIGN_LETTER.sub(UNKNOWN_LETTER, letters)


def unknown_for_gaps(text: str) -> str:
    """Remove white space and gaps at the ends; write N for each gap inside."""
    return GAP.sub(UNKNOWN_LETTER, WHITE_SPACE.sub("", text).strip(GAP_LETTERS))


def reverse_complement(letters: str) -> str:
    """Return the other strand of upper-case IUPAC letters."""
    return letters.translate(COMPLEMENTS)[::-1]


def count_known(letters: str) -> int:
    """Count A, C, G and T."""
    return sum(map(letters.count, BASES))


def count_indels(text: str, segments: Sequence[Segment]) -> tuple[int, int]:
    """Count inserted and deleted bases between segments, except where letters are unknown.

    Returns:
        Number of inserted bases, number of deleted bases.
    """
    num_gained = num_lost = 0
    for before, after in pairwise(segments):
        around = text[max(before.stop - MARK_BP, 0) : after.start + MARK_BP]
        further = text[max(before.stop - RUN_MARK_BP, 0) : after.start + RUN_MARK_BP]
        if count_known(around) == len(around) and UNKNOWN_RUN not in further:
            num_gained += after.start - before.stop
            num_lost += after.site - (before.site + before.stop - before.start)
    return num_gained, num_lost


__all__ = ["UNKNOWN_LETTER", "BarcodePlacer", "Placement", "unknown_for_gaps"]
