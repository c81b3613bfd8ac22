"""Restriction of names to what can occur: some taxa, or a checklist.

In: names of taxa, with their authority or without, or a file with one name per line. Out: which
references may give a name.
Guarded by tests/eval/identify/test_restriction.py.

Shapes: R = references, T = ranks.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from barcodemae.conventions.taxa import tidy_taxon
from barcodemae.errors import DataError, DataWarning, SettingsError
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.plain_text import as_utf8, open_text


NUM_SHOWN = 5  # names in a message
_END_OF_NAME = re.compile("[#\t,;]")


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

        Warns:
            DataWarning: Names of the checklist are not in the library.
        """
        if self.is_empty:
            return None
        allowed = np.ones(len(library), bool)
        if self.within:
            found, missing = find_members(library, self.within)
            if missing:
                raise SettingsError(f"{library.folder} holds no taxon {missing[0]!r}")
            allowed &= found
        if self.checklist:
            found, missing = find_members(library, self.checklist)
            allowed &= found
            if missing and allowed.any():
                warnings.warn(describe_missing(missing, self.checklist), DataWarning, stacklevel=2)
        if not allowed.any():
            raise SettingsError(
                f"{library.folder} holds no reference of what is allowed: {shown(self.names)}"
            )
        return allowed

    @property
    def names(self) -> tuple[str, ...]:
        """All names that are allowed."""
        return (*self.within, *self.checklist)


def find_members(
    library: ReferenceLibrary, names: Sequence[str]
) -> tuple[NDArray[np.bool_], list[str]]:
    """Find the references that belong to any of some taxa.

    Returns:
        Whether each reference does, (R,), and the names that no reference carries.
    """
    is_member = np.zeros(len(library), bool)
    missing = dict.fromkeys(names)
    read = {name: spellings(name) for name in names}
    for rank, taxa in enumerate(library.taxa):
        code_of = {taxon: code for code, taxon in enumerate(taxa)}
        carried = {
            name: code_of[spelling]
            for name in names
            for spelling in read[name]
            if spelling in code_of
        }
        is_member |= np.isin(library.codes[:, rank], list(carried.values()))
        for name in carried:
            missing.pop(name, None)
    return is_member, list(missing)


def spellings(name: str) -> set[str]:
    """Return the names that a library may have for a taxon: as given, and without authority.

    A species never stands for its genus, whatever follows its subgenus: then the genus would be
    allowed with all that it holds.
    """
    species = tidy_taxon("species", name)
    is_higher = species is None and not any(word[0].islower() for word in name.split()[1:])
    read = (name, species, tidy_taxon("genus", name) if is_higher else None)
    return {spelling for spelling in read if spelling}


def describe_missing(missing: Sequence[str], checklist: Sequence[str]) -> str:
    """Say which names of a checklist the library lacks."""
    return f"{len(missing):,} of {len(checklist):,} names are not in the library: {shown(missing)}"


def shown(names: Sequence[str]) -> str:
    """Write the first names of a list."""
    return ", ".join(names[:NUM_SHOWN]) + (", ..." if len(names) > NUM_SHOWN else "")


def read_checklist(path: Path) -> tuple[str, ...]:
    """Read a checklist: one name per line; `#` begins a comment; further columns are ignored.

    A name may have its authority, of which what stands behind a comma is taken for a column.

    Raises:
        DataError: The file cannot be read, or names nothing.
    """
    with open_text(path) as stream:
        lines = as_utf8(stream.read()).decode().splitlines()
    names = (_END_OF_NAME.split(line, maxsplit=1)[0].strip(" \"'") for line in lines)
    found = tuple(dict.fromkeys(filter(None, names)))
    if not found:
        raise DataError(path, "names nothing: a checklist has one name per line")
    return found
