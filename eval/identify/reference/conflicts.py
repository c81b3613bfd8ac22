"""Contradictions among references, which `index` reports: they limit what any name can be worth.

In: lineages and barcodes' hashes. Out: one `Conflict` for each barcode under several names of a
rank, and for each taxon under several taxa of the rank above (a class under two phyla: one of them
is a slip of the pen, or a homonym). Guarded by tests/eval/identify/reference/test_conflicts.py.

Shapes: R = references.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from barcodemae.dataset import RANKS


MAX_IDS = 10  # shown of a conflict


@dataclass(frozen=True)
class Conflict:
    """References that contradict each other.

    Attributes:
        kind: What contradicts what, in words.
        ids: Ids of some of the references, separated by commas.
        names: The contradicting names, with the number of references of each.
    """

    kind: str
    ids: str
    names: str


def find_conflicts(lineage: pa.Table, hashes: NDArray[np.uint64]) -> list[Conflict]:
    """Find contradictions.

    Args:
        lineage: Ids and taxa of the references, R rows.
        hashes: Hashes of their barcodes, (R,).
    """
    names = {rank: lineage[rank].to_pylist() for rank in RANKS}
    ids = lineage["id"].to_pylist()
    return [*same_barcode(names, ids, hashes), *several_parents(names, ids)]


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
                yield Conflict(f"one barcode, several {rank} names", join(ids, group), tell(found))
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
                yield Conflict(kind, join(ids, odd), f"{name}: {tell(found)}")


def join(ids: list[str], rows: NDArray[np.int64] | list[int]) -> str:
    """List some ids."""
    shown = ",".join(ids[row] for row in rows[:MAX_IDS])
    return shown + (",..." if len(rows) > MAX_IDS else "")


def tell(found: Counter[str]) -> str:
    """Tell names with their numbers, the most frequent first."""
    return ", ".join(f"{name} ({count})" for name, count in found.most_common())
