"""A map as a web page: points to look closer at, labels, ways to colour, and a tree beside it.

In: `MapPoints`, and leaves of a dendrogram if there is one. Out: one file that loads nothing.
Guarded by tests/eval/report/maps/test_map_page.py.

Shapes: N = barcodes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from barcodemae.eval.report.maps.dendrogram import Tree
from barcodemae.eval.report.maps.points import Coloring, MapPoints
from barcodemae.eval.report.page_data import json_in_page
from barcodemae.files import write_text


GRID = 10_000  # steps of a coordinate
LEAF_HEIGHT, TREE_WIDTH, TREE_TOP = 17, 190, 26  # pixels
NUM_TICKS = 4


@dataclass(frozen=True)
class Leaf:
    """A unit in the tree.

    Attributes:
        name: Its name, which is that of a group of the map.
        text: What stands beside the name.
        color: Colour, `#rrggbb`.
        is_single: Whether it is a single barcode, which is drawn hollow.
    """

    name: str
    text: str
    color: str
    is_single: bool = False


def write_map_page(
    points: MapPoints,
    title: str,
    output: Path,
    *,
    about: str = "",
    tree: Tree | None = None,
    leaves: Sequence[Leaf] = (),
) -> None:
    """Write a map as a web page.

    Args:
        points: Points with at least one way to colour them.
        title: Title of the page.
        output: File to write.
        about: Sentence below the title.
        tree: Dendrogram of units; None for none.
        leaves: Units of the tree's leaves, from top to bottom.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    here = files("barcodemae.eval.report.maps")
    template = environment.from_string((here / "map.html.jinja").read_text())
    page = template.render(
        title=title,
        about=about,
        style=Markup((here / "map.css").read_text()),
        script=Markup((here / "map.js").read_text()),
        colorings=points.colorings,
        data=json_in_page(data_of(points)),
        tree=None if tree is None else drawing_of(tree, leaves),
    )
    write_text(output, page)


def data_of(points: MapPoints) -> dict[str, Any]:
    """Return what the page's script draws: places from 0 to `GRID`, both axes at one scale."""
    low = points.places.min(axis=0)
    span = float(np.ptp(points.places, axis=0).max()) or 1.0
    steps = np.rint((points.places - low) / span * GRID).astype(int)  # (N, 2)
    return {
        "x": steps[:, 0].tolist(),
        "y": steps[:, 1].tolist(),
        "lines": points.lines,
        "shown": points.shown,
        "colorings": [coloring_data(coloring, steps) for coloring in points.colorings],
    }


def coloring_data(coloring: Coloring, steps: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return one way to colour the points."""
    return {
        "title": coloring.title,
        "rest": coloring.rest_name,
        "groups": [
            {
                "name": group.name,
                "rows": group.rows,
                "color": group.color,
                "anchor": [round(value) for value in group.anchor(steps)],
            }
            for group in coloring.groups
        ],
    }


def drawing_of(tree: Tree, leaves: Sequence[Leaf]) -> dict[str, Any]:
    """Return the numbers of the tree's drawing, in pixels: paths, ticks and rows of leaves."""
    scale = TREE_WIDTH / tree.height

    def right(distance: float) -> float:
        return round(TREE_WIDTH - distance * scale, 1)

    def down(place: float) -> float:
        return round(TREE_TOP + (place + 0.5) * LEAF_HEIGHT, 1)

    paths = []
    for bracket in tree.brackets:
        upper, lower = (down(place) for place in bracket.places)
        first, last = (right(start) for start in bracket.starts)
        paths.append(f"M{first},{upper}H{right(bracket.distance)}V{lower}H{last}")
    ticks = [tree.height * step / NUM_TICKS for step in range(NUM_TICKS)]
    return {
        "paths": paths,
        "ticks": [(right(tick), f"{tick:.2g}") for tick in ticks],
        "leaves": [(down(place), leaf) for place, leaf in enumerate(leaves)],
        "width": TREE_WIDTH,
        "height": TREE_TOP + LEAF_HEIGHT * len(leaves) + 6,
        "top": TREE_TOP,
    }
