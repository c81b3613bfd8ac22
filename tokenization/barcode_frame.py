"""The barcode frame: common coordinates for barcodes, so that every base has a site.

    profile     site 0 1 2 3 4 5 6 7 8 ...      how frequent each base is at each site
    sequence             A C T T T A ...        scores best when it starts at site 2
    in frame         N N A C T T T A ...        so every k-mer is at its own sites

Deposited barcodes start at different bases of the barcode region, fragments start in the middle
and reads may start with a primer. A k-mer model that counts positions from the first base would
take them for something else. The frame (not to be confused with the reading frame of codons) is a
position weight matrix, estimated without labels: a sequence is placed where its ungapped log-odds
score is highest. Scores are whole numbers, so a placement depends on the sequence alone and not on
its batch. A sequence that fits nowhere is left where it is, starting at site 0. This file goes to
the Hub verbatim: it imports only numpy.

In: sequences without gaps. Out: the site of each sequence's first letter.
Guarded by tests/tokenization/test_barcode_frame.py.

Shapes: N = sequences, L = letters, W = sites of the frame, S = candidate starts.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


BASES = "ACGT"
NO_BASE = len(BASES)  # code of any other letter, and of places beyond the end of a sequence
DIGITS = "0123456789"  # a base frequency is stored in ninths, as one digit
PSEUDO_FREQUENCY = 0.02  # added to every frequency, so that no base is impossible anywhere
STEPS_PER_NAT = 16  # scores are log-odds in sixteenths of a nat
MIN_SCORE = 20 * STEPS_PER_NAT  # a sequence that scores less is left where it is
NEAR_BP = 128  # most barcodes start this close to the first site, so that is tried first
NEAR_SCORE_PER_LETTER = 0.4 * STEPS_PER_NAT  # a placement this good ends the search
MIN_OVERLAP_BP = 40  # with fewer letters in the frame a longer sequence cannot be placed
MAX_LETTERS = 2048  # of a sequence are searched for the barcode: enough for a whole COI gene
BLOCK_SIZE = 256  # sequences that are placed together, which bounds the memory

LETTER_CODES = np.full(256, NO_BASE, np.uint8)
for _code, _base in enumerate(BASES):
    LETTER_CODES[[ord(_base), ord(_base.lower())]] = _code
LETTER_CODES[[ord("U"), ord("u")]] = BASES.index("T")


class BarcodeFrame:
    """A position weight matrix that finds where in the barcode sequences start.

    Args:
        rows: One string of W digits per base, in the order A, C, G, T: the frequency of the base
            at each site, in ninths. A site where all four are equal carries no information.

    Attributes:
        rows: As given; this is the stored form.
        scores: Log-odds of each base at each site against equal frequencies, in sixteenths of a
            nat, (W, 4).
        padded_scores: The same by site and letter code, one row after the other, with 0 for
            `NO_BASE` and for a site beyond the last, ((W + 1) * 5,).

    Raises:
        ValueError: `rows` is not four strings of digits of equal length.
    """

    def __init__(self, rows: Sequence[str]) -> None:
        lengths = {len(row) for row in rows}
        if len(rows) != len(BASES) or len(lengths) != 1 or not set("".join(rows)) <= set(DIGITS):
            raise ValueError(
                "a frame must be four rows of digits of equal length, for A, C, G and T"
            )
        self.rows = list(rows)
        digits = np.array([[int(digit) for digit in row] for row in rows], np.float64).T  # (W, 4)
        frequencies = digits + PSEUDO_FREQUENCY * (len(DIGITS) - 1)
        odds = frequencies / frequencies.sum(axis=1, keepdims=True) * len(BASES)
        self.scores = np.round(STEPS_PER_NAT * np.log(odds)).astype(np.float32)  # (W, 4)
        self.padded_scores = np.pad(self.scores, ((0, 1), (0, 1))).ravel()  # ((W + 1) * 5,)

    @classmethod
    def from_frequencies(cls, frequencies: NDArray[np.floating]) -> "BarcodeFrame":
        """Make a frame of base frequencies, rounded to ninths.

        Args:
            frequencies: Frequency of A, C, G, T at each site, (W, 4); a site of zeros carries no
                information.
        """
        digits = np.round(frequencies * (len(DIGITS) - 1)).astype(int)
        return cls(["".join(DIGITS[digit] for digit in column) for column in digits.T])

    @property
    def width(self) -> int:
        """Number of sites, W."""
        return len(self.scores)

    def find_starts(self, sequences: Sequence[str]) -> list[int]:
        """Find the site at which each sequence starts.

        Args:
            sequences: DNA without gaps.

        Returns:
            Site of each sequence's first letter: negative if it starts before the frame, 0 if it
            fits nowhere.
        """
        starts = np.zeros(len(sequences), np.int64)
        order = sorted(range(len(sequences)), key=lambda row: len(sequences[row]))
        for first in range(0, len(order), BLOCK_SIZE):
            rows = order[first : first + BLOCK_SIZE]
            starts[rows] = self.starts_of_codes(letter_codes([sequences[row] for row in rows]))
        return [int(start) for start in starts]

    def starts_of_codes(self, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Find the site at which each sequence starts, given letter codes.

        Args:
            codes: Letter codes, `NO_BASE` beyond the end of a sequence, (N, L).

        Returns:
            Site of each sequence's first letter, (N,): 0 for a sequence that fits nowhere.
        """
        starts, scores = self.search(codes)
        return np.where(scores >= MIN_SCORE, starts, 0)

    def search(self, codes: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find where each sequence fits best without indels, however badly it fits there.

        Args:
            codes: Letter codes, `NO_BASE` beyond the end of a sequence, (N, L).

        Returns:
            starts: Site of each sequence's first letter, (N,).
            scores: Log-odds score of each sequence, in sixteenths of a nat, (N,).
        """
        lengths = (codes != NO_BASE).sum(axis=1)  # (N,)
        lowest = np.minimum(MIN_OVERLAP_BP - lengths, 0)  # (N,)
        highest = max(self.width - MIN_OVERLAP_BP, 0)
        # Try the usual starts first; search all of them only for rows that do not fit there.
        near = range(-NEAR_BP, min(NEAR_BP, highest) + 1)
        best, scores = self.best_start(codes, lowest, near)  # (N,), (N,)
        num_scored = np.minimum(lengths, max(self.width - NEAR_BP, MIN_OVERLAP_BP))  # (N,)
        needs_search = scores < num_scored * NEAR_SCORE_PER_LETTER
        if needs_search.any():
            all_starts = range(int(lowest[needs_search].min()), highest + 1)
            best[needs_search], scores[needs_search] = self.best_start(
                codes[needs_search], lowest[needs_search], all_starts
            )
        return best, scores

    def best_start(
        self, codes: NDArray[np.uint8], lowest: NDArray[np.int64], candidates: range
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Score candidate starts and return the best of each row with its score.

        Args:
            codes: Letter codes, (N, L).
            lowest: Lowest start that each row may have, whatever the others may, (N,).
            candidates: Starts to score; 0 must be one of them. The lowest of equally good ones
                wins.

        Returns:
            starts: Best start of each row, (N,).
            scores: Its log-odds score, in sixteenths of a nat, (N,).
        """
        first, last, num_letters = candidates[0], candidates[-1], codes.shape[1]
        starts = np.arange(first, last + 1)  # (S,)
        before = max(-first, 0)
        after = max(last + num_letters - self.width, 0)
        scores = np.pad(self.scores, ((before, after), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(scores, num_letters, axis=0)
        columns = windows[starts + before].reshape(len(starts), -1)  # (S, 4 * L)
        is_letter = codes[:, None, :] == np.arange(NO_BASE, dtype=np.uint8)[:, None]  # (N, 4, L)
        totals = is_letter.reshape(len(codes), -1).astype(np.float32) @ columns.T  # (N, S)
        totals[starts < lowest[:, None]] = -np.inf
        best = totals.argmax(axis=1)  # (N,)
        return starts[best], totals[np.arange(len(codes)), best]


def letter_codes(sequences: Sequence[str]) -> NDArray[np.uint8]:
    """Encode sequences: A 0, C 1, G 2, T or U 3, `NO_BASE` otherwise and beyond the end, (N, L)."""
    texts = [text[:MAX_LETTERS].encode("ascii", "replace") for text in sequences]
    codes = np.full((len(texts), max(map(len, texts), default=0)), NO_BASE, np.uint8)
    for row, text in enumerate(texts):
        codes[row, : len(text)] = LETTER_CODES[np.frombuffer(text, np.uint8)]
    return codes


__all__ = ["BarcodeFrame"]
