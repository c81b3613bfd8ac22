"""Read barcodes from FASTA and FASTQ files, or refuse the file at its first fault.

This is the reader of `prepare` and `embed`, whose results should not rest on half a file; the one
in `raw_fasta.py` loses nothing, whatever stands in the file. In: a path or `-`. Out: records with
the header verbatim. Reading is dnaio's; this file adds the front door, errors that name file and
line, and a limit to what one record may hold. Guarded by tests/barcodemae/test_fasta.py.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dnaio

from barcodemae.errors import DataError
from barcodemae.plain_text import open_text


MAX_RECORD_BYTES = 1 << 26  # no barcode is that long, and memory is finite


@dataclass(frozen=True, slots=True)
class SequenceRecord:
    """One sequence as deposited.

    Attributes:
        number: 1-based position in the file, for messages.
        id: The header up to the first white space, verbatim (`;size=` and `|` included).
        header: The whole header line without `>` or `@`.
        sequence: The letters as they stand in the file.
        problem: What the file itself breaks in this record; empty in a record that is whole.
    """

    number: int
    id: str
    header: str
    sequence: str
    problem: str = ""


def read_records(path: Path | str) -> Iterator[SequenceRecord]:
    """Stream the records of a FASTA or FASTQ file.

    Args:
        path: File name, packed or not (see `barcodemae.unpacking`), or `-` for stdin.

    Yields:
        Records in file order.

    Raises:
        DataError: The file is missing, empty, damaged or neither FASTA nor FASTQ.
    """
    shown = "<stdin>" if str(path) == "-" else path
    number = 0
    try:
        with open_text(path) as stream:
            for number, (header, sequence) in enumerate(_headers_and_letters(stream), start=1):
                name = header.split(maxsplit=1)[0] if header.strip() else ""
                yield SequenceRecord(number, name, header, sequence)
    except dnaio.FileFormatError as error:
        line = None if error.line is None else error.line + 1
        raise DataError(shown, error.message, line) from error
    except UnicodeDecodeError as error:
        raise DataError(shown, f"cannot be read{_after(number)}: {error}") from error
    except DataError as error:
        raise DataError(shown, f"{error.problem}{_after(number)}", error.line) from error
    if number == 0:
        raise DataError(shown, "holds no sequences")


def _after(number: int) -> str:
    return f" after record {number}" if number else ""


def _headers_and_letters(stream: io.BufferedReader) -> Iterator[tuple[str, str]]:
    is_fastq = stream.peek(1)[:1] == b"@"
    limited = _Limited(stream, b"\n" if is_fastq else b">")
    if is_fastq:
        for record in dnaio.FastqReader(limited):
            yield record.name, record.sequence
    else:
        # Not dnaio's own records, which hold ASCII only.
        yield from dnaio.FastaReader(limited, sequence_class=_header_and_letters)


def _header_and_letters(header: str, letters: str, _qualities: None) -> tuple[str, str]:
    return header, letters


class _Limited(io.RawIOBase):
    """A stream in which a mark must come again and again, or it is no file of barcodes."""

    def __init__(self, stream: io.BufferedReader, mark: bytes) -> None:
        self._stream, self._mark = stream, mark
        self._since_mark = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._stream.peek()  # fills the buffer, where the small reads that follow would not
        piece = self._stream.read1(len(buffer))
        buffer[: len(piece)] = piece
        at = piece.rfind(self._mark)
        self._since_mark = len(piece) - at if at >= 0 else self._since_mark + len(piece)
        if self._since_mark > MAX_RECORD_BYTES:
            problem = f"holds a record of more than {MAX_RECORD_BYTES >> 20} MiB: no barcode"
            raise DataError("", problem)
        return len(piece)
