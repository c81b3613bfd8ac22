"""Exact search for the K nearest references by cosine, block by block in constant memory.

In: embeddings of unit length of references (R, D), possibly memory-mapped, and of queries (Q, D).
Out: rows and cosines, nearest first, ties to the lowest row. A fast product finds the candidates:
every reference that may be among the nearest, given the error of the product, from rounding and
from short forms of the vectors (`compressed.py`). The float64 sum of `nearest.py` ranks them, so
block sizes, threads, BLAS, short forms and the precision of the product change no result.
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

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Concatenate the neighbours of several lots of queries."""
        rows = np.concatenate([part.rows for part in parts])
        return cls(rows, np.concatenate([part.similarity for part in parts]))


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


class CandidatePool:
    """Candidates of some queries, gathered block of references by block.

    Args:
        references: Embeddings of all references, (R, D).
        queries: Embeddings of the queries, (Q, D).
        num_neighbors: K.
        error: Bound on the error of a fast cosine.
    """

    def __init__(
        self,
        references: NDArray[np.float32],
        queries: NDArray[np.float32],
        num_neighbors: int,
        error: float,
    ) -> None:
        self.references, self.queries = references, queries
        self.num_neighbors, self.error = num_neighbors, error
        # The K best groups hold at least K references that reach the lowest of these scores.
        self.best = np.full((len(queries), num_neighbors), -np.inf, np.float32)  # (Q, K)
        self.threshold = np.empty(len(queries), np.float32)  # (Q,)
        self.parts: list[Candidates] = []

    def add(self, scores: NDArray[np.float32], first: int) -> None:
        """Take what may be among the nearest of a block.

        Args:
            scores: Fast cosines with the references of the block, (Q, block); minus infinity for
                what a query must not find.
            first: Row of the block's first reference.
        """
        padding = -scores.shape[1] % GROUP_SIZE
        if padding:
            scores = np.pad(scores, ((0, 0), (0, padding)), constant_values=-np.inf)
        scores = scores.reshape(len(scores), GROUP_SIZE, -1)  # (Q, GROUP_SIZE, G)
        highest = scores.max(axis=1)  # (Q, G)
        self.best = top_scores(np.concatenate([self.best, highest], axis=1), self.num_neighbors)
        # The error applies to both scores compared. What is excluded stays below.
        lowest = self.best.min(axis=1) - 2 * self.error
        self.threshold = np.maximum(lowest, np.finfo(np.float32).min)
        found = Candidates.above(scores, highest, self.threshold)
        self.parts.append(dataclasses.replace(found, rows=found.rows + first))
        # Rank early if there are too many to keep.
        if sum(len(part.rows) for part in self.parts) > MAX_CANDIDATES:
            self.parts = [Candidates.from_ranked(self.ranked())]

    def ranked(self) -> Neighborhood:
        """Rank the candidates so far by exact cosines, (Q, K)."""
        near = Candidates.concatenate(self.parts).rows_by_query(self.threshold)
        return rank_candidates(self.references, self.queries, near, self.num_neighbors)


@dataclass(frozen=True)
class Task:
    """A search for some of the queries.

    Attributes:
        rows: Rows of these queries, rising, (E,).
        excluded: Function that tells which references a query must not find, given rows of all
            queries; None for none.
    """

    rows: NDArray[np.int64]
    excluded: Exclusion | None = None

    def within(self, block: slice) -> NDArray[np.int64]:
        """Return the rows of its queries that are in a block of all queries."""
        first, stop = np.searchsorted(self.rows, [block.start, block.stop])
        return self.rows[first:stop]


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
        task = Task(np.arange(len(queries)), self.excluded)
        return self.search_each(queries, num_neighbors, [task])[0]

    def search_each(
        self, queries: NDArray[np.float32], num_neighbors: int, tasks: Sequence[Task]
    ) -> list[Neighborhood]:
        """Search several times; the products, which take most of the time, are computed once.

        Args:
            queries: Embeddings of all queries, (Q, D).
            num_neighbors: K.
            tasks: Searches, each for some of the queries.

        Returns:
            For each task the K nearest references of its queries, (E, K).

        Raises:
            SettingsError: Widths differ, or a query holds NaN or infinity.
        """
        if self.references.shape[1] != queries.shape[1]:
            raise SettingsError(
                f"references have {self.references.shape[1]} dimensions, queries {queries.shape[1]}"
            )
        check_finite(queries, "query")
        queries = unit_length(queries)
        found = [[no_neighbors(num_neighbors)] for _ in tasks]
        for block in blocks_of(len(queries), QUERY_BLOCK):
            parts = self._search_block(queries, block, num_neighbors, tasks)
            for neighborhoods, part in zip(found, parts, strict=True):
                neighborhoods.append(part)
        return [Neighborhood.concatenate(parts) for parts in found]

    def _search_block(
        self,
        queries: NDArray[np.float32],
        query_block: slice,
        num_neighbors: int,
        tasks: Sequence[Task],
    ) -> list[Neighborhood]:
        """Find the K nearest references of a block of queries, for each task."""
        error = self._error()
        rows_of_task = [task.within(query_block) for task in tasks]
        pools = [
            CandidatePool(self.references, queries[rows], num_neighbors, error)
            for rows in rows_of_task
        ]
        for block in blocks_of(self.references.shape[0], REFERENCE_BLOCK):
            scores = self._scores(queries[query_block], block)  # (block of Q, block)
            for task, rows, pool in zip(tasks, rows_of_task, pools, strict=True):
                if not len(rows):
                    continue
                is_last_use = len(tasks) == 1 and len(rows) == len(scores)
                own = scores if is_last_use else scores[rows - query_block.start]  # a copy
                if task.excluded is not None:
                    own[task.excluded(rows, block)] = -np.inf
                pool.add(own, block.start)
        return [
            pool.ranked() if len(rows) else no_neighbors(num_neighbors)
            for rows, pool in zip(rows_of_task, pools, strict=True)
        ]

    def _scores(self, queries: NDArray[np.float32], block: slice) -> NDArray[np.float32]:
        """Compute fast cosines of some queries with a block of references, (Q, block)."""
        part = (
            np.ascontiguousarray(self.references[block])
            if self.scanned is None
            else self.scanned.block(block)
        )
        return dot_products(queries, part)

    def _error(self) -> float:
        """Return a bound on the error of a fast cosine."""
        short = 0.0 if self.scanned is None else self.scanned.error
        # A short form may be longer than 1 by its distance from the reference.
        return error_bound(self.references.shape[1]) * (1 + short) + short


def no_neighbors(num_neighbors: int) -> Neighborhood:
    """Return the neighbours of no query, (0, K)."""
    return Neighborhood(np.empty((0, num_neighbors), np.int64), np.empty((0, num_neighbors)))


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
