"""What `identify` wrote, read back: the table of names and the list of rejected records beside it.

In: NAME.tsv, also compressed, and NAME.rejected.tsv if there is one. Out: one `NamedRecord` or
`RejectedRecord` after the other. Columns are found by their names, so a table with more of them is
read too. Guarded by tests/eval/identify/overview/test_named_table.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from barcodemae.dataset import RANKS
from barcodemae.errors import DataError
from barcodemae.eval.identify.formats import TSV_COLUMNS, UNASSIGNED
from barcodemae.eval.identify.judge.ladder import LADDER
from barcodemae.eval.identify.summary import NO_BARCODE, NO_NAME, SAMPLE, SIZE
from barcodemae.output.rejected import is_ours, rejected_path_of
from barcodemae.plain_text import open_text


@dataclass(frozen=True)
class RecordOfId:
    """A record, with what its id tells as dereplication writes it.

    Attributes:
        id: Id of the record.
    """

    id: str

    @property
    def sample(self) -> str | None:
        """Sample that the id names by `;sample=`; None if it names none."""
        found = SAMPLE.search(self.id)
        return found[1] if found else None

    @property
    def reads(self) -> int | None:
        """Number of reads that the id tells by `;size=`; None if it tells none."""
        found = SIZE.search(self.id)
        return int(found[1]) if found else None


@dataclass(frozen=True)
class NamedRecord(RecordOfId):
    """A row of the table of names.

    Attributes:
        names: Rank -> name that was given, from the top.
        probability: Probability of the deepest name given; None if none was.
        novel: Highest rank whose taxon the library probably lacks; None if there is none.
        novelty: Probability of that; None likewise.
        nearest: Id of the best reference.
        identity: Identity with it, 0 to 1; None if the record is no barcode.
        flags: Flags of the record.
    """

    names: dict[str, str]
    probability: float | None
    novel: str | None
    novelty: float | None
    nearest: str
    identity: float | None
    flags: tuple[str, ...]

    @property
    def outcome(self) -> str:
        """The deepest rank with a name, `no name` or `not a barcode`."""
        if "not_a_barcode" in self.flags:
            return NO_BARCODE
        return next(reversed(self.names), NO_NAME)


@dataclass(frozen=True)
class RejectedRecord(RecordOfId):
    """A row of the list of rejected records.

    Attributes:
        number: Number of the record in its file, from 1.
        reason: Why it was not identified.
    """

    number: str
    reason: str


def read_named(path: Path) -> Iterator[NamedRecord]:
    """Read a table that `identify` wrote with `--format tsv`.

    Raises:
        DataError: It is another kind of file, or a row of it is cut short or holds no numbers.
    """
    with open_text(path) as stream:
        lines = (line.decode("utf-8", "backslashreplace").rstrip("\n") for line in stream)
        header = next(lines, "").split("\t")
        if not set(TSV_COLUMNS) <= set(header):
            raise DataError(path, "is not a table that `barcodemae identify --format tsv` wrote")
        for number, line in enumerate(lines, start=2):
            cells = line.split("\t")
            if len(cells) != len(header):
                raise DataError(path, f"{len(cells)} cells instead of {len(header)}", number)
            try:
                yield named_record(dict(zip(header, cells, strict=True)))
            except ValueError as error:
                raise DataError(path, f"is damaged: {error}", number) from error


def named_record(row: dict[str, str]) -> NamedRecord:
    """Make a record of the cells of its row.

    Raises:
        ValueError: A cell is no number where one is needed.
    """
    names = {rank: row[rank] for rank in RANKS if row[rank] not in ("", UNASSIGNED)}
    deepest = next(reversed(names), None)
    flags = tuple(filter(None, row["flags"].split(",")))
    novel = next((rank for rank in LADDER if f"novel_{rank}" in flags), None)
    return NamedRecord(
        id=row["id"],
        names=names,
        probability=None if deepest is None else float(row[f"{deepest}_probability"]),
        novel=novel,
        novelty=None if novel is None else float(row[f"new_{novel}_probability"]),
        nearest=row["nearest_reference"],
        identity=float(row["identity"]) if row["identity"] else None,
        flags=flags,
    )


def read_rejected(path: Path) -> Iterator[RejectedRecord]:
    """Read the list of rejected records beside a table of names; nothing if there is none."""
    rejected = rejected_path_of(path)
    if not rejected.is_file() or not is_ours(rejected):
        return
    with open_text(rejected) as stream:
        next(stream, None)
        for line in stream:
            cells = line.decode("utf-8", "backslashreplace").rstrip("\n").split("\t")
            number, name, reason = [*cells, "", "", ""][:3]
            yield RejectedRecord(id=name, number=number, reason=reason)
