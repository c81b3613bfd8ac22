"""Zero-shot clustering probe: whether clusters of embeddings agree with taxa, without any training.

Embeddings are reduced by UMAP to 50 dimensions (cosine) and clustered by Ward; the score is the
adjusted mutual information (AMI) with the taxa. Published numbers differ in labels, neighbours and
number of clusters, so these are choices of an explicit `ClusteringProtocol`; both published
variants are presets.
Guarded by tests/eval/probe/test_clustering.py, which compares with scikit-learn.

Shapes: N = barcodes, D = embedding width.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_mutual_info_score

from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.probe.scores import Score, interval
from barcodemae.eval.search.nearest import check_finite


UMAP_DIMENSIONS = 50
MIN_ROWS = UMAP_DIMENSIONS + 3  # UMAP's spectral initialisation needs more rows than dimensions
NUM_HALVES = 100  # random halves of the rows, for the interval of the AMI


@dataclass(frozen=True, kw_only=True)
class ClusteringProtocol:
    """All choices that change an AMI.

    Attributes:
        rank: Label to compare the clusters with: a rank or `dna_bin`.
        num_neighbors: Number of neighbours in UMAP.
        num_clusters: Number of Ward clusters; None for the number of distinct labels.
        splits: Splits whose rows are clustered together.
    """

    rank: str
    num_neighbors: int
    num_clusters: int | None
    splits: tuple[str, ...] = ("test", "test_unseen")


# BarcodeMAE: zsc_evaluation_v2.py of the published code. BarcodeBERT: baselines/zsc.py with its
# command-line defaults and its hard-coded number of clusters, the species of its Canadian data.
PROTOCOLS = {
    "barcodemae": ClusteringProtocol(rank="genus", num_neighbors=15, num_clusters=None),
    "barcodebert": ClusteringProtocol(rank="dna_bin", num_neighbors=5, num_clusters=3479),
}


def reduce_dimensions(
    vectors: NDArray[np.float32], *, num_neighbors: int, dimensions: int, seed: int
) -> NDArray[np.float32]:
    """Reduce vectors (N, D) to a number of dimensions by UMAP with cosine distance.

    Args:
        vectors: Embeddings, (N, D).
        num_neighbors: Number of neighbours in UMAP.
        dimensions: Number of dimensions of the result.
        seed: Seed of UMAP, which therefore runs on one thread.

    Returns:
        Coordinates, (N, dimensions).
    """
    num_threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba and scikit-learn deprecations inside UMAP
        from umap import UMAP  # imported here, because it compiles for seconds

        reducer = UMAP(
            n_components=dimensions,
            n_neighbors=num_neighbors,
            metric="cosine",
            random_state=seed,
            n_jobs=1,
        )
        reduced: NDArray[np.float32] = reducer.fit_transform(vectors)
    # numba changes the number of threads of the whole process; later work would oversubscribe it.
    torch.set_num_threads(num_threads)
    return reduced


def cluster(vectors: NDArray[np.float32], num_clusters: int) -> NDArray[np.int64]:
    """Cluster vectors by Ward, (N, D) to (N,)."""
    ward = AgglomerativeClustering(n_clusters=num_clusters, linkage="ward")
    clusters: NDArray[np.int64] = ward.fit_predict(vectors)
    return clusters


def check_clustering(labels: Sequence[str], num_clusters: int) -> None:
    """Check that the probe is meaningful for the data.

    Raises:
        DataError: There are too few rows, or all have the same label.
        SettingsError: There are more clusters than rows, or fewer than two.
    """
    if len(labels) < MIN_ROWS:
        raise DataError("clustering", f"needs at least {MIN_ROWS} rows, got {len(labels)}")
    if len(set(labels)) < 2:
        raise DataError("clustering", f"all rows have the same label ({labels[0]})")
    if not 2 <= num_clusters <= len(labels):
        raise SettingsError(f"cannot form {num_clusters} clusters of {len(labels)} rows")


def zero_shot_clusters(
    vectors: NDArray[np.float32], labels: Sequence[str], protocol: ClusteringProtocol, *, seed: int
) -> NDArray[np.int64]:
    """Cluster embeddings by a protocol.

    Args:
        vectors: Embeddings, (N, D).
        labels: Labels of the rows, N.
        protocol: Choices of the clustering.
        seed: Seed of UMAP.

    Returns:
        Cluster of each row, (N,).

    Raises:
        DataError: There are too few rows, or all have the same label.
        SettingsError: The number of clusters is impossible, or an embedding holds NaN.
    """
    num_clusters = protocol.num_clusters or len(set(labels))
    check_clustering(labels, num_clusters)
    check_finite(vectors, "barcode")
    reduced = reduce_dimensions(
        vectors, num_neighbors=protocol.num_neighbors, dimensions=UMAP_DIMENSIONS, seed=seed
    )
    return cluster(reduced, num_clusters)


def score_clusters(
    labels: Sequence[str], clusters: NDArray[np.int64], *, num_halves: int = NUM_HALVES
) -> Score:
    """Compute the adjusted mutual information in percent, with a 95 % interval.

    The interval comes from random halves of the rows, drawn without replacement: halves vary around
    their mean as much as samples of all rows vary around their expectation. Drawing with
    replacement would put copies of a barcode into one cluster, and so inflate the AMI.

    Args:
        labels: Labels of the rows, N.
        clusters: Cluster of each row, (N,).
        num_halves: Number of random halves.
    """
    codes = np.unique(np.asarray(labels), return_inverse=True)[1]
    value = 100 * adjusted_mutual_info_score(codes, clusters)
    generator = np.random.default_rng(0)
    halves = []
    for _ in range(num_halves):
        rows = generator.permutation(len(codes))[: len(codes) // 2]
        halves.append(100 * adjusted_mutual_info_score(codes[rows], clusters[rows]))
    low, high = interval(value + np.array(halves) - np.mean(halves))
    return Score(float(value), low, high)
