"""Points of a map and the ways to colour them: by unit, or by a rank.

In: places of barcodes, and the name of the group of each. Out: groups with colours and the places
of their labels. Every group of two or more barcodes has a colour and a label of its own; colours
repeat if there are many, so labels tell. Guarded by tests/eval/report/maps/test_points.py.

Shapes: N = barcodes.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from barcodemae.eval.report.colors import PALETTE


@dataclass(frozen=True)
class Group:
    """Points that share a colour.

    Attributes:
        name: Name of the unit or taxon.
        rows: Rows of its points.
        color: Colour, `#rrggbb`.
    """

    name: str
    rows: list[int]
    color: str

    def anchor(self, places: NDArray[np.float32]) -> tuple[float, float]:
        """Return the place of the label: of the point that is nearest to the group's median."""
        mine = places[self.rows]  # (points of the group, 2)
        nearest = int(((mine - np.median(mine, axis=0)) ** 2).sum(axis=1).argmin())
        return float(mine[nearest, 0]), float(mine[nearest, 1])


@dataclass(frozen=True)
class Coloring:
    """A way to colour the points.

    Attributes:
        title: What colours stand for, such as `unit` or `family`.
        groups: Groups, largest first.
        rest: Rows of the points that belong to none; they are drawn hollow.
        rest_name: What these are.
    """

    title: str
    groups: list[Group]
    rest: list[int]
    rest_name: str

    @classmethod
    def of(
        cls, title: str, names: Sequence[str | None], rest_name: str, order: Sequence[str] = ()
    ) -> "Coloring":
        """Group points by name.

        Args:
            title: What colours stand for.
            names: Name of each point's group, N; None for a point without one.
            rest_name: What points without a group are.
            order: Groups in an order in which neighbours get different colours; by size if empty.
        """
        counts = Counter(name for name in names if name is not None)
        by_size = [name for name, _ in counts.most_common()]
        place_of = {name: place for place, name in enumerate(order or by_size)}
        rows: dict[str, list[int]] = {name: [] for name in by_size}
        for row, name in enumerate(names):
            if name is not None:
                rows[name].append(row)
        groups = [
            Group(name, rows[name], PALETTE[place_of.get(name, 0) % len(PALETTE)])
            for name in by_size
        ]
        rest = [row for row, name in enumerate(names) if name is None]
        return cls(title, groups, rest, rest_name)


@dataclass(frozen=True)
class MapPoints:
    """Points of a map.

    Attributes:
        places: Coordinates of the points, (N, 2).
        lines: What is told of each point, line by line, its id first, N.
        colorings: Ways to colour them; leaves of a tree are groups of the first.
        shown: Number of the one that is shown at first, and in the picture.
    """

    places: NDArray[np.float32]
    lines: list[list[str]]
    colorings: list[Coloring]
    shown: int = 0
