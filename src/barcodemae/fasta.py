"""Strict reader of FASTA and FASTQ, which refuses a file at its first fault.

`prepare` and `embed` use it, whose results should not rest on half a file; the lenient reader in
`raw_fasta.py` loses no record. In: a path or `-`. Out: records with the header verbatim. dnaio does
the reading; this file adds records of this package, errors that name file and line, and a limit to
the size of a record. Guarded by tests/barcodemae/test_fasta.py.
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import dnaio

from barcodemae.errors import DataError
from barcodemae.plain_text import as_utf8, open_text
from barcodemae.unpacking import BUFFER_BYTES, shown_name


MAX_RECORD_BYTES = 1 << 26  # no barcode is that long, and memory is finite


LONGEST = 1_000_000  # letters of a record that is looked at; no barcode is that long
TOO_LONG = f"too long for a barcode: more than {LONGEST:,} letters"


@dataclass(frozen=True, slots=True)
class SequenceRecord:
    """One sequence as deposited.

    Attributes:
        number: Number of the record in the file, 1-based, for messages.
        id: The header up to the first white space, verbatim (`;size=` and `|` included).
        header: The whole header line, without `>` or `@`.
        sequence: The letters exactly as in the file.
        problem: How the file is malformed at this record, or that it is far too long; else empty.
    """

    number: int
    id: str
    header: str
    sequence: str
    problem: str = ""


def read_records(path: Path | str) -> Iterator[SequenceRecord]:
    """Stream the records of a FASTA or FASTQ file.

    Args:
        path: Path of the file, packed or not (see `barcodemae.unpacking`), or `-` for stdin.

    Yields:
        Records in file order.

    Raises:
        DataError: The file is missing, empty, damaged or neither FASTA nor FASTQ.
    """
    shown = shown_name(path)
    number = 0
    try:
        with open_text(path) as stream:
            for number, (header, sequence) in enumerate(_headers_and_letters(stream), start=1):
                name = header.split(maxsplit=1)[0] if header.strip() else ""
                yield SequenceRecord(number, name, header, sequence)
    except dnaio.FileFormatError as error:
        line = None if error.line is None else error.line + 1
        raise DataError(shown, " ".join(error.message.split()), line) from error
    except UnicodeDecodeError as error:
        raise DataError(shown, f"cannot be read{_after(number)}: {error}") from error
    except DataError as error:
        raise DataError(shown, f"{error.problem}{_after(number)}", error.line) from error
    if number == 0:
        raise DataError(shown, "holds no sequences")


def without_long_records(records: Iterable[SequenceRecord]) -> Iterator[SequenceRecord]:
    """Drop the letters of records that are far too long, which then have a problem instead."""
    for record in records:
        if len(record.sequence) <= LONGEST:
            yield record
        else:
            yield replace(record, sequence="", problem=TOO_LONG)


def _after(number: int) -> str:
    return f" after record {number}" if number else ""


def _headers_and_letters(stream: io.BufferedReader) -> Iterator[tuple[str, str]]:
    is_fastq = stream.peek(1)[:1] == b"@"
    # A raw stream is all that dnaio needs; its hints ask for more.
    limited = cast(BinaryIO, _Limited(stream, b"\n" if is_fastq else b">"))
    if is_fastq:
        for record in dnaio.FastqReader(limited):
            yield record.name, record.sequence
    else:
        # Not dnaio's own records, which hold ASCII only.
        pairs: Any = dnaio.FastaReader(limited, sequence_class=_header_and_letters)
        yield from pairs


def _header_and_letters(header: str, letters: str, _qualities: None) -> tuple[str, str]:
    return header, letters


class _Limited(io.RawIOBase):
    """A stream of whole lines without the rest of records that are far too long.

    FASTQ, in which no rest can be told from the next record, is refused then. Headers that are not
    UTF-8 are read as Windows-1252.
    """

    def __init__(self, stream: io.BufferedReader, mark: bytes) -> None:
        self._stream, self._mark = stream, mark
        self._since_mark = 0
        self._is_dropping = False  # the rest of a record that is far too long
        self._ready = b""
        self._rest = b""  # of the last line, which is not complete yet
        self._failure: DataError | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._ready:
            self._ready = self._lines()
        size = min(len(buffer), len(self._ready))
        buffer[:size], self._ready = self._ready[:size], self._ready[size:]
        return size

    def _lines(self) -> bytes:
        piece = self._piece()
        while piece and b"\n" not in piece and len(self._rest) < BUFFER_BYTES:
            self._rest += piece
            piece = self._piece()
        text = self._rest + piece
        end = text.rfind(b"\n") + 1 or len(text)
        if not piece:
            end = len(text)
        text, self._rest = text[:end], text[end:]
        if text.isascii():
            return text
        return b"".join(map(self._decodable, text.splitlines(keepends=True)))

    def _decodable(self, line: bytes) -> bytes:
        return as_utf8(line) if line.startswith((b">", b"@")) else line

    def _piece(self) -> bytes:
        """Read on; nothing at the end, and where reading fails once what was read is given."""
        if self._failure is not None:
            raise self._failure
        while True:
            try:
                self._stream.peek()  # fills the buffer, where small reads would not
                piece = self._stream.read1(BUFFER_BYTES)
            except DataError as error:
                if not self._rest:
                    raise
                self._failure = error
                return b""
            start = piece.find(self._mark)
            if self._is_dropping and start >= 0:
                piece, self._is_dropping = b"\n" + piece[start:], False
            if not piece or not self._is_dropping:
                self._count(piece)
                return piece

    def _count(self, piece: bytes) -> None:
        """Count the bytes since the last mark; too many of a record in FASTA are dropped."""
        at = piece.rfind(self._mark)
        self._since_mark = len(piece) - at if at >= 0 else self._since_mark + len(piece)
        self._is_dropping = self._since_mark > MAX_RECORD_BYTES
        if self._is_dropping and self._mark != b">":
            problem = f"holds a record of more than {MAX_RECORD_BYTES >> 20} MiB: no barcode"
            raise DataError("", problem)
