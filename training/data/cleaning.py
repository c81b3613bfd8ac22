"""Cleaning of barcodes as in the published protocol, and the rules for which are usable.

    "acguRTNNN"  ->  "ACGTRT"

In: barcodes as deposited. Out: upper-case letters with U read as T, gaps and white space removed,
N stripped from the 3' end (N at the 5' end stays, so that the k-mer boundaries stay); and for
each barcode that is refused the reason. Whole blocks of bytes are processed at once, as the
tokenizer cleans; rows with other letters than the published data have go through
`barcodemae.conventions.letters` first, in which a gap between letters is an unknown base. Guarded
by tests/training/data/test_cleaning.py.

Shapes: N = barcodes of a block.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from barcodemae.conventions.letters import LIMIT_TOLD, STAND_INS, clean
from barcodemae.conventions.letters import NUCLEOTIDE_CODES as CODES
from barcodemae.errors import SettingsError
from barcodemae.kmer_facts import BASES, MAX_K


NUCLEOTIDE_CODES = CODES.encode()
_PLAIN = b"ACGTUNRYSWKMBDHVacgtunryswkmbdhv \t\n\v\f\r"  # what the tokenizer reads in one way
_BASES = BASES.encode()
_GAP, _N = ord("-"), ord("N")


def _letter_table() -> bytes:
    table = bytearray(range(256))
    for letter in range(ord("a"), ord("z") + 1):
        table[letter] = letter - 32
    table[ord("u")] = table[ord("U")] = ord("T")
    for gap in b"-. \t\n\v\f\r":
        table[gap] = _GAP
    # UTF-8 continuation bytes are removed, so that a letter beyond ASCII counts once.
    table[0x80:0xC0] = bytes([_GAP]) * 0x40
    return bytes(table)


LETTER_TABLE = _letter_table()


@dataclass(frozen=True, kw_only=True)
class CleaningRules:
    """The limits within which barcodes are kept.

    Raises:
        SettingsError: No barcode can meet the limits.
    """

    min_length: int = MAX_K
    """Shortest barcode after cleaning, in bp; the default can be tokenized with every k."""
    max_length: int = 2000
    """Longest barcode after cleaning, in bp; the default is above the whole COI gene (about
    1,550 bp), so that only genomes and concatenated records are refused. Training reads the first
    660 bp."""
    max_unknown: float = 0.5
    """Largest fraction of letters that are not A, C, G or T, 0 to 1."""

    def __post_init__(self) -> None:
        if not MAX_K <= self.min_length <= self.max_length:
            raise SettingsError(
                f"lengths must satisfy {MAX_K} <= min_length <= max_length, got "
                f"{self.min_length} and {self.max_length} bp"
            )
        if not 0 <= self.max_unknown <= 1:
            raise SettingsError(f"max_unknown must lie between 0 and 1, got {self.max_unknown}")


@dataclass(frozen=True)
class CleanBarcodes:
    """Clean barcodes, one after the other in one array of bytes.

    Attributes:
        letters: Letters of all barcodes, upper case, as ASCII codes.
        offsets: Bounds of the barcodes, (N + 1,): row r is `letters[offsets[r]:offsets[r + 1]]`.
    """

    letters: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def lengths(self) -> NDArray[np.int64]:
        """Compute the length of each barcode in bp, (N,)."""
        return np.diff(self.offsets)

    def to_arrow(self) -> pa.Array:
        """Return the barcodes as an Arrow array that shares the bytes."""
        offsets = pa.py_buffer(self.offsets)
        return pa.LargeStringArray.from_buffers(len(self), offsets, pa.py_buffer(self.letters))


def letters_and_offsets(block: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """View the bytes of a string array and the bounds of its rows; a null is an empty row.

    Args:
        block: N strings, `string` or `large_string`.

    Returns:
        letters: Bytes of all rows, without a copy.
        offsets: Bounds of the rows, (N + 1,): row r is `letters[offsets[r]:offsets[r + 1]]`.
    """
    if block.null_count:
        block = block.fill_null("")
    if len(block) == 0:
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    width = np.int64 if pa.types.is_large_string(block.type) else np.int32
    _, starts, letters = block.buffers()
    offsets = np.frombuffer(starts, dtype=width)[block.offset : block.offset + len(block) + 1]
    if letters is None:
        return np.empty(0, np.uint8), np.zeros(len(block) + 1, np.int64)
    view = np.frombuffer(letters, dtype=np.uint8)[offsets[0] : offsets[-1]]
    return view, offsets.astype(np.int64) - offsets[0]


def read_barcodes(block: pa.Array) -> CleanBarcodes:
    """Read a block of barcodes whose letters may be written in any way that the field has.

    Args:
        block: N barcodes, `string` or `large_string`; a null counts as an empty one.

    Returns:
        N clean barcodes, as `barcodemae.conventions.letters.clean` reads them.
    """
    view, offsets = letters_and_offsets(block)
    if not view.tobytes().translate(None, delete=_PLAIN):
        return clean_barcodes(block)
    is_odd = np.ones(256, dtype=np.bool_)
    is_odd[list(_PLAIN)] = False
    odd = np.unique(np.searchsorted(offsets, np.flatnonzero(is_odd[view]), side="right") - 1)
    rows = block.to_pylist()
    for row in odd.tolist():
        rows[row] = clean(rows[row])
    return clean_barcodes(pa.array(rows, pa.large_string()))


def clean_barcodes(block: pa.Array) -> CleanBarcodes:
    """Clean a block of barcodes.

    Args:
        block: N barcodes, `string` or `large_string`; a null counts as an empty one.

    Returns:
        N clean barcodes, of which some may be empty.
    """
    view, offsets = letters_and_offsets(block)
    letters = bytearray(view.tobytes().translate(LETTER_TABLE))
    has_gaps = _GAP in letters
    codes = np.frombuffer(letters, dtype=np.uint8)
    if has_gaps:
        codes, offsets = _without_gaps(codes, offsets)
    if _mark_trailing_n(codes, offsets):
        codes, offsets = _without_gaps(codes, offsets)
    return CleanBarcodes(codes, offsets)


def _mark_trailing_n(letters: NDArray[np.uint8], offsets: NDArray[np.int64]) -> bool:
    """Turn N at the 3' ends into gaps, in place; return whether there was any."""
    ends = offsets[1:].copy()
    rows = np.flatnonzero(ends > offsets[:-1])
    found = False
    while (rows := rows[letters[ends[rows] - 1] == _N]).size:
        ends[rows] -= 1
        letters[ends[rows]] = _GAP
        rows = rows[ends[rows] > offsets[rows]]
        found = True
    return found


def _without_gaps(
    letters: NDArray[np.uint8], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    gaps = np.flatnonzero(letters == _GAP)
    return np.delete(letters, gaps), offsets - np.searchsorted(gaps, offsets)


def count_outside(barcodes: CleanBarcodes, alphabet: bytes) -> NDArray[np.int64]:
    """Count the letters of each barcode that are not in an alphabet, (N,)."""
    if not barcodes.letters.tobytes().translate(None, delete=alphabet):
        return np.zeros(len(barcodes), dtype=np.int64)
    is_outside = np.ones(256, dtype=np.bool_)
    is_outside[list(alphabet)] = False
    positions = np.flatnonzero(is_outside[barcodes.letters])
    return np.diff(np.searchsorted(positions, barcodes.offsets)).astype(np.int64)


def find_refused(barcodes: CleanBarcodes, rules: CleaningRules) -> dict[int, tuple[str, str]]:
    """Find the barcodes that do not meet the rules.

    Args:
        barcodes: N clean barcodes.
        rules: Limits within which barcodes are kept.

    Returns:
        Row -> (name of the filter, what is wrong with this barcode). The filter is the first that
        applies of no_barcode, foreign_letter, too_short, too_long and too_many_unknown.
    """
    lengths = barcodes.lengths()
    foreign = count_outside(barcodes, NUCLEOTIDE_CODES)
    unknown = count_outside(barcodes, _BASES)
    too_many = (unknown == lengths) | (unknown > rules.max_unknown * lengths)
    is_bad = (foreign > 0) | (lengths < rules.min_length) | (lengths > rules.max_length) | too_many
    return {
        int(row): _reason(barcodes, int(row), (int(foreign[row]), int(unknown[row])), rules)
        for row in np.flatnonzero(is_bad)
    }


def _reason(
    barcodes: CleanBarcodes, row: int, counts: tuple[int, int], rules: CleaningRules
) -> tuple[str, str]:
    foreign, unknown = counts
    start, end = barcodes.offsets[row : row + 2]
    length = int(end - start)
    if length == 0:
        return "no_barcode", "no barcode, or none but N and gaps"
    if foreign:
        letters = barcodes.letters[start:end].tobytes().translate(None, delete=NUCLEOTIDE_CODES)
        shown = repr(letters[:1].decode("ascii", "replace"))
        limit = "" if letters.strip(STAND_INS.encode()) else f" ({LIMIT_TOLD})"
        reason = f"{foreign} letter(s) that are no nucleotide code, first {shown}{limit}"
        return "foreign_letter", reason
    if length < rules.min_length:
        return "too_short", f"{length} bp, fewer than {rules.min_length}"
    if length > rules.max_length:
        return "too_long", f"{length} bp, more than {rules.max_length}"
    return "too_many_unknown", f"{unknown} of {length} letters are not A, C, G or T"
