"""Whether a sequence is a barcode, where in the frame its letters stand, and on which strand.

In: a frame and sequences. Out: a `Placement` of each.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .barcode_frame import STEPS_PER_NAT, BarcodeFrame, letter_codes
from .barcode_indels import find_segments, letter_scores, letters_in_frame


COMPLEMENTS = str.maketrans("ACGTURYKMBVDHacgturykmbvdh", "TGCAAYRMKVBHDtgcaayrmkvbhd")


class Placement(NamedTuple):
    """Where a sequence stands in the frame."""

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
    """Places sequences in a frame."""

    def __init__(self, frame: BarcodeFrame) -> None:
        self.frame = frame

    @property
    def width(self) -> int:
        """Number of sites of the frame, W."""
        return self.frame.width

    def place(self, sequences: Sequence[str], *, both_strands: bool = True) -> list[Placement]:
        """Find whether, where and on which strand each sequence is a barcode."""
        return [self.place_one(text, both_strands) for text in sequences]

    def place_one(self, text: str, both_strands: bool) -> Placement:
        text = text.strip("-. \n").replace("-", "N").replace(".", "N").upper()
        turned = text.translate(COMPLEMENTS)[::-1]
        found = [self.place_strand(text, False)]
        if both_strands:
            found.append(self.place_strand(turned, True))
        return max(found, key=lambda placed: placed.evidence * len(placed.letters))

    def place_strand(self, text: str, is_reverse: bool) -> Placement:
        (segments,) = find_segments(self.frame, [text])
        letters, site = letters_in_frame(text, segments), segments[0].site
        inside = letters[max(-site, 0) : max(self.width - site, 0)]
        before, after = max(-site, 0), max(len(letters) + site - self.width, 0)
        site = max(site, 0)
        codes = letter_codes([inside])
        score = float(letter_scores(self.frame, codes, np.array([site])).sum()) / STEPS_PER_NAT
        known = max(int((codes < 4).sum()), 1)
        is_barcode = score > 20 + 0.2 * known
        return Placement(inside, site, is_reverse, score / known, is_barcode, before, after, 0, 0)
