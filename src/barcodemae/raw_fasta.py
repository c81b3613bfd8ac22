"""Read FASTA in which anything may stand, without losing a record.

In: a path or `-`. Out: one record per header line, whatever its letters are: bytes that are no
text, proteins, nothing at all; the caller says what is wrong with it. What stands before the first
header is a record too, without id. FASTQ has no such
latitude: a record that is not four lines ends the reading. Guarded by tests/test_raw_fasta.py.
"""

import lzma
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from xopen import xopen

from barcodemae.errors import DataError
from barcodemae.fasta import SequenceRecord


KEPT_LETTERS = 1_000_000  # of one record; no barcode is that long, and memory is finite


def read_any_records(path: Path | str) -> Iterator[SequenceRecord]:
    """Stream the records of a FASTA or FASTQ file.

    Ids and letters that are no UTF-8 come through as surrogate escapes, so writing them with
    `errors="surrogateescape"` gives the same bytes.

    Args:
        path: File name (compressed files are recognised) or `-` for stdin.

    Yields:
        Records in file order.

    Raises:
        DataError: The file is missing, its compression is damaged, it holds nothing, or a FASTQ
            record is not one.
    """
    source = sys.stdin.buffer if str(path) == "-" else str(path)
    shown = "<stdin>" if str(path) == "-" else path
    number = 0
    try:
        with xopen(source, "rb", threads=0) as stream:
            first = next((line for line in stream if line.strip()), b"")
            parse = parse_fastq if first.startswith(b"@") else parse_fasta
            for number, record in enumerate(parse(first, stream), start=1):
                yield SequenceRecord(number, *record)
    except BrokenGrammarError as error:
        raise DataError(shown, f"record {number + 1}: {error}") from error
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        place = f" after record {number}" if number else ""
        raise DataError(shown, f"cannot be read{place}: {reason}") from error
    if number == 0:
        raise DataError(shown, "holds no sequences")


class BrokenGrammarError(ValueError):
    """A FASTQ record that is not four lines."""


def parse_fasta(first: bytes, stream: BinaryIO) -> Iterator[tuple[str, str, str]]:
    """Cut lines into records: id, header, letters."""
    if not first:
        return
    is_header = first.startswith(b">")
    header, letters = (first[1:], bytearray()) if is_header else (b"", bytearray(first))
    for line in stream:
        if line.startswith(b">"):
            yield as_text(header, letters)
            header, letters = line[1:], bytearray()
        elif len(letters) < KEPT_LETTERS:
            letters += line[:KEPT_LETTERS]
    yield as_text(header, letters)


def parse_fastq(first: bytes, stream: BinaryIO) -> Iterator[tuple[str, str, str]]:
    """Cut groups of four lines into records: id, header, letters."""
    header = first
    while header.strip():
        letters, plus, quality = (stream.readline() for _ in range(3))
        if not header.startswith(b"@") or not plus.startswith(b"+") or not quality:
            raise BrokenGrammarError("is not FASTQ: @, letters, + and qualities on four lines")
        yield as_text(header[1:], letters)
        header = stream.readline()


def as_text(header: bytes, letters: bytes | bytearray) -> tuple[str, str, str]:
    """Make text of one record: id, header, letters."""
    text = header.strip(b"\r\n").decode("utf-8", "surrogateescape")
    name = (header.split(maxsplit=1) or [b""])[0].decode("utf-8", "surrogateescape")
    return name, text, bytes(letters).decode("utf-8", "surrogateescape")
