"""A dendrogram: which units resemble each other, and how much.

In: mean vectors of groups of barcodes. Out: leaves in order, and the brackets that join them. The
distance of two units is one minus the mean cosine of all pairs between them, and units are joined
by average linkage. Guarded by tests/eval/report/maps/test_dendrogram.py.

Shapes: U = units, D = embedding width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import dendrogram, linkage  # type: ignore[import-untyped]
from scipy.spatial.distance import squareform  # type: ignore[import-untyped]


LEAF_STEP = 10.0  # of scipy, between two leaves
MAX_LEAVES = 300


@dataclass(frozen=True)
class Bracket:
    """Two branches that join.

    Attributes:
        places: Place among the leaves of the upper and the lower branch; leaf i stands at i.
        starts: Distance at which each of the two branches begins.
        distance: Distance at which they join.
    """

    places: tuple[float, float]
    starts: tuple[float, float]
    distance: float


@dataclass(frozen=True)
class Tree:
    """A dendrogram.

    Attributes:
        leaves: Number of the unit of each leaf, from top to bottom, U.
        brackets: Brackets, U - 1.
    """

    leaves: list[int]
    brackets: list[Bracket]

    @property
    def height(self) -> float:
        """Distance at which everything is joined; 1 if that is nothing."""
        return max((bracket.distance for bracket in self.brackets), default=0.0) or 1.0


def mean_vectors(
    vectors: NDArray[np.float32], unit_of: NDArray[np.int64], units: Sequence[int]
) -> NDArray[np.float64]:
    """Return the mean of the vectors of each unit.

    Args:
        vectors: Embeddings of unit length, (N, D).
        unit_of: Unit of each barcode, (N,).
        units: Units wanted, U.

    Returns:
        Means, (U, D); the product of two is the mean cosine of all pairs between their units.
    """
    place = {unit: row for row, unit in enumerate(units)}
    sums = np.zeros((len(units), vectors.shape[1]))
    counts = np.zeros(len(units))
    for row, unit in enumerate(unit_of.tolist()):
        if unit in place:
            sums[place[unit]] += vectors[row]
            counts[place[unit]] += 1
    means: NDArray[np.float64] = sums / counts[:, None]
    return means


def grow(means: NDArray[np.float64]) -> Tree:
    """Join units by average linkage.

    Args:
        means: Mean vector of each unit, (U, D).
    """
    if len(means) < 2:
        return Tree(list(range(len(means))), [])
    distances = np.maximum(1 - means @ means.T, 0)  # (U, U)
    np.fill_diagonal(distances, 0)
    joined = linkage(squareform((distances + distances.T) / 2, checks=False), "average")
    drawn = dendrogram(joined, no_plot=True)
    brackets = [
        Bracket(
            places=(y[0] / LEAF_STEP - 0.5, y[2] / LEAF_STEP - 0.5),
            starts=(x[0], x[3]),
            distance=x[1],
        )
        for y, x in zip(drawn["icoord"], drawn["dcoord"], strict=True)
    ]
    return Tree([int(leaf) for leaf in drawn["leaves"]], brackets)
