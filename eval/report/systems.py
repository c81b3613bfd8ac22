"""Who belongs in a table beside what was measured: a small YAML file.

    ours: ["BarcodeMAE bundled*"]       # names of rows, `*` stands for anything
    unavailable:                        # systems whose published weights could not be reached
      - model: DNABERT-2
        architecture: encoder-only
        weights: zhihan1996/DNABERT-2-117M

In: that file. Out: `Systems`. A system leaves the second list by being measured under its name.
Guarded by tests/eval/report/test_systems.py.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from barcodemae.errors import DataError, first_line


@dataclass(frozen=True)
class Unavailable:
    """A system without numbers.

    Attributes:
        model: Display name, as the row of its numbers would be called.
        architecture: What kind of system it is.
        weights: Where its weights are published.
    """

    model: str
    architecture: str
    weights: str


@dataclass(frozen=True)
class Systems:
    """Patterns of the rows that are ours, and systems whose weights could not be had."""

    ours: tuple[str, ...] = ()
    unavailable: tuple[Unavailable, ...] = ()

    def is_ours(self, model: str) -> bool:
        """Say whether a row is ours."""
        return any(fnmatchcase(model, pattern) for pattern in self.ours)


NO_SYSTEMS = Systems()
ENTRY_FIELDS = frozenset(Unavailable.__dataclass_fields__)


def read_systems(path: Path) -> Systems:
    """Read the file.

    Raises:
        DataError: Not YAML, or not of the form above; names the entry.
    """
    try:
        content = yaml.safe_load(path.read_text()) or {}
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise DataError(path, f"is not YAML: {first_line(error)}") from error
    if not isinstance(content, dict) or not content.keys() <= {"ours", "unavailable"}:
        raise DataError(path, "holds more than `ours` and `unavailable`")
    ours, entries = content.get("ours") or [], content.get("unavailable") or []
    if not isinstance(ours, list) or not isinstance(entries, list):
        raise DataError(path, "`ours` and `unavailable` are lists")
    unavailable = [parse_entry(path, number, entry) for number, entry in enumerate(entries, 1)]
    return Systems(tuple(map(str, ours)), tuple(unavailable))


def parse_entry(path: Path, number: int, entry: Any) -> Unavailable:
    """Check one entry of `unavailable`.

    Raises:
        DataError: It has other fields than `Unavailable`.
    """
    if not isinstance(entry, dict) or entry.keys() != ENTRY_FIELDS:
        wanted = ", ".join(sorted(ENTRY_FIELDS))
        raise DataError(path, f"entry {number} of `unavailable` needs exactly {wanted}")
    return Unavailable(**{name: str(value) for name, value in entry.items()})
