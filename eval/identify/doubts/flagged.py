"""References that are doubted: the file in a library that lists them, and the one of an audit.

    LIB/flagged.tsv      row, id, kind, score, evidence
    REPORT/flagged.tsv   id, kind, score, evidence: what `barcodemae audit` found

In: doubts. Out: these files, and from them which references are doubted and why. `identify` flags a
name that rests on one of them. An audit knows references by their ids, a library by their rows.
Guarded by tests/eval/identify/doubts/test_flagged.py.

Shapes: R = references.
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from barcodemae.errors import DataError, SettingsError
from barcodemae.output.cells import escape, row_of


FLAGGED = "flagged.tsv"
COLUMNS = ("id", "kind", "score", "evidence")
ROW = "row"


@dataclass(frozen=True)
class Doubt:
    """Why a reference is doubted.

    Attributes:
        row: Row of the reference.
        kind: Kind of the finding, as an audit names it.
        score: Probability or strength of it, 0 to 1.
        evidence: What shows it, in words.
    """

    row: int
    kind: str
    score: float
    evidence: str


@dataclass(frozen=True)
class AuditDoubt:
    """What an audit found about a record.

    Attributes:
        id: Id of the record.
        kind: Kind of the finding.
        score: Probability or strength of it, 0 to 1.
        evidence: What shows it, in words.
    """

    id: str
    kind: str
    score: float
    evidence: str

    def cells(self) -> tuple[str, ...]:
        """Return the cells of its line."""
        return self.id, self.kind, f"{self.score:.4f}", self.evidence


def write_audit_doubts(path: Path, doubts: Iterable[AuditDoubt]) -> None:
    """Write what an audit found, a line for each record and kind."""
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(row_of(COLUMNS))
        stream.writelines(row_of(doubt.cells()) for doubt in doubts)


def read_audit_doubts(place: Path) -> list[AuditDoubt]:
    """Read what an audit found.

    Args:
        place: Folder of the report, or the file in it.

    Raises:
        DataError: It is none, or is damaged.
    """
    path = place / FLAGGED if place.is_dir() else place
    return [
        AuditDoubt(line["id"], line["kind"], score_of(path, line), line["evidence"])
        for line in read_lines(path, COLUMNS)
    ]


def read_lines(path: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """Read the lines of a table, each as column -> cell.

    Raises:
        DataError: It cannot be read, or lacks a column or a cell.
    """
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
            reader = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
            if not set(columns) <= set(reader.fieldnames or ()):
                raise DataError(
                    path,
                    f"is no list of flagged records: it needs the columns {', '.join(columns)}, "
                    "as `barcodemae audit` writes them",
                )
            for line in reader:
                if any(line[name] is None for name in columns):
                    raise DataError(path, f"line {reader.line_num} lacks a cell")
                yield line
    except (OSError, csv.Error) as error:
        raise DataError(
            path, f"cannot be read: {error}; `barcodemae audit` writes such a file"
        ) from error


def score_of(path: Path, line: dict[str, str]) -> float:
    """Return the score of a line.

    Raises:
        DataError: It is no number from 0 to 1.
    """
    try:
        score = float(line["score"])
    except ValueError:
        score = -1.0
    if not 0 <= score <= 1:
        raise DataError(path, f"the score of {line['id']} is {line['score']!r:.40}")
    return score


def located(
    place: Path, doubts: Sequence[AuditDoubt], ids: Iterable[str]
) -> tuple[list[Doubt], int]:
    """Find the references that an audit doubts, by their ids; all that share an id are meant.

    Args:
        place: Where the doubts come from, for the message.
        doubts: What an audit found.
        ids: Ids of the references, R.

    Returns:
        Doubts about references, and the number of records that are not among these.

    Raises:
        SettingsError: None of several records is among the references.
    """
    wanted: dict[str, list[AuditDoubt]] = {}
    for doubt in doubts:
        wanted.setdefault(doubt.id, []).append(doubt)
    found, seen = [], set()
    for row, name in enumerate(ids):
        written = escape(name)
        for doubt in wanted.get(written, ()):
            seen.add(written)
            found.append(Doubt(row, doubt.kind, doubt.score, doubt.evidence))
    if wanted and not seen:
        raise SettingsError(
            f"{place}: none of its {len(wanted):,} records is in the library, so it is of other "
            "references; run `barcodemae audit` on these"
        )
    return found, len(wanted) - len(seen)


def merged(doubts: Iterable[Doubt]) -> list[Doubt]:
    """Keep of each reference and kind the surest doubt, in the order of rows and kinds."""
    best: dict[tuple[int, str], Doubt] = {}
    for doubt in doubts:
        known = best.get((doubt.row, doubt.kind))
        if known is None or known.score < doubt.score:
            best[doubt.row, doubt.kind] = doubt
    return [best[key] for key in sorted(best)]


def write_doubts(folder: Path, doubts: Sequence[Doubt], ids: Sequence[str]) -> dict[str, Any]:
    """Write the doubts of a library.

    Args:
        folder: Folder of the library.
        doubts: One for each reference and kind, see `merged`.
        ids: Ids of the references, R.

    Returns:
        What `library.json` says of them: the number of references, of doubts of each kind, and the
        hash of the file, so that libraries with other doubts are known apart.
    """
    lines = [row_of((ROW, *COLUMNS))]
    for doubt in doubts:
        score = f"{doubt.score:.4f}"
        lines.append(row_of((str(doubt.row), ids[doubt.row], doubt.kind, score, doubt.evidence)))
    content = "".join(lines).encode("utf-8", "surrogateescape")
    (folder / FLAGGED).write_bytes(content)
    return {
        "references": len({doubt.row for doubt in doubts}),
        "kinds": dict(sorted(Counter(doubt.kind for doubt in doubts).items())),
        "hash": hashlib.sha256(content).hexdigest()[:16],
    }


def read_doubts(folder: Path, num_references: int) -> list[Doubt]:
    """Read the doubts of a library.

    Args:
        folder: Folder of the library.
        num_references: Number of its references.

    Raises:
        DataError: The file is missing or damaged.
    """
    path = folder / FLAGGED
    found = []
    for line in read_lines(path, (ROW, *COLUMNS)):
        row = int(line[ROW]) if line[ROW].isdecimal() else num_references
        if row >= num_references:
            raise DataError(path, f"is damaged: {line[ROW]!r:.40} is no row of the library")
        found.append(Doubt(row, line["kind"], score_of(path, line), line["evidence"]))
    return found


__all__ = [
    "FLAGGED",
    "AuditDoubt",
    "Doubt",
    "located",
    "merged",
    "read_audit_doubts",
    "read_doubts",
    "write_audit_doubts",
    "write_doubts",
]
