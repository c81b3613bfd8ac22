"""Read FASTA and FASTQ in which anything may stand, without losing a record.

This is the reader of `identify` and `cluster`, whose answers list every record of the input; the
strict one in `fasta.py` refuses a file at its first fault. In: a path or `-`. Out: a record per
FASTA header or FASTQ entry, whatever its letters are: bytes that are no text, proteins, nothing at
all; the caller says what is wrong with them. What a file itself breaks has `problem` set: a FASTQ
entry that is not four lines or whose qualities do not match its letters (reading goes on at the
next entry), and the entry at which a packed file is cut off or damaged (reading ends there). What
stands before the first FASTA header is a record too, without id. Guarded by
tests/barcodemae/test_raw_fasta.py.
"""

import io
import re
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from barcodemae.errors import DataError
from barcodemae.fasta import SequenceRecord
from barcodemae.plain_text import open_text
from barcodemae.unpacking import DamagedFileError


KEPT_LETTERS = 1_000_000  # of one record; no barcode is that long, and memory is finite
LETTERS_ONLY = re.compile(rb"[A-Za-z*.-]*\s*")  # a line of a sequence, not of qualities
Entry = tuple[bytes, bytes | bytearray, str]  # header, letters, problem


def read_any_records(path: Path | str) -> Iterator[SequenceRecord]:
    """Stream the records of a FASTA or FASTQ file.

    Ids and letters that are no UTF-8 come through as surrogate escapes, so writing them with
    `errors="surrogateescape"` gives the same bytes.

    Args:
        path: File name, packed or not (see `barcodemae.unpacking`), or `-` for stdin.

    Yields:
        Records in file order.

    Raises:
        DataError: The file is missing, holds nothing, cannot be unpacked at all, or the machine
            fails to read it.
    """
    number = 0
    try:
        with open_text(path) as stream:
            lines = Lines(stream)
            first = next((line for line in lines if line.strip()), b"")
            parse = parse_fastq if first.startswith(b"@") else parse_fasta
            entries = parse(first, lines) if first or lines.damage else ()
            for number, entry in enumerate(entries, start=1):
                yield as_record(number, entry)
    except DataError as error:
        if number == 0:
            raise
        raise DataError(error.path, f"after record {number}: {error.problem}") from error
    if number == 0:
        raise DataError("<stdin>" if str(path) == "-" else path, "holds no sequences")


class Lines:
    """The lines of a file, up to where it is damaged.

    Attributes:
        damage: Why they ended early; empty if they did not.
    """

    def __init__(self, stream: io.BufferedReader) -> None:
        self.stream = stream
        self.damage = ""
        self.is_begun = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Give the next line, of an endless one only the beginning.

        Raises:
            DataError: The machine fails to read, or nothing at all can be unpacked.
        """
        if self.damage:
            raise StopIteration
        try:
            line = self.stream.readline(KEPT_LETTERS)
            if len(line) == KEPT_LETTERS:
                self.skip_to_end(line)
        except DamagedFileError as error:
            if not self.is_begun:
                raise
            self.damage = f"the file {error.problem}"
            raise StopIteration from error
        if not line:
            raise StopIteration
        self.is_begun = True
        return line

    def skip_to_end(self, piece: bytes) -> None:
        """Pass over the rest of the line that a piece of it begins."""
        while piece and not piece.endswith(b"\n"):
            piece = self.stream.readline(KEPT_LETTERS)


def parse_fasta(first: bytes, lines: Lines) -> Iterator[Entry]:
    """Cut lines into entries."""
    is_header = first.startswith(b">")
    header, letters = (first[1:], bytearray()) if is_header else (b"", bytearray(first))
    for line in lines:
        if line.startswith(b">"):
            yield header, letters, ""
            header, letters = line[1:], bytearray()
        elif len(letters) < KEPT_LETTERS:
            letters += line[:KEPT_LETTERS]
    yield header, letters, lines.damage


class LookAhead:
    """Lines with a view of the next few."""

    def __init__(self, first: bytes, lines: Lines) -> None:
        self.lines = lines
        self.seen: deque[bytes] = deque([first])

    def next_lines(self, count: int) -> list[bytes]:
        """Show the next lines, fewer at the end."""
        self.seen.extend(islice(self.lines, count - len(self.seen)))
        return list(islice(self.seen, count))

    def drop(self, count: int) -> None:
        """Pass over lines that were shown."""
        for _ in range(count):
            self.seen.popleft()


def parse_fastq(first: bytes, lines: Lines) -> Iterator[Entry]:
    """Cut lines into entries of four; where one is broken, go on at what looks like the next."""
    ahead = LookAhead(first, lines)
    is_told = False
    while entry := ahead.next_lines(4):
        if not entry[0].strip():
            ahead.drop(1)
            continue
        problem = fault_of(entry)
        if problem:
            ahead.drop(1)
            skip_to_entry(ahead)
            if lines.damage and not ahead.next_lines(1):
                problem, is_told = lines.damage, True
        else:
            ahead.drop(4)
        is_headed = entry[0].startswith(b"@")
        letters = entry[1][:KEPT_LETTERS] if len(entry) > 1 else b""
        yield entry[0][1:] if is_headed else b"", letters, problem
    if lines.damage and not is_told:
        yield b"", b"", lines.damage


def fault_of(entry: list[bytes]) -> str:
    """Say what is wrong with four lines of FASTQ; nothing if they are an entry."""
    if not entry[0].startswith(b"@"):
        return "broken FASTQ: a line starting with @ was expected"
    if len(entry) > 2 and not entry[2].startswith(b"+"):
        return "broken FASTQ: a line starting with + was expected after the letters"
    if len(entry) < 4:
        return "broken FASTQ: cut off before its qualities"
    letters, qualities = (len(entry[place].rstrip(b"\r\n")) for place in (1, 3))
    if letters != qualities:
        return f"broken FASTQ: {letters} letters, {qualities} qualities"
    return ""


def skip_to_entry(ahead: LookAhead) -> None:
    """Pass over the rest of a broken entry.

    A quality line may start with @ too; a header is told by the line of letters that follows it,
    and the line after that, which is + or, if wrapped, more letters.
    """
    while shown := ahead.next_lines(3):
        header, *follow = shown
        is_followed = [
            LETTERS_ONLY.fullmatch(line) or (place and line.startswith(b"+"))
            for place, line in enumerate(follow)
        ]
        if header.startswith(b"@") and follow and all(is_followed):
            return
        ahead.drop(1)


def as_record(number: int, entry: Entry) -> SequenceRecord:
    """Make text of an entry."""
    header, letters, problem = entry
    text = header.strip(b"\r\n").decode("utf-8", "surrogateescape")
    name = (header.split(maxsplit=1) or [b""])[0].decode("utf-8", "surrogateescape")
    return SequenceRecord(
        number, name, text, bytes(letters).decode("utf-8", "surrogateescape"), problem
    )
