"""Exact search for the K nearest references by cosine, block by block in constant memory.

In: embeddings of unit length of references (R, D), possibly memory-mapped, and of queries (Q, D).
Out: rows and cosines, nearest first, ties to the lowest row. A fast product finds the candidates:
every reference that may be among the nearest, given the error of the product, from rounding and
from short forms of the vectors (`compressed.py`). The float64 sum of `nearest.py` ranks them, so
block sizes, threads, BLAS, short forms and the precision of the product change no result. faiss, if
it is chosen, only replaces the search for candidates.
Guarded by tests/eval/search/test_reference_search.py.

Shapes: R = references, Q = queries, D = embedding width, K = neighbours, C = candidates,
G = groups of references.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from barcodemae.errors import SettingsError
from barcodemae.eval.search.compressed import CompressedVectors
from barcodemae.eval.search.nearest import TIE_DECIMALS, blocks_of, check_finite, unit_rows
from barcodemae.eval.search.products import dot_products, error_bound, import_torch_for


REFERENCE_BLOCK = 16_384
QUERY_BLOCK = 256  # with REFERENCE_BLOCK, 16 MB of scores at a time
CANDIDATE_BLOCK = 2048
# Where many references are alike, candidates pile up; at this number (80 MB) they are ranked early.
MAX_CANDIDATES = 4_000_000
GROUP_SIZE = 16  # references of which only the best score is compared at first
EXTRA_CANDIDATES = 16  # candidates requested from faiss beyond K
NO_ROW = -1  # padding among the rows of neighbours

# (rows of queries, slice of references) -> whether a query must not find a reference, (Q, R)
Exclusion = Callable[[NDArray[np.int64], slice], NDArray[np.bool_]]


@dataclass(frozen=True)
class Neighborhood:
    """The K nearest references of every query.

    Attributes:
        rows: Rows of the references, nearest first, (Q, K); -1 is padding.
        similarity: Cosine similarities to them, (Q, K); minus infinity for padding.
    """

    rows: NDArray[np.int64]
    similarity: NDArray[np.float64]

    def select(self, queries: Any) -> "Neighborhood":
        """Return the neighbours of some queries."""
        return Neighborhood(self.rows[queries], self.similarity[queries])


class SearchEngine(Protocol):
    """Anything that finds the nearest references of queries."""

    def search(self, queries: NDArray[np.float32], num_neighbors: int) -> Neighborhood:
        """Find the K nearest references of every query, (Q, D) to (Q, K)."""


def unit_length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale vectors (N, D) to length 1; zero stays zero."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    scaled: NDArray[np.float64] = vectors / np.where(lengths == 0, 1.0, lengths)[:, None]
    return scaled.astype(np.float32)


@dataclass(frozen=True)
class Candidates:
    """References that may be among the nearest of a query.

    Attributes:
        queries: Query of each candidate, (C,).
        rows: Row of each candidate among the references, (C,).
        scores: Fast cosine of each candidate, (C,); infinite for those that are ranked already.
    """

    queries: NDArray[np.int64]
    rows: NDArray[np.int64]
    scores: NDArray[np.float32]

    @classmethod
    def above(
        cls,
        scores: NDArray[np.float32],
        highest: NDArray[np.float32],
        threshold: NDArray[np.float32],
    ) -> Self:
        """Find the references whose scores reach the threshold of the query.

        Args:
            scores: Fast cosines with the references of a block, by group, (Q, GROUP_SIZE, G).
            highest: Highest score of each group, (Q, G); other groups need no second look.
            threshold: Lowest score of a candidate of each query, (Q,).
        """
        query, group = np.nonzero(highest >= threshold[:, None])
        members = scores[query, :, group]  # (groups that reach it, GROUP_SIZE)
        found, place = np.nonzero(members >= threshold[query, None])  # (C,)
        rows = place * highest.shape[1] + group[found]  # (C,), within the block
        return cls(query[found], rows, members[found, place])

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Concatenate candidates."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    @classmethod
    def from_ranked(cls, nearest: Neighborhood) -> Self:
        """Make candidates of the nearest references so far; they pass every threshold."""
        query, place = np.nonzero(nearest.rows != NO_ROW)
        rows = nearest.rows[query, place]
        return cls(query, rows, np.full(len(rows), np.inf, np.float32))

    def rows_by_query(self, threshold: NDArray[np.float32]) -> list[NDArray[np.int64]]:
        """Group the rows of the candidates that reach the threshold (Q,) by query, Q arrays."""
        keep = self.scores >= threshold[self.queries]
        queries = self.queries[keep]
        ends = np.bincount(queries, minlength=len(threshold)).cumsum()  # (Q,)
        return np.split(self.rows[keep][queries.argsort(kind="stable")], ends[:-1])


class ExactSearch:
    """Exact search by matrix products, block by block.

    Args:
        references: Embeddings of unit length, (R, D), R >= 1; a memory map is read by blocks.
        excluded: Function that tells which references a query must not find; None for none.
        scanned: Short forms of the references, in which candidates are searched; None to search in
            the references themselves. They change no result.

    Raises:
        SettingsError: There are no references.
    """

    def __init__(
        self,
        references: NDArray[np.float32],
        excluded: Exclusion | None = None,
        scanned: CompressedVectors | None = None,
    ) -> None:
        if references.shape[0] == 0:
            raise SettingsError("no references to search")
        import_torch_for(references.size)
        self.references = np.asarray(references)  # indexing a `memmap` itself is slower
        self.excluded = excluded
        self.scanned = scanned

    def search(self, queries: NDArray[np.float32], num_neighbors: int) -> Neighborhood:
        """Find the K nearest references of every query, (Q, D) to (Q, K).

        Raises:
            SettingsError: Widths differ, or a query holds NaN or infinity.
        """
        if self.references.shape[1] != queries.shape[1]:
            raise SettingsError(
                f"references have {self.references.shape[1]} dimensions, queries {queries.shape[1]}"
            )
        check_finite(queries, "query")
        queries = unit_length(queries)
        found = []
        for block in blocks_of(len(queries), QUERY_BLOCK):
            query_rows = np.arange(block.start, block.stop)
            candidates = self._candidates(queries, query_rows, num_neighbors)
            found.append(
                rank_candidates(self.references, queries[block], candidates, num_neighbors)
            )
        if not found:
            return Neighborhood(
                np.empty((0, num_neighbors), np.int64), np.empty((0, num_neighbors))
            )
        return Neighborhood(
            np.concatenate([part.rows for part in found]),
            np.concatenate([part.similarity for part in found]),
        )

    def _scores(
        self, queries: NDArray[np.float32], query_rows: NDArray[np.int64], block: slice
    ) -> NDArray[np.float32]:
        """Compute fast cosines of some queries with a block of references, (Q, block)."""
        part = (
            np.ascontiguousarray(self.references[block])
            if self.scanned is None
            else self.scanned.block(block)
        )
        scores = dot_products(queries[query_rows], part)
        if self.excluded is not None:
            scores[self.excluded(query_rows, block)] = -np.inf
        return scores

    def _error(self) -> float:
        """Return a bound on the error of a fast cosine."""
        short = 0.0 if self.scanned is None else self.scanned.error
        # A short form may be longer than 1 by its distance from the reference.
        return error_bound(self.references.shape[1]) * (1 + short) + short

    def _candidates(
        self, queries: NDArray[np.float32], query_rows: NDArray[np.int64], num_neighbors: int
    ) -> list[NDArray[np.int64]]:
        """Find every reference that may be among the K nearest of some queries.

        Args:
            queries: Embeddings of all queries, of unit length.
            query_rows: Rows of the queries to search for, (Q,).
            num_neighbors: K.

        Returns:
            Rows of the candidates of each query, Q arrays.
        """
        error = self._error()
        # The K best groups hold at least K references that reach the lowest of these scores.
        best = np.full((len(query_rows), num_neighbors), -np.inf, np.float32)  # (Q, K)
        threshold = np.empty(len(query_rows), np.float32)  # (Q,)
        parts = []
        for block in blocks_of(self.references.shape[0], REFERENCE_BLOCK):
            # Score the block, in groups of references.
            scores = self._scores(queries, query_rows, block)  # (Q, block)
            padding = -scores.shape[1] % GROUP_SIZE
            if padding:
                scores = np.pad(scores, ((0, 0), (0, padding)), constant_values=-np.inf)
            scores = scores.reshape(len(query_rows), GROUP_SIZE, -1)  # (Q, GROUP_SIZE, G)
            highest = scores.max(axis=1)  # (Q, G)
            best = top_scores(np.concatenate([best, highest], axis=1), num_neighbors)
            # The error applies to both scores compared. What is excluded stays below.
            threshold = np.maximum(best.min(axis=1) - 2 * error, np.finfo(np.float32).min)
            found = Candidates.above(scores, highest, threshold)
            parts.append(dataclasses.replace(found, rows=found.rows + block.start))
            # Rank early if there are too many to keep.
            if sum(len(part.rows) for part in parts) > MAX_CANDIDATES:
                near = Candidates.concatenate(parts).rows_by_query(threshold)
                nearest = rank_candidates(self.references, queries[query_rows], near, num_neighbors)
                parts = [Candidates.from_ranked(nearest)]
        return Candidates.concatenate(parts).rows_by_query(threshold)


def top_scores(scores: NDArray[np.float32], limit: int) -> NDArray[np.float32]:
    """Return the highest scores of each query in no particular order, (Q, S) to (Q, limit)."""
    return np.partition(scores, -limit, axis=1)[:, -limit:]


def rank_candidates(
    references: NDArray[np.float32],
    queries: NDArray[np.float32],
    candidates: Sequence[NDArray[np.int64]],
    num_neighbors: int,
) -> Neighborhood:
    """Rank candidates by exact cosines and keep the K nearest, ties by row.

    Args:
        references: Embeddings of the references, (R, D).
        queries: Embeddings of the queries, (Q, D).
        candidates: Rows of each query's candidates, Q arrays.
        num_neighbors: K.
    """
    rows = np.full((len(queries), num_neighbors), NO_ROW)  # (Q, K)
    similarity = np.full(rows.shape, -np.inf)
    for query, unit in enumerate(unit_rows(queries, slice(None))):
        near = candidates[query]
        exact = np.empty(len(near))  # (C,)
        for block in blocks_of(len(near), CANDIDATE_BLOCK):
            exact[block] = np.einsum("cd,d->c", unit_rows(references, near[block]), unit)
        exact = exact.round(TIE_DECIMALS)
        order = np.lexsort((near, -exact))[:num_neighbors]
        rows[query, : len(order)], similarity[query, : len(order)] = near[order], exact[order]
    return Neighborhood(rows, similarity)


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


FLAT_BELOW = 20_000  # references; with fewer, an inverted file has too few to train its cells on
# Of k-means; more of either costs minutes with millions of references.
TRAINED_PER_CELL, KMEANS_ITERATIONS = 50, 10
CELLS_PER_PROBE = 16  # one of every 16 cells is searched


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
