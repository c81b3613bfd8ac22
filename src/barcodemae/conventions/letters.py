"""The letters of a barcode as the field writes them, read as A, C, G, T and codes for the unsure.

    "--acgu?RTA--GIC*NN"  ->  "ACGTNRTANNGNC"

In: letters as deposited. Out: upper-case DNA in which N stands for every unknown base, whatever it
was written as: `?`, `X`, inosine (`I`), or a run of gaps between two letters, which BOLD writes for
bases that were not read and which keeps the letters after it in their place. What ends a sequence
on either side (gaps, `?`, the `*` of translators, N at the 3' end) is removed, and full-width
letters are read as their plain forms. `prepare`, the embedders, `identify` and `cluster` read
letters through this file. Guarded by tests/barcodemae/conventions/test_letters.py.
"""

import unicodedata


NUCLEOTIDE_CODES = "ACGTRYSWKMBDHVN"  # IUPAC, after U -> T
STAND_INS = "?XI"  # of an unknown base, beside N
# Largest share of stand-ins. Inosines of two primers around a short amplicon are 4 to 7 %; of the
# letters of 12,000 translated barcodes, 25 % and more are no nucleotide codes.
MOST_STAND_INS = 0.10
LIMIT_TOLD = f"up to {MOST_STAND_INS:.0%} of ?, X and I are read as unknown bases"

_GAP = "-"
_OTHER_GAPS = ".~\u2010\u2011\u2012\u2013\u2014\u2212"  # the last are dashes of word processors
_READ = str.maketrans({"U": "T"} | dict.fromkeys(_OTHER_GAPS, _GAP))
_TO_UNKNOWN = str.maketrans(dict.fromkeys(STAND_INS, "N"))
_NO_LETTERS = str.maketrans("", "", NUCLEOTIDE_CODES)


def clean(sequence: str) -> str:
    """Read the letters of a barcode.

    Gaps that outnumber the letters are columns of an alignment, and are removed. Stand-ins beyond
    `MOST_STAND_INS` stay, so that the sequence counts as no DNA.

    Args:
        sequence: Letters as they stand in the file, with or without white space.

    Returns:
        The letters; cleaning them again changes nothing.
    """
    if not sequence.isascii():
        sequence = unicodedata.normalize("NFKC", sequence)
    letters = "".join(sequence.split()).upper().translate(_READ)
    letters = letters.lstrip("-?").rstrip("-?*N")
    if not letters.translate(_NO_LETTERS):
        return letters
    if num_gaps := letters.count(_GAP):
        letters = letters.replace(_GAP, "N" if 2 * num_gaps <= len(letters) else "")
    num_stand_ins = sum(map(letters.count, STAND_INS))
    is_dna = num_stand_ins <= MOST_STAND_INS * len(letters)
    return letters.translate(_TO_UNKNOWN).rstrip("N") if is_dna else letters


def is_nothing(sequence: str) -> bool:
    """Tell whether a sequence holds no letter at all, not even N."""
    return not "".join(sequence.split()).translate(_READ).strip(_GAP)
