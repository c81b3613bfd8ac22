"""Species-like units of barcodes without any reference, and their map.

In: vectors (N, D). Out: a unit for each, the medoid that represents it, and how alike its members
are. `threshold` joins what reaches a cosine (single linkage), block by block, so it goes where a
matrix of all pairs does not fit; Ward and HDBSCAN are scikit-learn's. Guarded by
tests/eval/test_units.py.

Shapes: N = barcodes, D = width, U = units.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped]
from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]
from sklearn.cluster import HDBSCAN, AgglomerativeClustering

from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.identify.judge.alignment import align
from barcodemae.eval.probe.clustering import reduce_dimensions
from barcodemae.eval.probe.map_plot import MIN_POINTS, MapPoints, MapSettings, group_taxa, write_map
from barcodemae.eval.search.nearest import blocks_of, check_finite
from barcodemae.eval.search.reference_search import ExactSearch, unit_length
from barcodemae.files import write_text


METHODS = ("threshold", "ward", "hdbscan")
DEFAULT_IDENTITY = 97.0  # percent
NUM_ALIGNED = 500  # barcodes whose neighbours are aligned
NUM_ALIGNED_NEIGHBORS = 10
WARD_FACTOR = 1.5  # Ward's distance of two groups, in distances of their members
MAX_PAIRWISE = 40_000  # barcodes of which all pairs fit into memory
BLOCK = 2048
MAX_POINTS = 20_000
NUM_NEIGHBORS = 15


@dataclass(frozen=True, kw_only=True)
class UnitSettings:
    """How units are formed.

    Attributes:
        method: `threshold`, `ward` or `hdbscan`.
        identity: Percent identity of barcodes that are to be together; `hdbscan` needs none.

    Raises:
        SettingsError: An unknown method, or an identity that is none.
    """

    method: str = "threshold"
    identity: float = DEFAULT_IDENTITY

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise SettingsError(f"method {self.method!r} is not one of {', '.join(METHODS)}")
        if not 50 <= self.identity <= 100:
            raise SettingsError(f"an identity is between 50 and 100 %, got {self.identity}")


def cosine_of_identity(
    vectors: NDArray[np.float32], sequences: Sequence[str], identity: float
) -> float:
    """Find the cosine that stands for a percent identity in this model, on these barcodes.

    Neighbours of some barcodes are aligned; the cosine is chosen that tells best which pairs reach
    the identity. So one number means the same with every model.

    Args:
        vectors: Unit vectors (N, D).
        sequences: N.
        identity: In percent.
    """
    chosen = np.random.default_rng(0).permutation(len(vectors))[:NUM_ALIGNED]
    found = ExactSearch(vectors).search(vectors[chosen], NUM_ALIGNED_NEIGHBORS + 1)
    cosines, is_near = [], []
    for row, rows, values in zip(chosen, found.rows, found.similarity, strict=True):
        for other, value in zip(rows.tolist(), values.tolist(), strict=True):
            if other not in (row, -1):
                cosines.append(value)
                aligned = align(sequences[row], sequences[other])
                is_near.append(100 * aligned.identity >= identity)
    if not any(is_near):
        return 1.0
    # Cutting before pair i keeps the near pairs among the first i, and leaves out the others.
    order = np.argsort(-np.array(cosines), kind="stable")
    near = np.array(is_near)[order]
    gain = np.cumsum(np.where(near, 1, -1))
    return float(np.array(cosines)[order][gain.argmax()])


@dataclass(frozen=True)
class Units:
    """Units, largest first.

    Attributes:
        of: Unit of each barcode, 0 for the largest, (N,).
        sizes: Of each unit, (U,).
        representatives: Row of each unit's medoid, (U,).
        similarity: Mean cosine of the pairs within each unit, 1 for a single barcode, (U,).
        to_representative: Cosine of each barcode with its medoid, (N,).
    """

    of: NDArray[np.int64]
    sizes: NDArray[np.int64]
    representatives: NDArray[np.int64]
    similarity: NDArray[np.float64]
    to_representative: NDArray[np.float64]


def join_near(vectors: NDArray[np.float32], least: float) -> NDArray[np.int64]:
    """Join all barcodes whose cosine reaches `least`, directly or by a chain, (N,)."""
    pairs = list(near_pairs(vectors, least))
    left = np.concatenate([pair[0] for pair in pairs])
    right = np.concatenate([pair[1] for pair in pairs])
    graph = sparse.coo_array((np.ones(len(left), bool), (left, right)), shape=(len(vectors),) * 2)
    labels: NDArray[np.int64] = connected_components(graph, directed=False)[1]
    return labels


def near_pairs(
    vectors: NDArray[np.float32], least: float
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the pairs whose cosine is at least `least`, block by block."""
    blocks = blocks_of(len(vectors), BLOCK)
    for number, rows in enumerate(blocks):
        for columns in blocks[: number + 1]:
            near = np.argwhere(vectors[rows] @ vectors[columns].T >= least)
            yield near[:, 0] + rows.start, near[:, 1] + columns.start


def label(
    vectors: NDArray[np.float32], sequences: Sequence[str], settings: UnitSettings
) -> NDArray[np.int64]:
    """Give each unit vector (N, D) a cluster, (N,); those of none get one each."""
    if len(vectors) < 2:
        return np.zeros(len(vectors), np.int64)
    if settings.method == "threshold":
        return join_near(vectors, cosine_of_identity(vectors, sequences, settings.identity))
    if len(vectors) > MAX_PAIRWISE:
        raise SettingsError(
            f"{settings.method} compares all pairs, and {len(vectors)} barcodes have too many: "
            "use --method threshold"
        )
    labels: NDArray[np.int64]
    if settings.method == "ward":
        cosine = cosine_of_identity(vectors, sequences, settings.identity)
        distance = WARD_FACTOR * np.sqrt(2 * max(1 - cosine, 1e-12))
        ward = AgglomerativeClustering(n_clusters=None, distance_threshold=distance)
        labels = ward.fit_predict(vectors)
        return labels
    # `copy`: or the vectors would be overwritten.
    hdbscan = HDBSCAN(min_cluster_size=2, cluster_selection_method="eom", copy=True)
    labels = hdbscan.fit_predict(vectors).astype(np.int64)
    alone = labels < 0
    labels[alone] = labels.max(initial=-1) + 1 + np.arange(alone.sum())
    return labels


def find_units(
    vectors: NDArray[np.float32], sequences: Sequence[str], settings: UnitSettings
) -> Units:
    """Form units and describe them.

    Args:
        vectors: (N, D), N >= 1.
        sequences: Cleaned, N.
        settings: See `UnitSettings`.

    Raises:
        SettingsError: NaN among the vectors, or too many for the method.
    """
    check_finite(vectors, "barcode")
    vectors = unit_length(vectors)
    _, first, labels, sizes = np.unique(
        label(vectors, sequences, settings),
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    order = np.lexsort((first, -sizes))  # largest first, then as they come
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    of, sizes = rank[labels], sizes[order]
    sums = np.zeros((len(sizes), vectors.shape[1]))
    np.add.at(sums, of, vectors)
    centrality = np.einsum("nd,nd->n", vectors, sums[of]).round(9)
    by_unit = np.lexsort((np.arange(len(of)), -centrality, of))
    representatives = by_unit[np.unique(of[by_unit], return_index=True)[1]]
    pairs = np.maximum(sizes * (sizes - 1), 1)
    similarity = np.where(sizes == 1, 1.0, (np.einsum("ud,ud->u", sums, sums) - sizes) / pairs)
    to_representative = np.einsum(
        "nd,nd->n", vectors, vectors[representatives[of]], dtype=np.float64
    )
    return Units(of, sizes, representatives, similarity, to_representative)


def write_units(output: Path, ids: Sequence[str], units: Units) -> None:
    """Write one line per barcode, in input order; the file appears whole or not at all."""
    header = ("id", "unit", "size", "representative", "similarity_to_representative")
    lines = ["\t".join([*header, "similarity_within_unit"])]
    for row, name in enumerate(ids):
        unit = int(units.of[row])
        cells = [name, f"U{unit + 1}", str(units.sizes[unit]), ids[units.representatives[unit]]]
        cells += [f"{units.to_representative[row]:.4f}", f"{units.similarity[unit]:.4f}"]
        lines.append("\t".join(cells))
    write_text(output, "\n".join(lines) + "\n")


def draw_units(
    vectors: NDArray[np.float32], ids: Sequence[str], units: Units, output: Path
) -> None:
    """Draw barcodes as a map, coloured by the largest units.

    Raises:
        DataError: Too few barcodes.
    """
    if len(ids) < MIN_POINTS:
        raise DataError(output, f"only {len(ids)} barcodes; a map needs {MIN_POINTS}")
    chosen = np.sort(np.random.default_rng(0).permutation(len(ids))[:MAX_POINTS])
    places = reduce_dimensions(vectors[chosen], num_neighbors=NUM_NEIGHBORS, dimensions=2, seed=0)
    names: list[str | None] = [f"U{units.of[row] + 1}" for row in chosen]
    hover = [
        f"{ids[row]}<br>unit: {name} ({units.sizes[units.of[row]]} barcodes)"
        for row, name in zip(chosen, names, strict=True)
    ]
    settings = MapSettings(dataset=output, splits=(), color="unit", title=output.stem)
    write_map(MapPoints(places, group_taxa(names), hover), settings, output)
