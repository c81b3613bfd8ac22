"""Shards: a file of records, identified or embedded in parts on many machines and merged to one.

In: `I/N` and the records of the whole file. Out: the records of part I, and beside its table a note
of which part of what it is, NAME.shard.json. `merge_tables` puts N tables together and refuses what
is missing, double, damaged, or made in another way. Where records are computed in blocks, parts end
between blocks, so that every record is computed together with those that it is with on one machine.
Guarded by tests/barcodemae/output/test_shards.py.
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
from barcodemae.fasta import RecordDigest, SequenceRecord
from barcodemae.files import whole_file, write_json
from barcodemae.model_files import hash_file
from barcodemae.output.rejected import HEADER, clear_list, is_list, rejected_path_of


IDENTIFY, EMBED = WRITERS = ("barcodemae identify --shard", "barcodemae embed --shard")
IDS_ENDING = ".ids.txt"  # of the file of ids beside vectors of NumPy
Read = Callable[[], Iterator[SequenceRecord]]
CALLED = {"of": "number of shards", "total": "number of records", "written_by": "command"}
Join = Callable[[Sequence[Path], Path, str], None]  # tables in order, output, header


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

    def rows(self, total: int, block: int = 1) -> range:
        """Return the rows of the part among all records.

        Args:
            total: Number of all records.
            block: Number of records that stay together; a part begins with a block.
        """
        blocks = -(-total // block)
        start, stop = (
            blocks * number // self.of * block for number in (self.number - 1, self.number)
        )
        return range(min(start, total), min(stop, total))


def note_path(table: Path) -> Path:
    """Return the path of the note beside a table."""
    return table.with_name(f"{table.name}.shard.json")


def ids_path(table: Path) -> Path:
    """Return the path of the ids beside vectors of NumPy."""
    return table.with_suffix(IDS_ENDING)


def tables_among(paths: Sequence[Path]) -> list[Path]:
    """Choose the tables among files that a pattern such as `part*` finds."""
    beside = {note_path(path) for path in paths}
    beside |= {ids_path(path) for path in paths if path.suffix == ".npy"}
    return [path for path in paths if path not in beside and not is_list(path)]


@dataclass(frozen=True)
class Part:
    """The records of a shard.

    Attributes:
        shard: Which part it is.
        total: Number of records of the whole file.
        digest: Hash of all of them.
        read_all: Function that begins to read all of them.
        block: Number of records that are computed together.
    """

    shard: Shard
    total: int
    digest: str
    read_all: Read
    block: int = 1

    @classmethod
    def of(cls, shard: Shard, read: Read, block: int = 1) -> "Part":
        """Count and hash the records of a file, and choose those of a part."""
        digest, total = RecordDigest(), 0
        for record in read():
            digest.add(record)
            total += 1
        return cls(shard, total, digest.value(), read, block)

    def read(self) -> Iterator[SequenceRecord]:
        """Begin to read the records of the part."""
        rows = self.shard.rows(self.total, self.block)
        return islice(self.read_all(), rows.start, rows.stop)

    def write_note(
        self, table: Path, settings: dict[str, Any], header: str, *, written_by: str = IDENTIFY
    ) -> None:
        """Note which part of what a finished table is.

        Args:
            table: The table.
            settings: What determines its rows.
            header: Its first line; empty for none.
            written_by: One of `WRITERS`.
        """
        note = Note(
            written_by,
            self.shard.number,
            self.shard.of,
            self.total,
            self.digest,
            settings,
            header,
            *(hash_of(path) for path in files_of(table)),
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
        ids: SHA-256 of the file of ids; empty if there is none.
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
    ids: str = ""

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
            both = "`identify` and `embed` with --shard I/N write both"
            reason = f"is no shard: {path.name} is missing; {both}"
            raise DataError(table, reason) from error
        except (OSError, ValueError, TypeError) as error:
            raise DataError(path, "is damaged; run this shard again") from error
        if note.written_by not in WRITERS or types != cls.__annotations__ | {"settings": dict}:
            raise DataError(path, "is damaged; run this shard again")
        return note


def files_of(table: Path) -> list[Path]:
    """List the files that a shard writes: table, rejected records and, of NumPy, ids."""
    return [table, rejected_path_of(table), *([ids_path(table)] if table.suffix == ".npy" else [])]


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex digits; empty if there is none."""
    return hash_file(path).hex() if path.is_file() else ""


def join_rows(tables: Sequence[Path], output: Path, header: str) -> None:
    """Append the rows of tables of text; the ending `.gz` of the output compresses it."""
    with whole_file(output) as part, open_packed(part, output, "wb") as stream:
        stream.write(header.encode())
        for table in tables:
            append(table, len(header.encode()), stream)


def merge_tables(tables: Sequence[Path], output: Path, join: Join = join_rows) -> int:
    """Put the tables of all shards of a file together, and their lists of rejected records.

    Args:
        tables: Tables, in any order.
        output: Table to write.
        join: Function that joins tables of this kind.

    Returns:
        Number of records.

    Raises:
        DataError: A table is no shard, is damaged or of another run, or one is missing or double.
    """
    notes = {table: Note.read(table) for table in tables}
    check_together(notes)
    ordered = sorted(tables, key=lambda table: notes[table].number)
    join(ordered, output, notes[ordered[0]].header)
    rejected = [rejected_path_of(table) for table in ordered if notes[table].rejected]
    clear_list(rejected_path_of(output))
    if rejected:
        join_rows(rejected, rejected_path_of(output), HEADER)
    return notes[ordered[0]].total


def check_together(notes: dict[Path, Note]) -> None:
    """Check that tables are all parts of one run, each once, and as they were written.

    Raises:
        DataError: They are not.
    """
    (first, expected), *_ = notes.items()
    of_number: dict[int, Path] = {}
    for table, note in notes.items():
        for name in ("written_by", "of", "total", "digest", "header", "settings"):
            if getattr(note, name) != getattr(expected, name):
                what = CALLED.get(name, name)
                raise DataError(table, f"is a shard of another run than {first}: another {what}")
        if note.number in of_number:
            raise DataError(table, f"is shard {note.number}, and so is {of_number[note.number]}")
        of_number[note.number] = table
        hashes = (note.table, note.rejected, note.ids)
        for path, hashed in zip(files_of(table), hashes, strict=False):
            if hash_of(path) != hashed:
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
