"""The map of units: where barcodes lie, the unit of each, and how units resemble each other.

In: embeddings, units, and names of a library if there is one. Out: a web page with a dendrogram,
and a picture. Units of two or more barcodes have a colour and a label; single barcodes are drawn
hollow. Guarded by tests/eval/identify/overview/test_unit_map.py.

Shapes: N = barcodes, D = embedding width.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.errors import DataError
from barcodemae.eval.identify.findings import Finding
from barcodemae.eval.identify.identification import Identifier, Rejection
from barcodemae.eval.identify.units import Units, unit_name
from barcodemae.eval.probe.clustering import reduce_dimensions
from barcodemae.eval.report.colors import PALETTE
from barcodemae.eval.report.maps.dendrogram import MAX_LEAVES, grow, mean_vectors
from barcodemae.eval.report.maps.page import Leaf
from barcodemae.eval.report.maps.points import Coloring, MapPoints
from barcodemae.eval.report.maps.write import MIN_POINTS, write_map
from barcodemae.eval.search.reference_search import unit_length
from barcodemae.fasta import SequenceRecord
from barcodemae.output.cells import escape


MAX_POINTS = 20_000
NUM_NEIGHBORS = 15  # of UMAP
RECORDS_PER_BATCH = 256  # that are named together
MAX_LETTERS = 40  # of an id or a name beside a leaf
SINGLE, UNNAMED = "single barcodes", "not named"
Names = dict[str, str]  # rank -> name that a library gives, from the top


def name_records(identifier: Identifier, records: Sequence[SequenceRecord]) -> list[Names]:
    """Name records against a library, N; nothing for what cannot be named."""
    found = [
        part
        for start in range(0, len(records), RECORDS_PER_BATCH)
        for part in identifier.examine(records[start : start + RECORDS_PER_BATCH])
    ]
    mixture = identifier.mixture_of([part for part in found if isinstance(part, Finding)])
    named = [identifier.conclude(part, mixture) for part in found]
    return [
        {} if isinstance(one, Rejection) else {rank: name for rank, name, _ in one.assigned()}
        for one in named
    ]


def draw_units(
    vectors: NDArray[np.float32],
    ids: Sequence[str],
    units: Units,
    output: Path,
    names: Sequence[Names] = (),
) -> None:
    """Draw a UMAP of the barcodes, coloured by units and by names, with a dendrogram of the units.

    Args:
        vectors: Embeddings of the barcodes, (N, D).
        ids: Ids of the barcodes, N.
        units: Units of the barcodes.
        output: Web page to write, `.html`; a `.png` image is written beside it.
        names: Names that a library gives the barcodes, N; empty without a library.

    Raises:
        DataError: There are too few barcodes for a map.
    """
    if len(ids) < MIN_POINTS:
        raise DataError(output, f"only {len(ids)} barcodes; a map needs at least {MIN_POINTS}")
    vectors = unit_length(vectors)
    chosen = np.sort(np.random.default_rng(0).permutation(len(ids))[:MAX_POINTS]).tolist()
    places = reduce_dimensions(vectors[chosen], num_neighbors=NUM_NEIGHBORS, dimensions=2, seed=0)
    shown = list(range(min(len(units.sizes), MAX_LEAVES)))  # units are numbered by size
    tree = grow(mean_vectors(vectors, units.of, shown))
    order = [unit_name(unit) for unit in tree.leaves]
    coloring = Coloring.of("unit", units_shown(units, chosen), SINGLE, order)
    colors = {group.name: group.color for group in coloring.groups}
    colorings = [coloring, *name_colorings([names[row] for row in chosen] if names else [])]
    lines = [lines_of(row, ids, units, names) for row in chosen]
    points = MapPoints(places, lines, colorings, first_shown(colorings))
    leaves = [leaf_of(unit, ids, units, names, colors) for unit in tree.leaves]
    write_map(
        points,
        f"{output.stem}: {len(ids):,} barcodes in {len(units.sizes):,} units",
        output,
        about=describe(units, len(chosen)),
        tree=tree,
        leaves=leaves,
    )


def units_shown(units: Units, rows: Sequence[int]) -> list[str | None]:
    """Return the name of each row's unit; None where the row is alone."""
    return [
        unit_name(int(units.of[row])) if units.sizes[units.of[row]] > 1 else None for row in rows
    ]


def name_colorings(names: Sequence[Names]) -> list[Coloring]:
    """Return a way to colour for every rank at which two or more taxa are named, deepest first."""
    found = [
        Coloring.of(rank, [named.get(rank) for named in names], UNNAMED) for rank in reversed(RANKS)
    ]
    return [coloring for coloring in found if len(coloring.groups) > 1]


def first_shown(colorings: Sequence[Coloring]) -> int:
    """Return the number of the coloring by the deepest rank whose taxa each have their own colour.

    It is that by units, 0, if there is none.
    """
    for number, coloring in enumerate(colorings):
        if number and len(coloring.groups) <= len(PALETTE):
            return number
    return 0


def lines_of(row: int, ids: Sequence[str], units: Units, names: Sequence[Names]) -> list[str]:
    """Return what is told of a barcode: id, unit, and its lineage if a library names it."""
    unit = int(units.of[row])
    size = int(units.sizes[unit])
    told = [
        escape(ids[row]),
        f"{unit_name(unit)}, " + ("alone" if size == 1 else f"{size} barcodes"),
    ]
    return told + [f"{rank}: {name}" for rank, name in (names[row] if names else {}).items()]


def leaf_of(
    unit: int, ids: Sequence[str], units: Units, names: Sequence[Names], colors: dict[str, str]
) -> Leaf:
    """Return the leaf of a unit: its size and what represents it, by name where there is one."""
    representative = int(units.representatives[unit])
    deepest = list(names[representative].values())[-1:] if names else []
    size = int(units.sizes[unit])
    words = (deepest or [escape(ids[representative])])[0]
    text = f"{size} of {words[:MAX_LETTERS]}" + ("…" if len(words) > MAX_LETTERS else "")
    return Leaf(unit_name(unit), text, colors.get(unit_name(unit), ""), is_single=size == 1)


def describe(units: Units, num_shown: int) -> str:
    """Say how many units there are, how many are single, and what is not shown."""
    num_single = int((units.sizes == 1).sum())
    words = [
        f"{len(units.sizes) - num_single:,} units of two or more barcodes, {num_single:,} single "
        "barcodes (hollow)."
    ]
    if num_shown < len(units.of):
        words.append(f"The map shows {num_shown:,} barcodes drawn at random.")
    if len(units.sizes) > MAX_LEAVES:
        words.append(f"The tree shows the {MAX_LEAVES} largest units.")
    return " ".join(words)
