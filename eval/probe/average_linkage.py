"""Clustering without a layout: average linkage on cosines, the second protocol of the probe.

The paper's protocol (`clustering.py`) reduces embeddings by UMAP first, which keeps neighbours and
gives up distances, and then cuts them by Ward, which favours clusters of equal size; genera are of
all sizes. Here the cosine distances themselves are clustered, and the score is the same AMI. There
is no chance in it. Time and memory grow with the square of the number of rows: 8 bytes times N * N
in all (0.2 GB for 5,000 rows, 3.2 GB for `MAX_ROWS`); of more rows a random subset is clustered,
and the counts of the record say how many.
Guarded by tests/eval/probe/test_average_linkage.py, which compares with scikit-learn.

Shapes: N = barcodes, D = embedding width, M = merges.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage  # type: ignore[import-untyped]
from scipy.sparse import coo_array  # type: ignore[import-untyped]
from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

from barcodemae.eval.probe.clustering import ClusteringProtocol, check_clustering
from barcodemae.eval.search.nearest import check_finite


MAX_ROWS = 20_000
SUBSET_SEED = 0  # every model is asked about the same subset


def average_linkage_protocol(protocol: ClusteringProtocol) -> dict[str, Any]:
    """Return the choices of the second protocol, for records.

    Args:
        protocol: The paper's protocol, from which labels, splits and number of clusters are.
    """
    return {
        "rank": protocol.rank,
        "num_clusters": protocol.num_clusters,
        "splits": protocol.splits,
        "distance": "cosine",
        "linkage": "average",
        "max_rows": MAX_ROWS,
    }


def clustered_rows(num_rows: int) -> NDArray[np.int64]:
    """Choose the rows that are clustered: all, or a random subset of `MAX_ROWS`, in order."""
    if num_rows <= MAX_ROWS:
        return np.arange(num_rows)
    chosen = np.random.default_rng(SUBSET_SEED).permutation(num_rows)[:MAX_ROWS]
    return np.sort(chosen).astype(np.int64)


def cosine_distances(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute the cosine distances of all pairs of vectors (N, D), in SciPy's condensed order.

    Returns:
        Distances, (N * (N - 1) / 2,); products in float32, and never below 0.
    """
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
    num_rows = len(unit)
    distances = np.empty(num_rows * (num_rows - 1) // 2)
    start = 0
    for row in range(num_rows - 1):
        end = start + num_rows - 1 - row
        distances[start:end] = 1 - unit[row + 1 :] @ unit[row]
        start = end
    return np.maximum(distances, 0, out=distances)


def average_linkage_clusters(
    vectors: NDArray[np.float32], labels: Sequence[str], protocol: ClusteringProtocol
) -> NDArray[np.int64]:
    """Cluster embeddings by average linkage on cosine distances.

    Args:
        vectors: Embeddings, (N, D).
        labels: Labels of the rows, N, which decide the number of clusters unless the protocol does.
        protocol: Choices of the clustering; those of UMAP are not used.

    Returns:
        Cluster of each row, (N,).

    Raises:
        DataError: There are too few rows, or all have the same label.
        SettingsError: The number of clusters is impossible, or an embedding holds NaN.
    """
    num_clusters = protocol.num_clusters or len(set(labels))
    check_clustering(labels, num_clusters)
    check_finite(vectors, "barcode")
    merges = linkage(cosine_distances(vectors), method="average")
    return cut(merges, num_clusters)


def cut(merges: NDArray[np.float64], num_clusters: int) -> NDArray[np.int64]:
    """Cut a tree of merges into exactly so many clusters, ties or not.

    Args:
        merges: SciPy's linkage, (N - 1, 4), in the order of distances.
        num_clusters: Number of clusters.

    Returns:
        Cluster of each row, (N,).
    """
    num_rows = len(merges) + 1
    made = merges[: num_rows - num_clusters, :2].astype(np.int64)  # (M, 2)
    nodes = np.repeat(num_rows + np.arange(len(made)), 2)
    edges = coo_array((np.ones(len(nodes)), (made.ravel(), nodes)), shape=(2 * num_rows,) * 2)
    _, components = connected_components(edges, directed=False)
    clusters: NDArray[np.int64] = np.unique(components[:num_rows], return_inverse=True)[1]
    return clusters
