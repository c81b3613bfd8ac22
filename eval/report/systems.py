"""Systems of a leaderboard that records do not tell about, from a YAML file.

    ours: ["BarcodeMAE bundled*"]       # names of rows; `*` matches anything
    unavailable:                        # systems whose published weights were not available
      - model: DNABERT-2
        architecture: encoder-only
        weights: zhihan1996/DNABERT-2-117M

In: that file. Out: `Systems`. An unavailable system is no longer listed as such once there are
records of its name. Guarded by tests/eval/report/test_systems.py.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from barcodemae.errors import DataError, first_line


@dataclass(frozen=True)
class Unavailable:
    """A system that could not be measured.

    Attributes:
        model: Name of the system in tables.
        architecture: Architecture of the system, e.g. `encoder-only`.
        weights: Where its weights are published.
    """

    model: str
    architecture: str
    weights: str


@dataclass(frozen=True)
class Systems:
    """Systems of a leaderboard.

    Attributes:
        ours: Patterns of the names of rows that are ours.
        unavailable: Systems whose weights were not available.
    """

    ours: tuple[str, ...] = ()
    unavailable: tuple[Unavailable, ...] = ()

    def is_ours(self, model: str) -> bool:
        """Whether the row of a model is ours."""
        return any(fnmatchcase(model, pattern) for pattern in self.ours)


NO_SYSTEMS = Systems()
ENTRY_FIELDS = frozenset(Unavailable.__dataclass_fields__)


def read_systems(path: Path) -> Systems:
    """Read a YAML file of systems.

    Raises:
        DataError: The file is not YAML, or not of the form above; the message names the entry.
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
        raise DataError(path, "`ours` and `unavailable` must be lists")
    unavailable = [parse_entry(path, number, entry) for number, entry in enumerate(entries, 1)]
    return Systems(tuple(map(str, ours)), tuple(unavailable))


def parse_entry(path: Path, number: int, entry: Any) -> Unavailable:
    """Check one entry of `unavailable` and return it.

    Raises:
        DataError: Its fields are not those of `Unavailable`.
    """
    if not isinstance(entry, dict) or entry.keys() != ENTRY_FIELDS:
        wanted = ", ".join(sorted(ENTRY_FIELDS))
        raise DataError(path, f"entry {number} of `unavailable` needs exactly {wanted}")
    return Unavailable(**{name: str(value) for name, value in entry.items()})
