"""The zero-shot clustering probe: do embeddings fall into taxa nobody told the model about?

Embeddings -> UMAP to 50 dimensions (cosine) -> Ward -> adjusted mutual information (AMI) with the
taxa. Published numbers differ in labels, neighbours and the number of clusters, so these are one
explicit `ClusteringProtocol`; both published variants are presets. Guarded by
tests/eval/probe/test_clustering.py, whose oracle is scikit-learn.

Shapes: N = barcodes, D = width.
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
MIN_ROWS = UMAP_DIMENSIONS + 3  # the spectral start of UMAP needs more rows than dimensions
NUM_HALVES = 100


@dataclass(frozen=True, kw_only=True)
class ClusteringProtocol:
    """Every choice that changes an AMI.

    Attributes:
        rank: Label compared with the clusters: a rank or `dna_bin`.
        num_neighbors: Of UMAP.
        num_clusters: Of Ward; None means the number of distinct labels.
        splits: Partitions that are stacked.
    """

    rank: str
    num_neighbors: int
    num_clusters: int | None
    splits: tuple[str, ...] = ("test", "test_unseen")


# BarcodeMAE: zsc_evaluation_v2.py of the published code; BarcodeBERT: baselines/zsc.py with its
# command-line defaults and its literal number of clusters, the species of its Canadian data.
PROTOCOLS = {
    "barcodemae": ClusteringProtocol(rank="genus", num_neighbors=15, num_clusters=None),
    "barcodebert": ClusteringProtocol(rank="dna_bin", num_neighbors=5, num_clusters=3479),
}


def reduce_dimensions(
    vectors: NDArray[np.float32], *, num_neighbors: int, dimensions: int, seed: int
) -> NDArray[np.float32]:
    """Lay out vectors (N, D) in `dimensions` by UMAP with cosine distance; seeded, one thread."""
    num_threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba and scikit-learn deprecations inside UMAP
        from umap import UMAP  # its import compiles for seconds

        reducer = UMAP(
            n_components=dimensions,
            n_neighbors=num_neighbors,
            metric="cosine",
            random_state=seed,
            n_jobs=1,
        )
        reduced: NDArray[np.float32] = reducer.fit_transform(vectors)
    # numba raises the threads of the whole process; what comes next would run oversubscribed.
    torch.set_num_threads(num_threads)
    return reduced


def cluster(vectors: NDArray[np.float32], num_clusters: int) -> NDArray[np.int64]:
    """Cut a Ward tree of vectors (N, D) into clusters, (N,)."""
    ward = AgglomerativeClustering(n_clusters=num_clusters, linkage="ward")
    clusters: NDArray[np.int64] = ward.fit_predict(vectors)
    return clusters


def check_clustering(labels: Sequence[str], num_clusters: int) -> None:
    """Refuse data on which the probe means nothing.

    Raises:
        DataError: Too few rows, or one label only.
        SettingsError: More clusters than rows, or fewer than two.
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
    """Cluster embeddings (N, D) as a protocol says, (N,).

    Raises:
        DataError: Too few rows, or one label only.
        SettingsError: An impossible number of clusters, or NaN among the vectors.
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
    """Adjusted mutual information in percent, with a 95 % interval.

    The interval comes from random halves drawn without replacement: a half's spread around the
    halves' mean equals that of the whole sample around its expectation, while resampling with
    replacement would put copies of a barcode into one cluster and so inflate the AMI.
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
