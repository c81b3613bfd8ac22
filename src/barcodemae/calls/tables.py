"""The rows of a TSV as a pandas table, with the same columns in the same order.

In: rows as the command writes them. Out: a `DataFrame`: names and flags as text, probabilities and
shares as float64 (NaN where the cell is empty), counts as int64. Written back with four decimals,
it is the file. Guarded by tests/barcodemae/calls/test_tables.py.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from barcodemae.errors import DataWarning
from barcodemae.eval.identify.progress import Progress


if TYPE_CHECKING:
    import pandas as pd

COUNTS = ("length", "cut_before", "cut_after", "bases_gained", "bases_lost", "size")
SHARES = (
    *("similarity", "agreement", "identity", "coverage", "unknown_fraction", "bin_agreement"),
    *("evidence", "similarity_to_representative", "similarity_within_unit"),
)
MOST_TOLD = 3  # rejected records that a warning names
Reject = dict[str, Any]


def table_of(header: Sequence[str], rows: Sequence[str]) -> "pd.DataFrame":
    """Turn rows of a TSV into a table.

    Args:
        header: Names of the columns.
        rows: Rows, cells joined by tabs, each with its line end.
    """
    import pandas as pd

    cells = [row.removesuffix("\n").split("\t") for row in rows]
    columns = list(zip(*cells, strict=True)) or [()] * len(header)
    typed = zip(header, columns, strict=True)
    return pd.DataFrame({name: column_of(name, column) for name, column in typed})


def column_of(name: str, cells: Sequence[str]) -> Any:
    """Turn the cells of a column into numbers, where its name says that it holds numbers."""
    if name in COUNTS:
        return np.array(cells, np.int64)
    if name in SHARES or name.endswith("_probability"):
        return np.array([cell or "nan" for cell in cells], np.float64)
    import pandas as pd

    # pandas' own type of text refuses bytes that are no UTF-8.
    is_text = all(map(is_utf8, cells))
    return pd.Series(cells, dtype="str" if is_text else object)


def is_utf8(cell: str) -> bool:
    """Whether a cell is text, rather than bytes that came in as surrogate escapes."""
    return cell.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in cell)


def note_rejected(table: "pd.DataFrame", rejected: Sequence[Reject], what: str) -> None:
    """Keep the rejected records beside a table, and warn if there are any.

    Args:
        table: Gets `attrs["rejected"]`.
        rejected: Number, id and reason of each.
        what: What could not be done with them.

    Warns:
        DataWarning: There are some.
    """
    table.attrs["rejected"] = list(rejected)
    warn_of_rejected(rejected, what, "all are in .attrs['rejected']")


def warn_of_rejected(rejected: Sequence[Reject], what: str, where: str) -> None:
    """Warn of records that are left out, if there are any."""
    if rejected:
        told = "; ".join(
            f"record {part['record']} ({part['id']}): {part['reason']}"
            for part in rejected[:MOST_TOLD]
        )
        words = f"{len(rejected)} record(s) not {what}: {told}; {where}"
        warnings.warn(words, DataWarning, stacklevel=4)


@dataclass
class MemorySink:
    """Keeps the results of an identification run, in the place of files.

    Attributes:
        rows: Rows of the TSV, without its header.
        rejected: Number, id and reason of each rejected record.
        progress: How far the run has got.
        rejected_path: None: there is no such file.
    """

    rows: list[str] = field(default_factory=list)
    rejected: list[Reject] = field(default_factory=list)
    progress: Progress = field(default_factory=Progress)
    rejected_path: Path | None = None

    def append(self, lines: list[str], rejected: list[str], records: int, digest: str) -> None:
        """Add the results of some records."""
        self.rows += lines
        self.rejected += [reject_of(line) for line in rejected]
        self.progress.records += records
        self.progress.rejected += len(rejected)

    def finish(self) -> None:
        """Do nothing: all is in memory."""

    def stop(self, error: BaseException) -> None:
        """Do nothing: the caller gets the error."""

    def close(self) -> None:
        """Do nothing: nothing is open."""


def reject_of(line: str) -> Reject:
    """Read a line of the list of rejected records."""
    number, name, reason = line.removesuffix("\n").split("\t")
    return {"record": int(number), "id": name, "reason": reason}
