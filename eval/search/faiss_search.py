"""Search for near references in an index of faiss, for millions of them.

In: embeddings of unit length of references (R, D) and of queries (Q, D). Out: an index; rows and
cosines of near references, nearest first. The index only finds candidates, and may miss a nearest
reference; they are ranked by the exact cosines of `reference_search.py`. faiss is an extra.
Guarded by tests/eval/search/test_faiss_search.py.

Shapes: R = references, Q = queries, D = embedding width, K = neighbours.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from barcodemae.errors import SettingsError
from barcodemae.eval.search.nearest import blocks_of, check_finite
from barcodemae.eval.search.reference_search import (
    REFERENCE_BLOCK,
    Neighborhood,
    rank_candidates,
    unit_length,
)


EXTRA_CANDIDATES = 16  # candidates requested from faiss beyond K
FLAT_BELOW = 20_000  # references; with fewer, an inverted file has too few to train its cells on
# Of k-means; more of either costs minutes with millions of references.
TRAINED_PER_CELL, KMEANS_ITERATIONS = 50, 10
CELLS_PER_PROBE = 16  # one of every 16 cells is searched


def import_faiss() -> Any:
    """Import faiss.

    Raises:
        SettingsError: It is not installed; the message says how to install it.
    """
    try:
        import faiss  # an extra
    except ImportError as error:
        raise SettingsError(
            "the engine faiss is not installed: pip install 'barcodemae[faiss]', "
            "or use --engine exact"
        ) from error
    return faiss


def build_faiss(references: NDArray[np.float32]) -> Any:
    """Build a faiss index: an inverted file of 8-bit vectors; with few references a flat index.

    Args:
        references: Embeddings of unit length, (R, D).
    """
    faiss = import_faiss()
    num_references, width = references.shape
    if num_references < FLAT_BELOW:
        index = faiss.IndexFlatIP(width)
    else:
        num_cells = int(2 * np.sqrt(num_references))
        index = faiss.index_factory(width, f"IVF{num_cells},SQ8", faiss.METRIC_INNER_PRODUCT)
        index.cp.niter = KMEANS_ITERATIONS
        step = max(num_references // (TRAINED_PER_CELL * num_cells), 1)
        index.train(np.ascontiguousarray(references[::step]))
        index.nprobe = max(num_cells // CELLS_PER_PROBE, 1)
    for block in blocks_of(num_references, REFERENCE_BLOCK):
        index.add(np.ascontiguousarray(references[block]))
    return index


class FaissSearch:
    """Search for candidates in a faiss index, then ranking by exact cosines.

    Args:
        references: Embeddings of unit length, (R, D).
        index: Index that `build_faiss` built.
    """

    def __init__(self, references: NDArray[np.float32], index: Any) -> None:
        self.references = references
        self.index = index

    def search(self, queries: NDArray[np.float32], num_neighbors: int) -> Neighborhood:
        """Find K near references of every query, (Q, D) to (Q, K); a nearest one may be missed.

        Raises:
            SettingsError: A query holds NaN or infinity.
        """
        check_finite(queries, "query")
        queries = unit_length(queries)
        _, rows = self.index.search(queries, num_neighbors + EXTRA_CANDIDATES)
        candidates = [near[near >= 0].astype(np.int64) for near in rows]
        return rank_candidates(self.references, queries, candidates, num_neighbors)
