"""Clustering of barcodes into species-like units (MOTUs) without references.

In: embeddings (N, D). Out: the unit of each barcode, the medoid that represents it, and the
similarity within units. `threshold` is single linkage at a cosine, computed block by block, so it
works where a matrix of all pairs does not fit into memory; Ward and HDBSCAN are scikit-learn's.
Guarded by tests/eval/identify/test_units.py.

Shapes: N = barcodes, D = embedding width, U = units.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from barcodemae.errors import SettingsError
from barcodemae.eval.identify.judge.alignment import align
from barcodemae.eval.search.nearest import blocks_of, check_finite
from barcodemae.eval.search.reference_search import ExactSearch, unit_length
from barcodemae.files import write_text
from barcodemae.output.cells import row_of


METHODS = ("threshold", "ward", "hdbscan")
UNIT_COLUMNS = (
    "id",
    "unit",
    "size",
    "representative",
    "similarity_to_representative",
    "similarity_within_unit",
)
DEFAULT_IDENTITY = 97.0  # percent
NUM_ALIGNED = 500  # barcodes that are aligned with their neighbours to find the cosine threshold
NUM_ALIGNED_NEIGHBORS = 10
WARD_FACTOR = 1.5  # Ward's distance of two groups as a multiple of the distance of their members
MAX_PAIRWISE = 40_000  # barcodes; a matrix of all their pairs fits into memory
BLOCK = 2048  # barcodes per side of a block of pairs


@dataclass(frozen=True, kw_only=True)
class UnitSettings:
    """Settings of a clustering.

    Attributes:
        method: `threshold`, `ward` or `hdbscan`.
        identity: Percent identity from which two barcodes belong together; `hdbscan` ignores it.

    Raises:
        SettingsError: The method is unknown, or the identity is not between 50 and 100.
    """

    method: str = "threshold"
    identity: float = DEFAULT_IDENTITY

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise SettingsError(f"method {self.method!r} is not one of {', '.join(METHODS)}")
        if not 50 <= self.identity <= 100:
            raise SettingsError(f"the identity must be between 50 and 100 %, got {self.identity}")


def cosine_of_identity(
    vectors: NDArray[np.float32], sequences: Sequence[str], identity: float
) -> float:
    """Find the cosine that corresponds to a percent identity, for this model on these barcodes.

    A sample of barcodes is aligned with their nearest neighbours. The cosine that best separates
    the pairs that reach the identity from those that do not is chosen, so an identity means the
    same with every model.

    Args:
        vectors: Embeddings of unit length, (N, D).
        sequences: Cleaned sequences of the barcodes, N.
        identity: Percent identity.
    """
    # Align each sampled barcode with its nearest neighbours.
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
    # A threshold at pair i accepts pairs 0 to i; its gain is right minus wrong acceptances.
    order = np.argsort(-np.array(cosines), kind="stable")  # (pairs,), nearest first
    near = np.array(is_near)[order]
    gain = np.cumsum(np.where(near, 1, -1))
    return float(np.array(cosines)[order][gain.argmax()])


@dataclass(frozen=True)
class Units:
    """Units, largest first.

    Attributes:
        of: Unit of each barcode, 0 for the largest, (N,).
        sizes: Number of barcodes of each unit, (U,).
        representatives: Row of each unit's medoid, (U,).
        similarity: Mean cosine of all pairs within each unit, 1 for a single barcode, (U,).
        to_representative: Cosine of each barcode with the medoid of its unit, (N,).
    """

    of: NDArray[np.int64]
    sizes: NDArray[np.int64]
    representatives: NDArray[np.int64]
    similarity: NDArray[np.float64]
    to_representative: NDArray[np.float64]


def single_linkage(vectors: NDArray[np.float32], threshold: float) -> NDArray[np.int64]:
    """Join barcodes whose cosine reaches the threshold, directly or through others.

    Args:
        vectors: Embeddings of unit length, (N, D).
        threshold: Lowest cosine that joins two barcodes.

    Returns:
        Label of each barcode's unit, (N,).
    """
    pairs = list(near_pairs(vectors, threshold))
    left = np.concatenate([pair[0] for pair in pairs])
    right = np.concatenate([pair[1] for pair in pairs])
    return components(len(vectors), left, right)


def components(
    num_nodes: int, left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Find the connected components of a graph.

    Args:
        num_nodes: Number of nodes, N.
        left: One end of each edge.
        right: The other end.

    Returns:
        Lowest node of each node's component, (N,).
    """
    lowest = np.arange(num_nodes)
    while True:
        found = lowest.copy()
        np.minimum.at(found, lowest[left], lowest[right])
        np.minimum.at(found, lowest[right], lowest[left])
        while (found[found] != found).any():  # follow the chains to their ends
            found = found[found]
        if np.array_equal(found, lowest):
            return lowest
        lowest = found


def near_pairs(
    vectors: NDArray[np.float32], threshold: float
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the rows of all pairs whose cosine reaches the threshold, block by block."""
    blocks = blocks_of(len(vectors), BLOCK)
    for number, rows in enumerate(blocks):
        for columns in blocks[: number + 1]:
            near = np.argwhere(vectors[rows] @ vectors[columns].T >= threshold)  # (pairs, 2)
            yield near[:, 0] + rows.start, near[:, 1] + columns.start


def label(
    vectors: NDArray[np.float32], sequences: Sequence[str], settings: UnitSettings
) -> NDArray[np.int64]:
    """Cluster barcodes by the chosen method; barcodes without a cluster get one each.

    Args:
        vectors: Embeddings of unit length, (N, D).
        sequences: Cleaned sequences of the barcodes, N.
        settings: Method and identity.

    Returns:
        Label of each barcode's unit, in no particular order, (N,).

    Raises:
        SettingsError: The method compares all pairs, and there are too many barcodes for that.
    """
    if len(vectors) < 2:
        return np.zeros(len(vectors), np.int64)
    if settings.method == "threshold":
        return single_linkage(vectors, cosine_of_identity(vectors, sequences, settings.identity))
    if len(vectors) > MAX_PAIRWISE:
        raise SettingsError(
            f"{settings.method} compares all pairs, and {len(vectors)} barcodes are more than the "
            f"{MAX_PAIRWISE} whose pairs fit into memory: use --method threshold"
        )
    # Imported here: scikit-learn is no part of the light installation.
    from sklearn.cluster import HDBSCAN, AgglomerativeClustering

    labels: NDArray[np.int64]
    if settings.method == "ward":
        cosine = cosine_of_identity(vectors, sequences, settings.identity)
        distance = WARD_FACTOR * np.sqrt(2 * max(1 - cosine, 1e-12))
        ward = AgglomerativeClustering(n_clusters=None, distance_threshold=distance)
        labels = ward.fit_predict(vectors)
        return labels
    # Without `copy` HDBSCAN overwrites the vectors.
    hdbscan = HDBSCAN(min_cluster_size=2, cluster_selection_method="eom", copy=True)
    labels = hdbscan.fit_predict(vectors).astype(np.int64)
    alone = labels < 0
    labels[alone] = labels.max(initial=-1) + 1 + np.arange(alone.sum())
    return labels


def find_units(
    vectors: NDArray[np.float32], sequences: Sequence[str], settings: UnitSettings
) -> Units:
    """Cluster barcodes into units and describe the units.

    Args:
        vectors: Embeddings of the barcodes, (N, D), N >= 1.
        sequences: Cleaned sequences of the barcodes, N.
        settings: Method and identity.

    Raises:
        SettingsError: An embedding holds NaN, or there are too many barcodes for the method.
    """
    check_finite(vectors, "barcode")
    vectors = unit_length(vectors)
    # Number the units: largest first, then in the order of their first barcodes.
    _, first, labels, sizes = np.unique(
        label(vectors, sequences, settings),
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    order = np.lexsort((first, -sizes))  # (U,)
    number_of = np.empty(len(order), np.int64)
    number_of[order] = np.arange(len(order))
    of, sizes = number_of[labels], sizes[order]  # (N,), (U,)
    sums = np.zeros((len(sizes), vectors.shape[1]))  # (U, D)
    np.add.at(sums, of, vectors)
    # The medoid has the largest sum of cosines with its unit; rounding makes ties equal everywhere.
    centrality = np.einsum("nd,nd->n", vectors, sums[of]).round(9)  # (N,)
    by_unit = np.lexsort((np.arange(len(of)), -centrality, of))
    representatives = by_unit[np.unique(of[by_unit], return_index=True)[1]]  # (U,)
    # The squared length of a sum is the sum of all cosines, each vector's own among them.
    pairs = np.maximum(sizes * (sizes - 1), 1)
    similarity = np.where(sizes == 1, 1.0, (np.einsum("ud,ud->u", sums, sums) - sizes) / pairs)
    to_representative = np.einsum(
        "nd,nd->n", vectors, vectors[representatives[of]], dtype=np.float64
    )
    return Units(of, sizes, representatives, similarity, to_representative)


def unit_name(unit: int) -> str:
    """Return the name of a unit by its number: `U1` is the largest."""
    return f"U{unit + 1}"


def unit_rows(ids: Sequence[str], units: Units) -> list[str]:
    """Write a row of `UNIT_COLUMNS` for each barcode, in input order.

    Args:
        ids: Ids of the barcodes, N.
        units: Units of the barcodes.
    """
    rows = []
    for row, barcode_id in enumerate(ids):
        unit = int(units.of[row])
        cells = [
            barcode_id,
            unit_name(unit),
            str(units.sizes[unit]),
            ids[units.representatives[unit]],
        ]
        cells += [f"{units.to_representative[row]:.4f}", f"{units.similarity[unit]:.4f}"]
        rows.append(row_of(cells))
    return rows


def write_units(output: Path, ids: Sequence[str], units: Units) -> None:
    """Write a TSV file with one line per barcode, in input order; it appears whole or not at all.

    Args:
        output: File to write.
        ids: Ids of the barcodes, N.
        units: Units of the barcodes.
    """
    write_text(output, "".join([row_of(UNIT_COLUMNS), *unit_rows(ids, units)]))
