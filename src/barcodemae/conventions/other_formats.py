"""Formats that are not read, told by how a file begins, and what makes FASTA of them.

In: the first lines of a file that should be FASTA or FASTQ. Out: why it is neither, with a remedy,
for one line on the screen, and whether it is a table. A file in which a line begins with `>` is
FASTA, whatever stands before.
Guarded by tests/barcodemae/conventions/test_other_formats.py.
"""

import re
from collections.abc import Sequence
from itertools import dropwhile


OPENING_BYTES = 1 << 16  # of a file, in which a header is looked for
PARQUET_START = b"PAR1"
WIDEST_WRAPPED = 80  # letters of a line of one sequence; fewer than any sequence that is named
_BIOPYTHON = 'Biopython makes FASTA of it: SeqIO.convert(FILE, "{}", "out.fasta", "fasta")'
_WEB_PAGE = "what was downloaded is the page of an error or of a login; fetch the file itself"
_SAMTOOLS = "samtools fasta makes FASTA of it"
_OF_TABLE = "identify, embed, cluster, index and prepare read tables from a file"
_AS_FASTA = "it holds no sequences with headers; export them as FASTA"
# How a file begins -> what it is, and what helps.
_BEGINNINGS: tuple[tuple[str, str, str], ...] = (
    (r"LOCUS {3,}\S", "a GenBank flat file", _BIOPYTHON.format("genbank")),
    (r"ID   \S", "an EMBL flat file", _BIOPYTHON.format("embl")),
    (r"#NEXUS\b", "a NEXUS file", _BIOPYTHON.format("nexus")),
    (r"\d+[ \t]+\d+\s", "a PHYLIP file", _BIOPYTHON.format("phylip-relaxed")),
    (r"(CLUSTAL|MUSCLE|PROBCONS)\b", "a Clustal alignment", _BIOPYTHON.format("clustal")),
    (r"# STOCKHOLM\b", "a Stockholm alignment", _BIOPYTHON.format("stockholm")),
    (r"ABIF", "a trace of a sequencer (AB1)", _BIOPYTHON.format("abi")),
    (r"\.scf", "a trace of a sequencer (SCF)", "export its sequence as FASTA"),
    (r"@(HD|SQ|RG|PG|CO)\t", "a SAM file", _SAMTOOLS),
    (r"BAM\x01|CRAM", "a BAM or CRAM file", _SAMTOOLS),
    (r"##fileformat=VCF", "a VCF file", "bcftools consensus makes FASTA of it"),
    (r"##gff-version", "a GFF file", _AS_FASTA),
    (PARQUET_START.decode(), "a Parquet file", _OF_TABLE),
    (r"(?i:<!doctype html|<html)", "a web page", _WEB_PAGE),
    (r"<", "an XML file", _AS_FASTA),
    (r"[\[{]", "a JSON file", _AS_FASTA),
    (r"%PDF", "a PDF", _AS_FASTA),
    (r"\(.*;\s*$", "a tree", _AS_FASTA),
)
_FORMATS = [(re.compile(start.encode()), what, remedy) for start, what, remedy in _BEGINNINGS]
_MARKS = (b">", b"@", b";", b"#")  # of headers and of comments
_LETTERS = re.compile(rb"[A-Za-z*?.~ -]+")
_BETWEEN_FIELDS = re.compile(rb"[\t;,]")


def refusal(lines: Sequence[bytes]) -> str:
    """Say why a file is no FASTA or FASTQ.

    Args:
        lines: Its lines from the first that is not blank up to the first header, or, if there is
            none, those within the first `OPENING_BYTES`.

    Returns:
        The middle of a sentence that begins with the name of the file; empty if it may be FASTA or
        FASTQ, with or without words before the first header, or is one bare sequence.
    """
    why = other_format(lines)
    if not why and is_table(lines):
        why = f"is a table, not FASTA or FASTQ: {_OF_TABLE}"
    if why or not lines or has_mark(lines):
        return why
    if all(_LETTERS.fullmatch(line.strip()) for line in lines if line.strip()):
        return list_of_letters(lines)
    return "is neither FASTA nor FASTQ: no line begins with > or @"


def other_format(lines: Sequence[bytes]) -> str:
    """Say which other format a file has, as `refusal` does; empty if it has none of those known."""
    if not lines or lines[-1].startswith(b">"):
        return ""
    first = lines[0].lstrip()
    found = ((what, remedy) for start, what, remedy in _FORMATS if start.match(first))
    what, remedy = next(found, ("", ""))
    return f"is {what}, not FASTA or FASTQ: {remedy}" if what else ""


def is_table(lines: Sequence[bytes]) -> bool:
    """Whether the first lines of a file, as `refusal` takes them, are those of a table.

    A table may begin with comments, or have a header that begins with `#`.
    """
    below = list(dropwhile(lambda line: line.startswith(b"#"), lines))
    if not below or other_format(lines) or has_mark(below):
        return False
    return _BETWEEN_FIELDS.search(below[0]) is not None


def has_mark(lines: Sequence[bytes]) -> bool:
    """Whether lines begin with a header or a comment, or end at a header."""
    return lines[0].startswith(_MARKS) or lines[-1].startswith(_MARKS[:2])


def list_of_letters(lines: Sequence[bytes]) -> str:
    """Say why lines of letters without a header are not one sequence; empty if they may be.

    One sequence is one line, or is broken into lines of the same length but for the last. Several
    sequences, one to a line, would otherwise be joined to a sequence that no animal has.
    """
    lengths = [len(b"".join(line.split())) for line in lines if line.strip()]
    *whole, last = lengths
    is_wrapped = len(set(whole)) <= 1 and (not whole or last <= whole[0] <= WIDEST_WRAPPED)
    if is_wrapped:
        return ""
    return (
        f"holds {len(lengths):,} lines of letters and no header: put a line that begins with > "
        "above each sequence"
    )
