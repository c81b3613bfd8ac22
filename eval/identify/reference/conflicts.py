"""Contradictions among references, which `index` reports: they limit what any name can be worth.

In: lineages and barcodes' hashes. Out: one `Conflict` for each barcode under several names of a
rank, for each taxon under several taxa of the rank above (a class under two phyla: one of them is a
slip of the pen, or a homonym), for each BIN under several species names, and for each species in
several BINs. Where one name has a majority, the others are doubted; where none has, all are.
Guarded by tests/eval/identify/reference/test_conflicts.py.

Shapes: R = references.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.doubts.flagged import Doubt


MAX_IDS = 10  # shown of a conflict
# Kinds as an audit names them.
SAME_BARCODE, SEVERAL_PARENTS = "one_barcode_several_names", "several_parents"
SEVERAL_NAMES = "bin_several_names"
ONE_BIN, ONE_SPECIES = "one BIN, several species names", "one species, several BINs"


@dataclass(frozen=True)
class Conflict:
    """References that contradict each other.

    Attributes:
        kind: What contradicts what, in words.
        ids: Ids of some of the references, separated by commas.
        names: The contradicting names, with the number of references of each.
        doubt: Kind of finding that an audit calls it; empty if it makes no reference doubtful.
        rows: Rows of the references that are doubted.
    """

    kind: str
    ids: str
    names: str
    doubt: str = ""
    rows: tuple[int, ...] = ()

    def doubts(self) -> Iterator[Doubt]:
        """Say of each doubted reference why."""
        for row in self.rows:
            yield Doubt(row, self.doubt, 1.0, f"{self.kind}: {self.names}")


def find_conflicts(lineage: pa.Table, hashes: NDArray[np.uint64]) -> list[Conflict]:
    """Find contradictions.

    Args:
        lineage: Ids and taxa of the references, R rows.
        hashes: Hashes of their barcodes, (R,).
    """
    names = {rank: lineage[rank].to_pylist() for rank in RANKS}
    ids = lineage["id"].to_pylist()
    found = [*same_barcode(names, ids, hashes), *several_parents(names, ids)]
    if "dna_bin" in lineage.column_names:
        found += several_bins(names["species"], lineage["dna_bin"].to_pylist(), ids)
    return found


def same_barcode(
    names: dict[str, list[str | None]], ids: list[str], hashes: NDArray[np.uint64]
) -> Iterator[Conflict]:
    """Find barcodes that carry several names; the highest rank that differs is reported."""
    order = np.argsort(hashes, kind="stable")
    bounds = np.flatnonzero(np.diff(hashes[order])) + 1
    for group in np.split(order, bounds):
        if len(group) < 2:
            continue
        for rank in RANKS:
            found = Counter(names[rank][row] for row in group if names[rank][row] is not None)
            if len(found) > 1:
                rows = doubtful(names[rank], group.tolist(), found)
                kind = f"one barcode, several {rank} names"
                yield Conflict(kind, join(ids, group), tell(found), SAME_BARCODE, rows)
                break


def several_parents(names: dict[str, list[str | None]], ids: list[str]) -> Iterator[Conflict]:
    """Find taxa that stand under several taxa of the nearest rank above that both name."""
    for place, rank in enumerate(RANKS[1:-1], start=1):
        above = RANKS[place - 1] if RANKS[place - 1] != "subfamily" else "family"
        parents: dict[str, Counter[str]] = defaultdict(Counter)
        rows: dict[str, list[int]] = defaultdict(list)
        for row, (name, parent) in enumerate(zip(names[rank], names[above], strict=True)):
            if name is not None and parent is not None:
                parents[name][parent] += 1
                rows[name].append(row)
        for name, found in parents.items():
            if len(found) > 1:
                fewest = min(found, key=lambda parent: found[parent])
                odd = [row for row in rows[name] if names[above][row] == fewest]
                kind = f"one {rank}, several {above} names"
                doubted = doubtful(names[above], rows[name], found)
                told = f"{name}: {tell(found)}"
                yield Conflict(kind, join(ids, odd), told, SEVERAL_PARENTS, doubted)


def several_bins(
    species: list[str | None], bins: list[str | None], ids: list[str]
) -> Iterator[Conflict]:
    """Find BINs under several species names, and species in several BINs."""
    by_bin: dict[str, list[int]] = defaultdict(list)
    by_species: dict[str, list[int]] = defaultdict(list)
    for row, (name, unit) in enumerate(zip(species, bins, strict=True)):
        if name is not None and unit is not None:
            by_bin[unit].append(row)
            by_species[name].append(row)
    for unit, rows in by_bin.items():
        found = Counter(str(species[row]) for row in rows)
        if len(found) > 1:
            told, odd = f"{unit}: {tell(found)}", doubtful(species, rows, found)
            yield Conflict(ONE_BIN, join(ids, list(odd)), told, SEVERAL_NAMES, odd)
    for name, rows in by_species.items():
        found = Counter(str(bins[row]) for row in rows)
        if len(found) > 1:
            odd = doubtful(bins, rows, found)
            yield Conflict(ONE_SPECIES, join(ids, list(odd)), f"{name}: {tell(found)}")


def doubtful(names: list[str | None], rows: list[int], found: Counter[str]) -> tuple[int, ...]:
    """Return the references whose name is not that of the majority; all of them if there is none.

    Args:
        names: Names of all references, R.
        rows: References whose names contradict each other; those without a name are not doubted.
        found: Number of references of each name.
    """
    most, count = found.most_common(1)[0]
    has_majority = 2 * count > found.total()
    named = (row for row in rows if names[row] is not None)
    return tuple(row for row in named if not has_majority or names[row] != most)


def join(ids: list[str], rows: NDArray[np.int64] | list[int]) -> str:
    """List some ids."""
    shown = ",".join(ids[row] for row in rows[:MAX_IDS])
    return shown + (",..." if len(rows) > MAX_IDS else "")


def tell(found: Counter[str]) -> str:
    """Tell names with their numbers, the most frequent first."""
    return ", ".join(f"{name} ({count})" for name, count in found.most_common())
