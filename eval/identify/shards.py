"""Shards: a file of records, identified in parts on many machines and merged to one table.

In: `I/N` and the records of the whole file. Out: the records of part I, and beside its table a note
of which part of what it is, NAME.shard.json. `merge_tables` puts N tables together and refuses what
is missing, double, damaged, or made in another way. The mixture is estimated from the same sample
of the whole file for every part, so the merged rows are those of a run on one machine.
Guarded by tests/eval/identify/test_shards.py.
"""

import gzip
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.identify.progress import RecordDigest
from barcodemae.fasta import SequenceRecord
from barcodemae.files import whole_file, write_json
from barcodemae.model_files import hash_file
from barcodemae.output.rejected import HEADER, clear_list, rejected_path_of


WRITTEN_BY = "barcodemae identify --shard"
Read = Callable[[], Iterator[SequenceRecord]]


@dataclass(frozen=True)
class Shard:
    """One of several parts of about the same number of records.

    Attributes:
        number: Number of the part, 1 to `of`.
        of: Number of parts.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read `I/N`.

        Raises:
            SettingsError: It is not of that form, or I is not between 1 and N.
        """
        number, _, of = text.partition("/")
        if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
            raise SettingsError(f"--shard {text!r}: expected I/N, such as 3/8 for the third of 8")
        return cls(int(number), int(of))

    def rows(self, total: int) -> range:
        """Return the rows of the part among all records."""
        return range(total * (self.number - 1) // self.of, total * self.number // self.of)


def note_path(table: Path) -> Path:
    """Return the path of the note beside a table."""
    return table.with_name(f"{table.name}.shard.json")


@dataclass(frozen=True)
class Part:
    """The records of a shard.

    Attributes:
        shard: Which part it is.
        total: Number of records of the whole file.
        digest: Hash of all of them.
        read_all: Function that begins to read all of them.
    """

    shard: Shard
    total: int
    digest: str
    read_all: Read

    @classmethod
    def of(cls, shard: Shard, read: Read) -> "Part":
        """Count and hash the records of a file, and choose those of a part."""
        digest, total = RecordDigest(), 0
        for record in read():
            digest.add(record)
            total += 1
        return cls(shard, total, digest.value(), read)

    def read(self) -> Iterator[SequenceRecord]:
        """Begin to read the records of the part."""
        rows = self.shard.rows(self.total)
        return islice(self.read_all(), rows.start, rows.stop)

    def write_note(self, table: Path, settings: dict[str, Any], header: str) -> None:
        """Note which part of what a finished table is."""
        rejected = rejected_path_of(table)
        note = Note(
            WRITTEN_BY,
            self.shard.number,
            self.shard.of,
            self.total,
            self.digest,
            settings,
            header,
            hash_file(table).hex(),
            hash_file(rejected).hex() if rejected.is_file() else "",
        )
        write_json(note_path(table), asdict(note))


@dataclass(frozen=True)
class Note:
    """What is noted beside the table of a shard.

    Attributes:
        written_by: The mark by which it is known as ours.
        number: Number of the part.
        of: Number of parts.
        total: Number of records of the whole file.
        digest: Hash of all of them.
        settings: What determines the rows.
        header: First line of the table; empty for none.
        table: SHA-256 of the table.
        rejected: SHA-256 of the list of rejected records; empty if there is none.
    """

    written_by: str
    number: int
    of: int
    total: int
    digest: str
    settings: dict[str, Any]
    header: str
    table: str
    rejected: str

    @classmethod
    def read(cls, table: Path) -> "Note":
        """Read the note of a table.

        Raises:
            DataError: There is none, or it is damaged.
        """
        path = note_path(table)
        try:
            content = json.loads(path.read_text())
            note = cls(**content)
            types = {name: type(value) for name, value in asdict(note).items()}
        except FileNotFoundError as error:
            reason = f"is no shard: {path.name} is missing; `identify --shard I/N` writes both"
            raise DataError(table, reason) from error
        except (OSError, ValueError, TypeError) as error:
            raise DataError(path, "is damaged; run this shard again") from error
        if note.written_by != WRITTEN_BY or types != cls.__annotations__ | {"settings": dict}:
            raise DataError(path, "is damaged; run this shard again")
        return note


def merge_tables(tables: Sequence[Path], output: Path) -> int:
    """Put the tables of all shards of a file together, and their lists of rejected records.

    Args:
        tables: Tables, in any order.
        output: Table to write; the ending `.gz` compresses it.

    Returns:
        Number of records.

    Raises:
        DataError: A table is no shard, is damaged or of another run, or one is missing or double.
    """
    notes = {table: Note.read(table) for table in tables}
    check_together(notes)
    ordered = sorted(tables, key=lambda table: notes[table].number)
    rejected = [rejected_path_of(table) for table in ordered if notes[table].rejected]
    with whole_file(output) as part, open_packed(part, output, "wb") as stream:
        header = notes[ordered[0]].header.encode()
        stream.write(header)
        for table in ordered:
            append(table, len(header), stream)
    clear_list(rejected_path_of(output))
    if rejected:
        with whole_file(rejected_path_of(output)) as part, part.open("wb") as stream:
            stream.write(HEADER.encode())
            for path in rejected:
                append(path, len(HEADER.encode()), stream)
    return notes[ordered[0]].total


def check_together(notes: dict[Path, Note]) -> None:
    """Check that tables are all parts of one run, each once, and as they were written.

    Raises:
        DataError: They are not.
    """
    (first, expected), *_ = notes.items()
    of_number: dict[int, Path] = {}
    for table, note in notes.items():
        for name in ("of", "total", "digest", "header", "settings"):
            if getattr(note, name) != getattr(expected, name):
                what = {"of": "number of shards", "total": "number of records"}.get(name, name)
                raise DataError(table, f"is a shard of another run than {first}: another {what}")
        if note.number in of_number:
            raise DataError(table, f"is shard {note.number}, and so is {of_number[note.number]}")
        of_number[note.number] = table
        hashes = {table: note.table, rejected_path_of(table): note.rejected}
        for path, hashed in hashes.items():
            if (hash_file(path).hex() if path.is_file() else "") != hashed:
                raise DataError(path, "is not as it was written; run this shard again")
    if missing := sorted(set(range(1, expected.of + 1)) - set(of_number)):
        listed = ", ".join(f"{number}/{expected.of}" for number in missing)
        raise DataError(
            first, f"is one of {expected.of} shards, of which these are missing: {listed}"
        )


def open_packed(path: Path, named: Path, mode: str) -> Any:
    """Open a file, through gzip if its name ends in `.gz`."""
    if named.suffix == ".gz":
        return gzip.GzipFile(path, mode, mtime=0)
    return path.open(mode)


def append(path: Path, num_skipped: int, stream: BinaryIO) -> None:
    """Append a file without its first bytes."""
    with open_packed(path, path, "rb") as source:
        source.read(num_skipped)
        shutil.copyfileobj(source, stream)
