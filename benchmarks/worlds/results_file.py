"""The results file of the open-world benchmark: a row for every part, draw, set and method.

In: rows. Out: a JSON file, written whole after every method, in which rows that a run does not make
stay as they were. Guarded by tests/benchmarks/test_open_world.py.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import typer
from rivals.roster import program_of

from barcodemae.errors import DataError
from barcodemae.files import write_json
from worlds.contest import Row
from worlds.parts import PARTS


SPEED = "speed"  # a part without sets
Key = tuple[object, ...]


class Results:
    """The results file: rows by what they are of, written after every method.

    Args:
        path: File of the results; rows that it has are kept.
        about: What all rows have in common.
    """

    def __init__(self, path: Path, about: Row) -> None:
        self.path, self.about = path, about
        self.rows: dict[Key, Row] = {}
        self.missing: dict[str, str] = {}
        if path.is_file():
            content = json.loads(path.read_text())
            if content["about"] != about:
                raise DataError(path, f"is of {content['about']}, not of {about}: give --json")
            self.rows = {key_of(row): row for row in content["rows"]}
            self.missing = content["missing"]

    def add(self, rows: Iterable[Row]) -> None:
        """Add rows, each in the place of an earlier one of the same key, and write the file."""
        for row in rows:
            self.rows[key_of(row)] = row
            self.missing.pop(program_of(row["method"]), None)
        self.write()

    def leave_out(self, method: str, reason: str) -> None:
        """Note that a method could not be run."""
        typer.echo(f"  left out: {method}: {reason}", err=True)
        self.missing[method] = reason
        self.write()

    def write(self) -> None:
        """Write the file."""
        rows = sorted(self.rows.values(), key=place_of)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {"about": self.about, "missing": self.missing, "rows": rows}
        write_json(self.path, content, indent=1)


def key_of(row: Row) -> Key:
    """Return what tells a row from all others."""
    return tuple(row[name] for name in ("part", "draw", "set", "method"))


def place_of(row: Row) -> Key:
    """Return what rows are sorted by: part and draw; within them the order they were made in."""
    parts = (*PARTS, SPEED)
    return parts.index(row["part"]), -1 if row["draw"] is None else row["draw"]
