"""Spellings of taxa: a warning where two names differ only in case or blanks.

In: names, rank by rank. Out: a warning, as such taxa are counted as two. Guarded by
tests/barcodemae/conventions/test_spellings.py.
"""

import warnings
from collections.abc import Iterable
from pathlib import Path

from barcodemae.errors import DataWarning


_NUM_SHOWN = 3  # pairs that the warning names


class Spellings:
    """The spellings of the taxa of a data set.

    Args:
        source: The data set, for the warning.
    """

    def __init__(self, source: Path | str) -> None:
        self._source = source
        self._first: dict[tuple[str, str], str] = {}  # rank and folded name -> name
        self._pairs: dict[str, None] = {}

    def note(self, rank: str, names: Iterable[str | None]) -> None:
        """Take note of names at a rank."""
        for name in names:
            if name is None:
                continue
            first = self._first.setdefault((rank, " ".join(name.casefold().split())), name)
            if first != name:
                self._pairs[f"{rank} {first!r} and {name!r}"] = None

    def warn(self) -> None:
        """Warn, if there was any pair."""
        if self._pairs:
            more = "; ..." if len(self._pairs) > _NUM_SHOWN else ""
            shown = "; ".join(list(self._pairs)[:_NUM_SHOWN]) + more
            text = f"{self._source}: taxa that differ only in case or blanks: {shown}"
            warnings.warn(text, DataWarning, stacklevel=3)
