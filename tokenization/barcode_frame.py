"""The common frame of barcodes: at which site of the barcode region a sequence begins.

    profile     site 0 1 2 3 4 5 6 7 8 ...      how common each letter is at each site
    sequence             A C T T T A ...        fits best when it begins at site 2
    in frame         N N A C T T T A ...        so every k-mer stands where it belongs

Deposited barcodes begin at different bases, fragments in the middle, reads with a primer before the
first. A k-mer model that counts positions from the first base takes them for something else. The
profile is a position weight matrix, estimated without labels; the best of all ungapped placements
wins. Scores are whole numbers, so a placement depends on the sequence alone, not on its batch. A
sequence that fits nowhere is left as it is. This file goes to the Hub verbatim: it imports only
numpy. Guarded by tests/tokenization/test_barcode_frame.py.

Shapes: N = sequences, L = letters, W = sites of the frame, S = possible starts.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


BASES = "ACGT"
NO_BASE = len(BASES)  # code of a letter that is not A, C, G, T, and of none at all
DIGITS = "0123456789"  # a share is stored in steps of one ninth
PSEUDO_SHARE = 0.02  # so that no letter is impossible anywhere
STEPS_PER_NAT = 16  # scores are log-odds in sixteenths of a nat
CLEAR_EVIDENCE = 20 * STEPS_PER_NAT  # less, and a sequence stays where it is
NEAR_BP = 128  # most barcodes begin this close to the first site, so that is tried first
NEAR_EVIDENCE = 0.4 * STEPS_PER_NAT  # per letter; a placement this good needs no other
MIN_OVERLAP_BP = 40  # fewer of its letters in the frame tell nothing of a longer sequence
MAX_LETTERS = 2048  # read of a sequence: a whole COI gene; the barcode is searched for in them
BLOCK_SIZE = 256

LETTER_CODES = np.full(256, NO_BASE, np.uint8)
for _code, _base in enumerate(BASES):
    LETTER_CODES[[ord(_base), ord(_base.lower())]] = _code
LETTER_CODES[[ord("U"), ord("u")]] = BASES.index("T")


class BarcodeFrame:
    """A position weight matrix that tells where sequences begin.

    Args:
        rows: One string of digits per base, in the order A, C, G, T: the share of the base at each
            site in ninths, W digits each. Sites at which all four are equal say nothing.

    Raises:
        ValueError: Not four rows of digits of one length.
    """

    def __init__(self, rows: Sequence[str]) -> None:
        lengths = {len(row) for row in rows}
        if len(rows) != len(BASES) or len(lengths) != 1 or not set("".join(rows)) <= set(DIGITS):
            raise ValueError("a frame is four rows of digits of one length, for A, C, G and T")
        self.rows = list(rows)
        digits = np.array([[int(digit) for digit in row] for row in rows], np.float64).T  # (W, 4)
        shares = digits + PSEUDO_SHARE * (len(DIGITS) - 1)
        odds = shares / shares.sum(axis=1, keepdims=True) * len(BASES)
        self.scores = np.round(STEPS_PER_NAT * np.log(odds)).astype(np.float32)  # (W, 4)

    @classmethod
    def of_shares(cls, shares: NDArray[np.floating]) -> "BarcodeFrame":
        """Round shares of the four bases, (W, 4), to a frame; a site of zeros says nothing."""
        digits = np.round(shares * (len(DIGITS) - 1)).astype(int)
        return cls(["".join(DIGITS[digit] for digit in column) for column in digits.T])

    @property
    def width(self) -> int:
        """Sites, W."""
        return len(self.scores)

    def find_starts(self, sequences: Sequence[str]) -> list[int]:
        """Find the site at which each sequence begins; below 0 if it begins before the frame.

        Args:
            sequences: DNA without gaps.
        """
        starts = np.zeros(len(sequences), np.int64)
        order = sorted(range(len(sequences)), key=lambda row: len(sequences[row]))
        for first in range(0, len(order), BLOCK_SIZE):
            rows = order[first : first + BLOCK_SIZE]
            starts[rows] = self.starts_of_codes(letter_codes([sequences[row] for row in rows]))
        return [int(start) for start in starts]

    def starts_of_codes(self, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Find the starts of sequences given as codes, `NO_BASE` where there is no letter.

        Args:
            codes: (N, L).

        Returns:
            (N,); 0 for a sequence that fits nowhere.
        """
        lengths = (codes != NO_BASE).sum(axis=1)  # (N,)
        lowest = np.minimum(MIN_OVERLAP_BP - lengths, 0)  # (N,)
        highest = max(self.width - MIN_OVERLAP_BP, 0)
        near = range(-NEAR_BP, min(NEAR_BP, highest) + 1)
        best, evidence = self.best_start(codes, lowest, near)  # (N,), (N,)
        enough = np.minimum(lengths, max(self.width - NEAR_BP, MIN_OVERLAP_BP)) * NEAR_EVIDENCE
        is_open = evidence < enough
        if is_open.any():
            all_starts = range(int(lowest[is_open].min()), highest + 1)
            best[is_open], evidence[is_open] = self.best_start(
                codes[is_open], lowest[is_open], all_starts
            )
        return np.where(evidence >= CLEAR_EVIDENCE, best, 0)

    def best_start(
        self, codes: NDArray[np.uint8], lowest: NDArray[np.int64], among: range
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Score starts and return the best of each row, with its score.

        Args:
            codes: (N, L).
            lowest: The first start that each row may have, whatever its neighbours may, (N,).
            among: Which starts to score; 0 is one of them. Of equally good ones the lowest wins.
        """
        first, last, num_letters = among[0], among[-1], codes.shape[1]
        starts = np.arange(first, last + 1)  # (S,)
        before = max(-first, 0)
        after = max(last + num_letters - self.width, 0)
        scores = np.pad(self.scores, ((before, after), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(scores, num_letters, axis=0)
        columns = windows[starts + before].reshape(len(starts), -1)  # (S, 4 * L)
        is_letter = codes[:, None, :] == np.arange(NO_BASE, dtype=np.uint8)[:, None]  # (N, 4, L)
        evidence = is_letter.reshape(len(codes), -1).astype(np.float32) @ columns.T  # (N, S)
        evidence[starts < lowest[:, None]] = -np.inf
        best = evidence.argmax(axis=1)  # (N,)
        return starts[best], evidence[np.arange(len(codes)), best]


def letter_codes(sequences: Sequence[str]) -> NDArray[np.uint8]:
    """Code sequences as A 0, C 1, G 2, T 3, `NO_BASE` else and beyond the end, (N, L)."""
    texts = [text[:MAX_LETTERS].encode("ascii", "replace") for text in sequences]
    codes = np.full((len(texts), max(map(len, texts), default=0)), NO_BASE, np.uint8)
    for row, text in enumerate(texts):
        codes[row, : len(text)] = LETTER_CODES[np.frombuffer(text, np.uint8)]
    return codes


__all__ = ["BarcodeFrame"]
