"""The reader of FASTA and FASTQ: it loses no record, however malformed.

In: a path or `-`. Out: a record per FASTA header or FASTQ entry, whatever its letters are: bytes
that are not text, a protein, nothing at all. The caller checks the letters. A record has a
`problem` if the file is malformed there (a FASTQ entry that has not four lines or not as many
qualities as letters; reading continues at the next entry), or if it is far too long. Text before
the first FASTA header is a record without an id; lines of a FASTA that begin with `;` or `#` are
comments. A file without any header is an error, but for one bare sequence. Where a packed file is
cut off or damaged, reading ends in an error, or for those whose output lists every record
(`identify`, `cluster`) in a record with that problem. Guarded by tests/barcodemae/test_fasta.py.
"""

import hashlib
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from itertools import chain, islice
from pathlib import Path

from barcodemae.conventions.other_formats import OPENING_BYTES, refusal
from barcodemae.errors import DataError
from barcodemae.plain_text import open_text
from barcodemae.unpacking import DamagedFileError, shown_name


LONGEST = 1_000_000  # letters of a record that is looked at; no barcode is that long
TOO_LONG = f"too long for a barcode: more than {LONGEST:,} letters"
KEPT_LETTERS = LONGEST + 1  # of a record, to limit the memory
LETTERS_ONLY = re.compile(rb"[A-Za-z*.-]*\s*")  # a line of a sequence, not of qualities
COMMENTS = (b";", b"#")
HEADERS = (b">", b"@")
Entry = tuple[bytes, bytes | bytearray, str]  # header, letters, problem


@dataclass(frozen=True, slots=True)
class SequenceRecord:
    """One sequence as deposited.

    Attributes:
        number: Number of the record in the file, 1-based, for messages.
        id: The header up to the first white space, verbatim (`;size=` and `|` included).
        header: The whole header line, without `>` or `@`.
        sequence: The letters as in the file, without line ends.
        problem: How the file is malformed at this record, or that it is far too long; else empty.
    """

    number: int
    id: str
    header: str
    sequence: str
    problem: str = ""


class RecordDigest:
    """Running hash of records, by which a resumed run or a shard knows that they are the same."""

    def __init__(self) -> None:
        self.state = hashlib.blake2b(digest_size=16)

    def add(self, record: SequenceRecord) -> None:
        """Add one record to the hash."""
        text = f"{record.header}\n{record.sequence}\n"
        self.state.update(text.encode("utf-8", "surrogateescape"))

    def value(self) -> str:
        """Return the hash as hex digits."""
        return self.state.hexdigest()


def read_records(path: Path | str, *, list_damage: bool = False) -> Iterator[SequenceRecord]:
    """Stream the records of a FASTA or FASTQ file.

    Ids and letters that are not UTF-8 are decoded with surrogate escapes, so that writing them with
    `errors="surrogateescape"` gives the same bytes.

    Args:
        path: Path of the file, packed or not (see `barcodemae.unpacking`), or `-` for stdin.
        list_damage: Whether the place at which a packed file is cut off or damaged is a last
            record with that problem, instead of an error.

    Yields:
        Records in file order.

    Raises:
        DataError: The file is missing, empty, damaged, of another format, or cannot be read.
    """
    number = 0
    try:
        with open_text(path) as stream:
            lines = Lines(stream, list_damage=list_damage)
            opening = lines.opening()
            check_format(opening, path)
            is_fastq = bool(opening) and opening[-1].startswith(b"@")
            first = next(lines, b"")
            parse = parse_fastq if is_fastq else parse_fasta
            entries = parse(first, lines) if first or lines.damage else ()
            for number, entry in enumerate(entries, start=1):
                yield make_record(number, entry)
    except DataError as error:
        if number == 0:
            raise
        raise DataError(error.path, f"{error.problem} after record {number}") from error
    if number == 0:
        raise DataError(shown_name(path), "holds no sequences")


def check_format(opening: list[bytes], path: Path | str) -> None:
    """Check by its first lines that a file may be FASTA or FASTQ.

    Raises:
        DataError: It is of another format, or has no header and is not one bare sequence.
    """
    if why := refusal(opening):
        raise DataError(shown_name(path), why)


def opening_of(path: Path | str) -> list[bytes]:
    """Read the lines of a file up to its first header, see `Lines.opening`.

    Raises:
        DataError: As for `read_records`, but where a packed file is damaged further in.
    """
    with open_text(path) as stream:
        return Lines(stream, list_damage=True).opening()


class Lines:
    """The lines of a file.

    Args:
        stream: The file.
        list_damage: Whether lines end quietly where the packed file is damaged.

    Attributes:
        damage: Why the lines ended early; empty if they did not.
    """

    def __init__(self, stream: BufferedReader, *, list_damage: bool) -> None:
        self.stream = stream
        self.list_damage = list_damage
        self.damage = ""
        self.has_begun = False
        self.waiting: deque[bytes] = deque()  # lines that were looked at and are still to come

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Return the next line, of an endless one only the beginning.

        Raises:
            DataError: The file cannot be read, or not even one line can be unpacked.
        """
        if self.waiting:
            return self.waiting.popleft()
        if self.damage:
            raise StopIteration
        try:
            line = self.stream.readline(KEPT_LETTERS)
            if len(line) == KEPT_LETTERS:
                self.skip_to_end(line)
        except DamagedFileError as error:
            if not (self.list_damage and self.has_begun):
                raise
            self.damage = f"the compressed file {error.problem}"
            raise StopIteration from error
        if not line:
            raise StopIteration
        self.has_begun = True
        return line

    def opening(self) -> list[bytes]:
        """Show the lines up to the first header, at most some `OPENING_BYTES`; they come again.

        Blank lines before the first other one are passed over for good.
        """
        shown = deque(islice((line for line in self if line.strip()), 1))
        size = sum(map(len, shown))
        while shown and size < OPENING_BYTES and not shown[-1].startswith(HEADERS):
            if not (line := next(self, b"")):
                break
            shown.append(line)
            size += len(line)
        self.waiting = shown.copy()
        return list(shown)

    def skip_to_end(self, piece: bytes) -> None:
        """Consume the rest of the line that begins with a piece."""
        while piece and not piece.endswith(b"\n"):
            piece = self.stream.readline(KEPT_LETTERS)


def parse_fasta(first: bytes, lines: Lines) -> Iterator[Entry]:
    """Split lines into FASTA entries."""
    header: bytes | None = None  # what stands before the first header has none
    letters = bytearray()
    for line in chain((first,), lines):
        if line.startswith(b">"):
            if header is not None or letters:
                yield header or b"", letters, ""
            header, letters = line[1:], bytearray()
        elif len(letters) < KEPT_LETTERS and not line.startswith(COMMENTS):
            letters += line.rstrip(b"\n")
    if header is not None or letters or lines.damage:
        yield header or b"", letters, lines.damage


class LookAhead:
    """Lines of which the next few can be inspected before they are consumed."""

    def __init__(self, first: bytes, lines: Lines) -> None:
        self.lines = lines
        self.seen: deque[bytes] = deque([first])

    def next_lines(self, count: int) -> list[bytes]:
        """Return the next lines without consuming them; fewer at the end of the file."""
        self.seen.extend(islice(self.lines, count - len(self.seen)))
        return list(islice(self.seen, count))

    def drop(self, count: int) -> None:
        """Consume lines that have been returned by `next_lines`."""
        for _ in range(count):
            self.seen.popleft()


def parse_fastq(first: bytes, lines: Lines) -> Iterator[Entry]:
    """Split lines into FASTQ entries of four; after a broken one, resume at the likely next."""
    ahead = LookAhead(first, lines)
    is_reported = False
    while entry := ahead.next_lines(4):
        if not entry[0].strip():
            ahead.drop(1)
            continue
        problem = find_problem(entry)
        if problem:
            ahead.drop(1)
            skip_to_entry(ahead)
            if lines.damage and not ahead.next_lines(1):
                problem, is_reported = lines.damage, True
        else:
            ahead.drop(4)
        has_header = entry[0].startswith(b"@")
        letters = entry[1].rstrip(b"\n") if len(entry) > 1 else b""
        yield entry[0][1:] if has_header else b"", letters, problem
    if lines.damage and not is_reported:
        yield b"", b"", lines.damage


def find_problem(entry: list[bytes]) -> str:
    """Describe what is wrong with four lines of FASTQ; empty if they are a well-formed entry."""
    if not entry[0].startswith(b"@"):
        return "broken FASTQ: a line starting with @ was expected"
    if len(entry) > 2 and not entry[2].startswith(b"+"):
        return "broken FASTQ: a line starting with + was expected after the letters"
    if len(entry) < 4:
        return "broken FASTQ: cut off before its qualities"
    header, repeated = entry[0][1:].strip(), entry[2][1:].strip()
    if repeated not in (b"", header):
        return "broken FASTQ: the line starting with + is of another record"
    letters, qualities = (len(entry[place].rstrip(b"\n")) for place in (1, 3))
    if letters != qualities:
        return f"broken FASTQ: {letters} letters, {qualities} qualities"
    return ""


def skip_to_entry(ahead: LookAhead) -> None:
    """Consume the rest of a broken entry.

    A quality line may start with @ too. A header is recognised by the line of letters after it and
    by the next line, which starts with + or, in a wrapped sequence, holds more letters.
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


def make_record(number: int, entry: Entry) -> SequenceRecord:
    """Decode an entry to a record."""
    header, letters, problem = entry
    if len(letters) > LONGEST and not problem:
        letters, problem = b"", TOO_LONG
    text = header.rstrip(b"\n").decode("utf-8", "surrogateescape")
    name = (header.split(maxsplit=1) or [b""])[0].decode("utf-8", "surrogateescape")
    return SequenceRecord(
        number, name, text, bytes(letters).decode("utf-8", "surrogateescape"), problem
    )
