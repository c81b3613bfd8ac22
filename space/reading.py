"""Reading of a visitor's input.

In: pasted text or an uploaded file. Out: records as every command reads them, or an error of one
line. Guarded by tests/space/test_space_answers.py.
"""

import tempfile
from dataclasses import replace
from itertools import islice
from pathlib import Path

from barcodemae.calls.queries import read_queries
from barcodemae.conventions.other_formats import is_table, list_of_letters
from barcodemae.errors import BarcodeMAEError, DataError
from barcodemae.fasta import SequenceRecord
from barcodemae.plain_text import legible


MAX_RECORDS = 200
MAX_BYTES = 1_000_000
PASTED = "pasted text"  # its name in messages


class TooLargeError(BarcodeMAEError):
    """Input that is larger than the page allows."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"{found}; this page takes up to {MAX_RECORDS} sequences and "
            f"{MAX_BYTES / 1e6:.0f} MB at a time"
        )


class NothingGivenError(BarcodeMAEError):
    """Neither text nor a file was given."""


def read_input(text: str | None, upload: str | None) -> list[SequenceRecord]:
    """Read the uploaded file if there is one, else the pasted text.

    Args:
        text: FASTA, FASTQ, one bare sequence, or cells of a table with a line of column names.
        upload: Path of an uploaded file.

    Raises:
        NothingGivenError: Neither was given.
        TooLargeError: There are too many bytes or records.
        DataError: The input is no FASTA, FASTQ or table; the message names the line.
    """
    if upload:
        return read_file(Path(upload), Path(upload).name)
    letters = (text or "").strip()
    if not letters:
        raise NothingGivenError
    if len(letters) > MAX_BYTES:
        raise TooLargeError(f"the text has {len(letters) / 1e6:.1f} million letters")
    with tempfile.TemporaryDirectory() as folder:
        name, content = as_file(letters)
        path = Path(folder) / name
        path.write_text(content + "\n")
        return read_file(path, PASTED)


def as_file(letters: str) -> tuple[str, str]:
    """Choose the name and the content of the file that a pasted text is read from.

    Raises:
        DataError: The text is several lines of letters without a header.
    """
    if letters[0] in ">@":
        return "pasted.fasta" if letters[0] == ">" else "pasted.fastq", letters
    lines = letters.encode().split(b"\n")
    if is_table(lines):  # cells of a spreadsheet
        return "pasted.tsv", letters
    if len(lines) > 1 and (why := list_of_letters(lines)):
        raise DataError(PASTED, why)
    return "pasted.fasta", ">pasted\n" + letters


def read_file(path: Path, shown: str) -> list[SequenceRecord]:
    """Read a file.

    Args:
        path: Path of the file.
        shown: Name of the file in messages.

    Raises:
        TooLargeError: There are too many bytes or records.
        DataError: The file is no FASTA, FASTQ or table; the message names the line.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise TooLargeError(f"{shown} has {size / 1e6:.1f} MB")
    try:
        # One record more than allowed suffices to know that there are too many.
        records = list(islice(map(printable, read_queries(str(path))), MAX_RECORDS + 1))
    except DataError as error:
        raise DataError(shown, str(error).partition(": ")[2], error.line) from error
    if records and not records[0].header and not records[0].problem:
        raise DataError(shown, "begins without a header: FASTA begins with >, FASTQ with @")
    if len(records) > MAX_RECORDS:
        raise TooLargeError(f"{shown} holds more than {MAX_RECORDS} sequences")
    return records


def printable(record: SequenceRecord) -> SequenceRecord:
    """Return a record with text that a page can show, whatever its bytes are."""
    return replace(
        record,
        id=legible(record.id),
        header=legible(record.header),
        sequence=legible(record.sequence),
    )
