"""Faults of references' letters that need no neighbours: stop codons, lost bases, short, unknown.

In: letters in a frame or as text, and bases gained and lost. Out: numbers for each record, and what
`index` reports. Guarded by tests/eval/identify/doubts/test_faults.py.

Shapes: R = references, W = sites of the frame, C = codons.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from barcodemae.eval.identify.doubts.flagged import Doubt
from barcodemae.eval.identify.judge.comparison import CODON, NO_BASE, conserved_sites


STOPS = ((3, 0, 0), (3, 0, 2))  # TAA and TAG as codes; others are amino acids in some animals
ROWS_PER_BLOCK = 8192
CODING_SHARE = 0.9  # of records without stop codons, above which the marker codes for a protein
SHORT_SHARE = 0.6  # of the median length of the library
MAX_UNKNOWN = 0.01  # share of unknown letters that BOLD's barcode standard allows
STOP_CODON, FRAMESHIFT = "stop_codon", "frameshift"
TRUNCATED, MANY_UNKNOWN = "truncated", "many_unknown"


@dataclass(frozen=True)
class Fault:
    """A fault of a reference's letters.

    Attributes:
        kind: Its kind, as an audit names it.
        row: Row of the reference.
        detail: What shows it, in words.
    """

    kind: str
    row: int
    detail: str

    def doubt(self) -> Doubt | None:
        """Return why the reference is doubted; None for a fault that misleads no name."""
        if self.kind not in (STOP_CODON, FRAMESHIFT):
            return None
        return Doubt(self.row, self.kind, 1.0, self.detail)


def count_in_frame(letters: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count the stop codons of letters in a frame, (R, W) to (R,)."""
    third = int(np.flatnonzero(~conserved_sites(letters))[0])
    start = (third + 1) % CODON  # the first site of a whole codon
    counts = np.zeros(len(letters), np.int64)
    for first in range(0, len(letters), ROWS_PER_BLOCK):
        block = letters[first : first + ROWS_PER_BLOCK, start:]
        num_codons = block.shape[1] // CODON
        codons = block[:, : num_codons * CODON].reshape(len(block), num_codons, CODON)
        for stop in STOPS:
            is_stop = (codons == np.array(stop, np.uint8)).all(axis=2)  # (block, C)
            counts[first : first + len(block)] += is_stop.sum(axis=1)
    return counts


def frame_shift(gained: NDArray[np.integer], lost: NDArray[np.integer]) -> NDArray[np.int64]:
    """Count bases gained and lost that move the reading frame, (R,); 0 for whole codons."""
    net, total = gained.astype(np.int64) - lost, gained.astype(np.int64) + lost
    return np.where(net % CODON == 0, np.where(net == 0, total, 0), total)


def count_letters(letters: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count known letters, and unknown ones between the first and the last known, (R,) each."""
    num, sites = letters.shape
    known, spans = np.zeros(num, np.int64), np.zeros(num, np.int64)
    for first in range(0, num, ROWS_PER_BLOCK):
        here = slice(first, first + ROWS_PER_BLOCK)
        is_known = letters[here] < NO_BASE
        known[here] = is_known.sum(axis=1)
        last = sites - is_known[:, ::-1].argmax(axis=1)
        spans[here] = np.where(known[here] > 0, last - is_known.argmax(axis=1), 0)
    return known, spans - known


def find_faults(
    letters: NDArray[np.uint8] | None,
    closed: Sequence[int],
    shifts: Mapping[int, tuple[int, int]],
    *,
    is_coding: bool,
) -> Iterator[Fault]:
    """Find the faults of a library's letters.

    Args:
        letters: Letters in the frame, (R, W); None without a frame.
        closed: Rows of references in which every reading frame has a stop codon.
        shifts: Row -> bases gained and lost inside the barcode, where there are any.
        is_coding: Whether the marker codes for a protein; only then stop codons are faults.
    """
    if letters is not None and is_coding:
        counts = count_in_frame(letters)
        is_read = (counts == 0).mean() >= CODING_SHARE  # else this is not its reading frame
        for row in np.flatnonzero(counts).tolist() if is_read else ():
            detail = f"{counts[row]} stop codon(s) in the reading frame of the library"
            yield Fault(STOP_CODON, row, detail)
    elif is_coding:
        for row in closed:
            yield Fault(STOP_CODON, row, "stop codons in every reading frame")
    for row, (gained, lost) in sorted(shifts.items()):
        if frame_shift(np.array(gained), np.array(lost)):
            detail = f"{gained} bases gained, {lost} lost inside the barcode"
            yield Fault(FRAMESHIFT, row, detail)
    if letters is not None:
        yield from find_lacking(*count_letters(letters))


def find_lacking(known: NDArray[np.int64], unknown: NDArray[np.int64]) -> Iterator[Fault]:
    """Find references that are much shorter than the others, or have many unknown letters.

    Args:
        known: Number of known letters of each, (R,).
        unknown: Number of unknown letters between the first and the last known of each, (R,).
    """
    median = float(np.median(known))
    for row in np.flatnonzero(known < SHORT_SHARE * median).tolist():
        yield Fault(TRUNCATED, row, f"{known[row]} known letters, the median is {median:.0f}")
    share = unknown / np.maximum(known + unknown, 1)
    for row in np.flatnonzero(share > MAX_UNKNOWN).tolist():
        detail = f"{share[row]:.1%} of the letters between its ends are unknown"
        yield Fault(MANY_UNKNOWN, row, detail)


__all__ = [
    "CODING_SHARE",
    "FRAMESHIFT",
    "MANY_UNKNOWN",
    "MAX_UNKNOWN",
    "SHORT_SHARE",
    "STOP_CODON",
    "TRUNCATED",
    "Fault",
    "count_in_frame",
    "count_letters",
    "find_faults",
    "frame_shift",
]
