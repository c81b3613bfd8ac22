"""Strict reader of FASTA and FASTQ, plain or compressed, from a file or standard input.

In: a path or `-`. Out: records with the header verbatim. dnaio does the reading; this file adds
records of this package and errors that name file and line.
Guarded by tests/barcodemae/test_fasta.py.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dnaio

from barcodemae.errors import DataError


@dataclass(frozen=True, slots=True)
class SequenceRecord:
    """One sequence as deposited.

    Attributes:
        number: Number of the record in the file, 1-based, for messages.
        id: The header up to the first white space, verbatim (`;size=` and `|` included).
        header: The whole header line, without `>` or `@`.
        sequence: The letters exactly as in the file.
        problem: How the file is malformed at this record; empty for a well-formed record.
    """

    number: int
    id: str
    header: str
    sequence: str
    problem: str = ""


def read_records(path: Path | str) -> Iterator[SequenceRecord]:
    """Stream the records of a FASTA or FASTQ file.

    Args:
        path: Path of the file (`.gz`, `.bz2`, `.xz` and `.zst` are recognised), or `-` for stdin.

    Yields:
        Records in file order.

    Raises:
        DataError: The file is missing, empty, damaged or neither FASTA nor FASTQ.
    """
    source = sys.stdin.buffer if str(path) == "-" else str(path)
    shown = "<stdin>" if str(path) == "-" else path
    number = 0
    try:
        with dnaio.open(source) as reader:
            for number, record in enumerate(reader, start=1):
                yield SequenceRecord(
                    number,
                    record.name.split(maxsplit=1)[0] if record.name.strip() else "",
                    record.name,
                    record.sequence,
                )
    except dnaio.FileFormatError as error:
        line = None if error.line is None else error.line + 1
        raise DataError(shown, error.message, line) from error
    except dnaio.UnknownFileFormat as error:
        raise DataError(shown, "neither FASTA nor FASTQ (optionally compressed)") from error
    except (OSError, EOFError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        place = f" after record {number}" if number else ""
        raise DataError(shown, f"cannot be read{place}: {reason}") from error
    if number == 0:
        raise DataError(shown, "holds no sequences")
