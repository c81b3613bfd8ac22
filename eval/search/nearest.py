"""Exact nearest neighbours by cosine: blocked, the same on every machine, ties to the lowest row.

In: references (R, D) and queries (Q, D), dense or SciPy sparse. Out: for every query the row of
its nearest reference. A fast float32 product finds the candidates; a float64 sum, which does not
depend on block size, thread count or BLAS, decides among them. Guarded by
tests/eval/search/test_nearest.py, whose oracle is `KNeighborsClassifier(1, metric="cosine")`.

Shapes: R = references, Q = queries, D = width, C = candidates.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped]

from barcodemae.errors import SettingsError


Vectors = Any  # NDArray[floating] (N, D) or scipy.sparse.csr_array of that shape
QUERY_BLOCK = 512
REFERENCE_BLOCK = 16_384  # with QUERY_BLOCK, a 32 MB score matrix at a time
CANDIDATE_BLOCK = 16_384
TIE_DECIMALS = 12  # cosines that agree to this many decimals are a tie


@dataclass(frozen=True)
class Neighbors:
    """The nearest reference of every query.

    Attributes:
        rows: Row among the references, (Q,).
        similarity: Cosine similarity, (Q,).
    """

    rows: NDArray[np.int64]
    similarity: NDArray[np.float64]


def check_finite(vectors: Vectors, what: str) -> None:
    """Refuse NaN and infinity.

    Raises:
        SettingsError: Names how many rows are affected and the first.
    """
    if sparse.issparse(vectors):
        return  # counts
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise SettingsError(
            f"{len(bad)} of {len(vectors)} {what} embeddings hold NaN or infinity (first: row "
            f"{bad[0]}); the weights are damaged or the dtype is too small"
        )


def unit_rows(vectors: Vectors, rows: Any) -> NDArray[np.float64]:
    """Take some rows and divide each by its length; zero stays zero, as in scikit-learn."""
    chosen = vectors[rows]
    exact = (chosen.toarray() if sparse.issparse(chosen) else chosen).astype(np.float64)
    lengths = np.sqrt(np.einsum("nd,nd->n", exact, exact))
    unit: NDArray[np.float64] = exact / np.where(lengths == 0, 1.0, lengths)[:, None]
    return unit


def blocks_of(num_rows: int, size: int) -> list[slice]:
    """Cut rows into consecutive slices."""
    return [slice(start, min(start + size, num_rows)) for start in range(0, num_rows, size)]


def cosine_of_pairs(
    queries: Vectors, references: Vectors, pairs: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Cosine of (query, reference) pairs, (C, 2) to (C,), rounded to `TIE_DECIMALS`."""
    values = np.empty(len(pairs))
    for block in blocks_of(len(pairs), CANDIDATE_BLOCK):
        left = unit_rows(queries, pairs[block, 0])
        right = unit_rows(references, pairs[block, 1])
        values[block] = np.einsum("nd,nd->n", left, right)
    return values.round(TIE_DECIMALS)


class NeighborSearch:
    """The best reference of each query so far, while blocks of references go by.

    Scores are taken against the references minus their mean: that shifts all scores of a query
    alike, and keeps float32 exact enough where all embeddings point the same way.
    """

    def __init__(self, references: Vectors, queries: Vectors) -> None:
        self.references = references
        self.queries = queries
        self.score = np.full(queries.shape[0], -np.inf, np.float32)  # fast, (Q,)
        self.similarity = np.full(queries.shape[0], -np.inf)  # exact, (Q,)
        self.rows = np.full(queries.shape[0], -1, np.int64)
        first = unit_rows(references, blocks_of(references.shape[0], REFERENCE_BLOCK)[0])
        self.center = first.mean(axis=0)  # (D,)

    def visit(self, block: slice) -> None:
        """Compare all queries with one block of references."""
        shifted = unit_rows(self.references, block) - self.center  # (R, D)
        radius = float(np.sqrt(np.einsum("nd,nd->n", shifted, shifted).max()))
        # Several times the rounding error of a float32 sum over D terms.
        slack = np.float32(4 * np.finfo(np.float32).eps * np.sqrt(shifted.shape[1]) * radius)
        fast = shifted.astype(np.float32).T
        for part in blocks_of(self.queries.shape[0], QUERY_BLOCK):
            scores = unit_rows(self.queries, part).astype(np.float32) @ fast  # (Q, R)
            self.score[part] = np.maximum(self.score[part], scores.max(axis=1))
            near = np.argwhere(scores >= self.score[part, None] - slack)  # (C, 2)
            if len(near):
                self.decide(near + np.array([part.start, block.start]))

    def decide(self, pairs: NDArray[np.int64]) -> None:
        """Let exact cosines choose among candidates, (C, 2) sorted by query, then reference."""
        values = cosine_of_pairs(self.queries, self.references, pairs)  # (C,)
        order = np.lexsort((pairs[:, 1], -values, pairs[:, 0]))
        _, first = np.unique(pairs[order, 0], return_index=True)
        best = order[first]
        query, value = pairs[best, 0], values[best]
        is_better = value > self.similarity[query]  # strictly: ties stay with the lower row
        self.similarity[query[is_better]] = value[is_better]
        self.rows[query[is_better]] = pairs[best[is_better], 1]


def nearest_neighbors(references: Vectors, queries: Vectors) -> Neighbors:
    """Find the nearest reference of every query by cosine similarity.

    Args:
        references: (R, D), R >= 1.
        queries: (Q, D).

    Returns:
        Rows and similarities; of equally near references the lowest row.

    Raises:
        SettingsError: No references, widths that differ, NaN or infinity.
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
