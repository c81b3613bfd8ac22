"""A file of sequences in blocks of a fixed number of records, which the workers parse.

In: a FASTA or FASTQ file, packed or not. Out: blocks. Those of a FASTA file are cut out of its text
at the headers, which takes a third of the time of parsing, so that one driver keeps more workers
busy. Where text cannot be cut so (FASTQ, a file that begins without a header, a damaged
one, a pipe), the driver parses the records itself. In both cases the records are those of
`read_records`. Guarded by tests/barcodemae/distributed/test_blocks.py.
"""

import json
from collections.abc import Callable, Generator, Iterator
from dataclasses import astuple, dataclass
from io import BufferedReader, BytesIO
from itertools import islice
from pathlib import Path

from barcodemae.errors import DataError
from barcodemae.fasta import Lines, SequenceRecord, make_record, parse_fasta
from barcodemae.plain_text import open_text


RECORDS_PER_BLOCK = 8192  # a multiple of the records that one machine computes together
PIECE_BYTES = 1 << 20
MOST_BYTES = 256 << 20  # of a block of text; no barcodes are that long
HEADER = b"\n>"
Read = Callable[[], Iterator[SequenceRecord]]


@dataclass(frozen=True)
class Block:
    """Consecutive records of a file.

    Attributes:
        first: Number of the first record in the file, from 1.
        count: Number of records.
        text: Their text, if the worker is to parse it; else empty.
        parsed: The records, if the driver has parsed them.
    """

    first: int
    count: int
    text: bytes = b""
    parsed: tuple[SequenceRecord, ...] = ()

    def records(self) -> list[SequenceRecord]:
        """Return the records.

        Raises:
            AssertionError: The text holds another number of records than were counted.
        """
        if self.parsed:
            return list(self.parsed)
        lines = Lines(BufferedReader(BytesIO(self.text)), list_damage=False)
        entries = enumerate(parse_fasta(next(lines), lines), start=self.first)
        records = [make_record(number, entry) for number, entry in entries]
        if len(records) != self.count:
            raise AssertionError(f"{len(records)} records parsed where {self.count} were counted")
        return records

    def content(self) -> bytes:
        """Return what identifies the block: its place and its letters, as bytes."""
        place = f"{self.first} {self.count}\n".encode()
        if not self.parsed:
            return place + self.text
        return place + json.dumps([astuple(record) for record in self.parsed]).encode()


def blocks_of(source: str, read: Read, size: int = RECORDS_PER_BLOCK) -> Iterator[Block]:
    """Split a file of sequences into blocks.

    Args:
        source: Path of the file, or `-`.
        read: Function that begins to read its records, with the errors that the caller wants.
        size: Number of records of a block.
    """
    done: int | None = 0
    if Path(source).is_file():
        done = yield from text_blocks(source, size)
    if done is None:
        return
    records = islice(read(), done, None)
    while parsed := tuple(islice(records, size)):
        yield Block(done + 1, len(parsed), parsed=parsed)
        done += len(parsed)


def text_blocks(source: str, size: int) -> Generator[Block, None, int | None]:
    """Cut the text of a FASTA file at its headers, as far as that can be done.

    Returns:
        None at the end of the file, else the number of records in the blocks so far.
    """
    done, cutter = 0, Cutter(size)
    try:
        with open_text(source) as stream:
            while piece := stream.read(PIECE_BYTES):
                if not cutter.add(piece):
                    return done
                while text := cutter.cut():
                    yield Block(done + 1, size, text)
                    done += size
    except DataError:  # reading the records says the same, and where
        return done
    if not cutter.rest:
        return done
    yield Block(done + 1, cutter.num_headers, bytes(cutter.rest))
    return None


class Cutter:
    """Cuts text into blocks of records.

    Args:
        size: Number of records of a block.

    Attributes:
        rest: Text that is not cut off yet; begins with a header.
        num_headers: Number of headers in it.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.rest = bytearray()
        self.num_headers = 0

    def add(self, piece: bytes) -> bool:
        """Add text; whether it can be cut: it begins with a header, and a block is not too long."""
        if not self.rest:
            text = piece.lstrip()
            before = piece[: len(piece) - len(text)]
            if not text.startswith(b">") or (before and not before.endswith(b"\n")):
                return False
            piece, self.num_headers = text, 1
        seen = max(0, len(self.rest) - 1)  # a header may begin where the pieces meet
        self.rest += piece
        self.num_headers += self.rest.count(HEADER, seen)
        return len(self.rest) <= MOST_BYTES

    def cut(self) -> bytes:
        """Cut off a block; empty if there is no whole one with a header behind it."""
        if self.num_headers <= self.size:
            return b""
        end = 0
        for _ in range(self.size):
            end = self.rest.index(HEADER, end + 1)
        text = bytes(self.rest[: end + 1])
        del self.rest[: end + 1]
        self.num_headers -= self.size
        return text
