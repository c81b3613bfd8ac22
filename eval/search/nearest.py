"""Exact nearest neighbours by cosine: the same result on every machine, ties to the lowest row.

In: references (R, D) and queries (Q, D), dense or SciPy sparse. Out: the row of the nearest
reference for every query. A fast float32 product, block by block, finds the candidates; a float64
sum, which does not depend on block size, number of threads or BLAS, decides among them.
Guarded by tests/eval/search/test_nearest.py, which compares with scikit-learn.

Shapes: R = references, Q = queries, D = embedding width, C = candidate pairs.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barcodemae.errors import SettingsError


Vectors = Any  # NDArray[floating] (N, D) or scipy.sparse.csr_array of that shape
QUERY_BLOCK = 512
REFERENCE_BLOCK = 16_384  # with QUERY_BLOCK, 32 MB of scores at a time
CANDIDATE_BLOCK = 16_384
TIE_DECIMALS = 12  # cosines that are equal to this many decimals are a tie


@dataclass(frozen=True)
class Neighbors:
    """The nearest reference of every query.

    Attributes:
        rows: Row of each query's nearest reference, (Q,).
        similarity: Cosine similarity to it, (Q,).
    """

    rows: NDArray[np.int64]
    similarity: NDArray[np.float64]


def check_finite(vectors: Vectors, what: str) -> None:
    """Check that embeddings hold neither NaN nor infinity.

    Args:
        vectors: Embeddings, (N, D).
        what: Kind of records they belong to, for the message.

    Raises:
        SettingsError: Some do; the message says how many rows, and names the first.
    """
    if not isinstance(vectors, np.ndarray):
        return  # sparse vectors are counts
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise SettingsError(
            f"{len(bad)} of {len(vectors)} {what} embeddings hold NaN or infinity (first: row "
            f"{bad[0]}): the weights are damaged or the dtype is too small"
        )


def unit_rows(vectors: Vectors, rows: Any) -> NDArray[np.float64]:
    """Scale some rows to length 1, in float64; zero stays zero, as in scikit-learn.

    Args:
        vectors: Vectors, (N, D).
        rows: Index of the wanted rows, anything that indexes the first axis.
    """
    chosen = vectors[rows]
    exact = (chosen if isinstance(chosen, np.ndarray) else chosen.toarray()).astype(np.float64)
    lengths = np.sqrt(np.einsum("nd,nd->n", exact, exact))
    unit: NDArray[np.float64] = exact / np.where(lengths == 0, 1.0, lengths)[:, None]
    return unit


def blocks_of(num_rows: int, size: int) -> list[slice]:
    """Split a number of rows into consecutive slices of a size."""
    return [slice(start, min(start + size, num_rows)) for start in range(0, num_rows, size)]


def cosine_of_pairs(
    queries: Vectors, references: Vectors, pairs: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Compute the exact cosines of pairs, rounded to `TIE_DECIMALS`.

    Args:
        queries: Embeddings of the queries, (Q, D).
        references: Embeddings of the references, (R, D).
        pairs: Rows of query and reference of each pair, (C, 2).

    Returns:
        The cosines, (C,).
    """
    values = np.empty(len(pairs))
    for block in blocks_of(len(pairs), CANDIDATE_BLOCK):
        left = unit_rows(queries, pairs[block, 0])  # (block, D)
        right = unit_rows(references, pairs[block, 1])
        values[block] = np.einsum("nd,nd->n", left, right)
    return values.round(TIE_DECIMALS)


class NeighborSearch:
    """A search that visits blocks of references and keeps the best reference of each query.

    Fast scores are products with the references minus their mean. That changes all scores of a
    query by the same amount, and keeps float32 precise enough where all embeddings point in nearly
    the same direction.

    Args:
        references: Embeddings of the references, (R, D).
        queries: Embeddings of the queries, (Q, D).

    Attributes:
        score: Best fast score of each query so far, (Q,).
        similarity: Exact cosine of each query's best reference so far, (Q,).
        rows: Row of each query's best reference so far, (Q,); -1 before the first block.
    """

    def __init__(self, references: Vectors, queries: Vectors) -> None:
        self.references = references
        self.queries = queries
        self.score = np.full(queries.shape[0], -np.inf, np.float32)
        self.similarity = np.full(queries.shape[0], -np.inf)
        self.rows = np.full(queries.shape[0], -1, np.int64)
        first = unit_rows(references, blocks_of(references.shape[0], REFERENCE_BLOCK)[0])
        self.center = first.mean(axis=0)  # (D,)

    def visit(self, block: slice) -> None:
        """Compare all queries with one block of references."""
        shifted = unit_rows(self.references, block) - self.center  # (R of the block, D)
        radius = float(np.sqrt(np.einsum("nd,nd->n", shifted, shifted).max()))
        # Several times the rounding error of a float32 sum over D terms.
        slack = np.float32(4 * np.finfo(np.float32).eps * np.sqrt(shifted.shape[1]) * radius)
        transposed = shifted.astype(np.float32).T  # (D, R of the block)
        for part in blocks_of(self.queries.shape[0], QUERY_BLOCK):
            scores = unit_rows(self.queries, part).astype(np.float32) @ transposed  # (Q, R)
            self.score[part] = np.maximum(self.score[part], scores.max(axis=1))
            near = np.argwhere(scores >= self.score[part, None] - slack)  # (C, 2)
            if len(near):
                self.update_best(near + np.array([part.start, block.start]))

    def update_best(self, pairs: NDArray[np.int64]) -> None:
        """Compare candidates by exact cosine, and keep those that beat the best so far.

        Args:
            pairs: Rows of query and reference of each candidate, (C, 2), sorted.
        """
        values = cosine_of_pairs(self.queries, self.references, pairs)  # (C,)
        order = np.lexsort((pairs[:, 1], -values, pairs[:, 0]))
        _, first = np.unique(pairs[order, 0], return_index=True)
        best = order[first]  # the best candidate of each query that has one
        query, value = pairs[best, 0], values[best]
        is_better = value > self.similarity[query]  # strictly: ties stay with the lower row
        self.similarity[query[is_better]] = value[is_better]
        self.rows[query[is_better]] = pairs[best[is_better], 1]


def nearest_neighbors(references: Vectors, queries: Vectors) -> Neighbors:
    """Find the nearest reference of every query by cosine similarity.

    Args:
        references: Embeddings of the references, (R, D), R >= 1.
        queries: Embeddings of the queries, (Q, D).

    Returns:
        Rows and cosines; of equally near references the one with the lowest row.

    Raises:
        SettingsError: There are no references, widths differ, or an embedding holds NaN or
            infinity.
    """
    if references.shape[0] == 0:
        raise SettingsError("no references to search")
    if references.shape[1] != queries.shape[1]:
        raise SettingsError(
            f"references have {references.shape[1]} dimensions, queries {queries.shape[1]}"
        )
    check_finite(references, "reference")
    check_finite(queries, "query")
    search = NeighborSearch(references, queries)
    for block in blocks_of(references.shape[0], REFERENCE_BLOCK):
        search.visit(block)
    return Neighbors(search.rows, search.similarity)
