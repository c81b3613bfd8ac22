"""Restriction of names to what can occur: some taxa, or a checklist.

In: names of taxa, or a file with one name per line. Out: which references may give a name.
Guarded by tests/eval/identify/test_restriction.py.

Shapes: R = references, T = ranks.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.errors import DataError, SettingsError, first_line
from barcodemae.eval.identify.reference.library import ReferenceLibrary


@dataclass(frozen=True)
class Restriction:
    """Names that are allowed.

    Attributes:
        within: Taxa of any rank; a reference must belong to one of them. Empty for all.
        checklist: Names that occur: of species, or of higher taxa with all that they hold. Empty
            for all.
    """

    within: tuple[str, ...] = ()
    checklist: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether everything is allowed."""
        return not (self.within or self.checklist)

    def apply(self, library: ReferenceLibrary) -> NDArray[np.bool_] | None:
        """Find the references that may give a name, (R,); None for all.

        Raises:
            SettingsError: A taxon of `within` is not in the library, or no reference is allowed.
        """
        if self.is_empty:
            return None
        allowed = np.ones(len(library), bool)
        for names, must_exist in ((self.within, True), (self.checklist, False)):
            if names:
                allowed &= find_members(library, names, must_exist=must_exist)
        if not allowed.any():
            raise SettingsError(f"{library.folder} holds no reference of what is allowed")
        return allowed


def find_members(
    library: ReferenceLibrary, names: tuple[str, ...], *, must_exist: bool
) -> NDArray[np.bool_]:
    """Find the references that belong to any of some taxa, (R,).

    Raises:
        SettingsError: A name must exist, but no reference carries it.
    """
    found = np.zeros(len(library), bool)
    for name in names:
        is_member = np.zeros(len(library), bool)
        for rank in range(len(RANKS)):
            if name in library.taxa[rank]:
                is_member |= library.codes[:, rank] == library.taxa[rank].index(name)
        if must_exist and not is_member.any():
            raise SettingsError(f"{library.folder} holds no taxon {name!r}")
        found |= is_member
    return found


def read_checklist(path: Path) -> tuple[str, ...]:
    """Read a checklist: one name per line; `#` begins a comment; further columns are ignored.

    Raises:
        DataError: The file cannot be read, or names nothing.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(path, f"cannot be read: {first_line(error)}") from error
    names = (line.split("#")[0].split("\t")[0].split(",")[0].strip() for line in lines)
    found = tuple(dict.fromkeys(filter(None, names)))
    if not found:
        raise DataError(path, "names nothing: a checklist has one name per line")
    return found
