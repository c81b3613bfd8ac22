"""The nearest references of every query, exactly: blocked, in memory that does not grow with them.

In: unit vectors of references (R, D), possibly memory-mapped, and queries (Q, D). Out: rows and
cosines, nearest first, ties to the lowest row. A fast product picks candidates: every reference
that may be among the nearest, given by how much the product can be off. The float64 sum of
`nearest.py` decides among them, so block sizes, threads, BLAS and the precision of the product
change nothing. faiss, if asked for, only picks the candidates. Guarded by
tests/eval/search/test_reference_search.py.

Shapes: R = references, Q = queries, D = width, K = neighbours, C = candidates, G = groups.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from barcodemae.errors import SettingsError
from barcodemae.eval.search.nearest import TIE_DECIMALS, blocks_of, check_finite, unit_rows
from barcodemae.eval.search.products import get_ready, largest_error, products


REFERENCE_BLOCK = 16_384
QUERY_BLOCK = 256  # with REFERENCE_BLOCK, a 16 MB score matrix at a time
CANDIDATE_BLOCK = 2048
# More, as where many references are alike, are decided among at once: 80 MB of memory.
MOST_CANDIDATES = 4_000_000
GROUP_SIZE = 16  # references of which the best score alone is looked at first
SPARE = 16  # candidates that faiss is asked for beyond K
NONE = -1  # row of a neighbour that does not exist

# (rows of queries, slice of references) -> whether a reference may not answer a query, (Q, R)
Exclusion = Callable[[NDArray[np.int64], slice], NDArray[np.bool_]]


@dataclass(frozen=True)
class Neighborhood:
    """The nearest references of every query.

    Attributes:
        rows: Rows among the references, nearest first, (Q, K); -1 where there are fewer.
        similarity: Cosines, (Q, K); minus infinity there.
    """

    rows: NDArray[np.int64]
    similarity: NDArray[np.float64]

    def select(self, queries: Any) -> "Neighborhood":
        """Keep some queries."""
        return Neighborhood(self.rows[queries], self.similarity[queries])


class SearchEngine(Protocol):
    """Finds the nearest references."""

    def search(self, queries: NDArray[np.float32], num_neighbors: int) -> Neighborhood:
        """Return the K nearest references of every query, (Q, D) to (Q, K)."""


def unit_length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale vectors (N, D) to length 1; zero stays zero."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    scaled: NDArray[np.float64] = vectors / np.where(lengths == 0, 1.0, lengths)[:, None]
    return scaled.astype(np.float32)


@dataclass(frozen=True)
class Candidates:
    """References that may be among the nearest: query, row and fast cosine of each, (C,)."""

    queries: NDArray[np.int64]
    rows: NDArray[np.int64]
    scores: NDArray[np.float32]

    @classmethod
    def above(
        cls,
        scores: NDArray[np.float32],
        highest: NDArray[np.float32],
        least: NDArray[np.float32],
    ) -> Self:
        """Find the scores that reach what their query asks for.

        Args:
            scores: By group, (Q, GROUP_SIZE, G).
            highest: Of each group, (Q, G); groups that do not reach it are not looked at.
            least: What is asked for, (Q,).
        """
        query, group = np.nonzero(highest >= least[:, None])
        members = scores[query, :, group]  # (_, GROUP_SIZE)
        found, place = np.nonzero(members >= least[query, None])
        rows = place * highest.shape[1] + group[found]
        return cls(query[found], rows, members[found, place])

    @classmethod
    def of_all(cls, parts: Sequence[Self]) -> Self:
        """Put candidates together."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    @classmethod
    def decided(cls, nearest: Neighborhood) -> Self:
        """Candidates that are the nearest so far, and stay candidates whatever is asked for."""
        query, place = np.nonzero(nearest.rows != NONE)
        rows = nearest.rows[query, place]
        return cls(query, rows, np.full(len(rows), np.inf, np.float32))

    def by_query(self, least: NDArray[np.float32]) -> list[NDArray[np.int64]]:
        """Rows of every query whose scores reach what it asks for, (Q,)."""
        keep = self.scores >= least[self.queries]
        queries = self.queries[keep]
        ends = np.bincount(queries, minlength=len(least)).cumsum()
        return np.split(self.rows[keep][queries.argsort(kind="stable")], ends[:-1])


class ExactSearch:
    """Exact search by blocked matrix products.

    Args:
        references: Unit vectors (R, D), R >= 1; a memory map is read block by block.
        excluded: Which references may not answer which query; none by default.
    """

    def __init__(self, references: NDArray[np.float32], excluded: Exclusion | None = None) -> None:
        if references.shape[0] == 0:
            raise SettingsError("no references to search")
        get_ready(references.size)
        self.references = np.asarray(references)  # every look at a part of a `memmap` costs more
        self.excluded = excluded

    def search(self, queries: NDArray[np.float32], num_neighbors: int) -> Neighborhood:
        """Return the K nearest references of every query, (Q, D) to (Q, K).

        Raises:
            SettingsError: Widths differ, NaN or infinity.
        """
        if self.references.shape[1] != queries.shape[1]:
            raise SettingsError(
                f"references have {self.references.shape[1]} dimensions, queries {queries.shape[1]}"
            )
        check_finite(queries, "query")
        queries = unit_length(queries)
        found = []
        for block in blocks_of(len(queries), QUERY_BLOCK):
            which = np.arange(block.start, block.stop)
            candidates = self._candidates(queries, which, num_neighbors)
            found.append(decide(self.references, queries[block], candidates, num_neighbors))
        if not found:
            return Neighborhood(
                np.empty((0, num_neighbors), np.int64), np.empty((0, num_neighbors))
            )
        return Neighborhood(
            np.concatenate([part.rows for part in found]),
            np.concatenate([part.similarity for part in found]),
        )

    def _scores(
        self, queries: NDArray[np.float32], which: NDArray[np.int64], block: slice
    ) -> NDArray[np.float32]:
        """Fast cosines of some queries with a block of references, (Q, block)."""
        scores = products(queries[which], np.ascontiguousarray(self.references[block]))
        if self.excluded is not None:
            scores[self.excluded(which, block)] = -np.inf
        return scores

    def _candidates(
        self, queries: NDArray[np.float32], which: NDArray[np.int64], num_neighbors: int
    ) -> list[NDArray[np.int64]]:
        """Every reference that may be among the K nearest of some queries, by query."""
        error = largest_error(self.references.shape[1])
        # The best of as many groups: K references are at least as near as the last of them.
        best = np.full((len(which), num_neighbors), -np.inf, np.float32)  # (Q, K)
        least = np.empty(len(which), np.float32)  # (Q,)
        parts = []
        for block in blocks_of(self.references.shape[0], REFERENCE_BLOCK):
            scores = self._scores(queries, which, block)
            spare = -scores.shape[1] % GROUP_SIZE
            if spare:
                scores = np.pad(scores, ((0, 0), (0, spare)), constant_values=-np.inf)
            scores = scores.reshape(len(which), GROUP_SIZE, -1)  # (Q, GROUP_SIZE, G)
            highest = scores.max(axis=1)  # (Q, G)
            best = largest(np.concatenate([best, highest], axis=1), num_neighbors)
            # Both scores may be off; what is excluded is below every finite number.
            least = np.maximum(best.min(axis=1) - 2 * error, np.finfo(np.float32).min)
            found = Candidates.above(scores, highest, least)
            parts.append(dataclasses.replace(found, rows=found.rows + block.start))
            if sum(len(part.rows) for part in parts) > MOST_CANDIDATES:
                near = Candidates.of_all(parts).by_query(least)
                nearest = decide(self.references, queries[which], near, num_neighbors)
                parts = [Candidates.decided(nearest)]
        return Candidates.of_all(parts).by_query(least)


def largest(scores: NDArray[np.float32], limit: int) -> NDArray[np.float32]:
    """Return the highest scores in no order, (Q, _) to (Q, limit)."""
    return np.partition(scores, -limit, axis=1)[:, -limit:]


def decide(
    references: NDArray[np.float32],
    queries: NDArray[np.float32],
    candidates: Sequence[NDArray[np.int64]],
    num_neighbors: int,
) -> Neighborhood:
    """Order candidates by exact cosines and keep the best.

    Args:
        references: (R, D).
        queries: (Q, D).
        candidates: Rows of references, for each query.
        num_neighbors: K.
    """
    rows = np.full((len(queries), num_neighbors), NONE)
    similarity = np.full(rows.shape, -np.inf)
    for query, unit in enumerate(unit_rows(queries, slice(None))):
        near = candidates[query]
        exact = np.empty(len(near))
        for block in blocks_of(len(near), CANDIDATE_BLOCK):
            exact[block] = np.einsum("cd,d->c", unit_rows(references, near[block]), unit)
        exact = exact.round(TIE_DECIMALS)
        order = np.lexsort((near, -exact))[:num_neighbors]
        rows[query, : len(order)], similarity[query, : len(order)] = near[order], exact[order]
    return Neighborhood(rows, similarity)


def import_faiss() -> Any:
    """Import faiss.

    Raises:
        SettingsError: It is not installed; says how to install it.
    """
    try:
        import faiss  # an extra
    except ImportError as error:
        raise SettingsError(
            "the engine faiss is not installed: pip install 'barcodemae[faiss]', "
            "or use --engine exact"
        ) from error
    return faiss


FLAT_BELOW = 20_000  # references; an inverted file needs enough of them to learn its cells
LEARNED_PER_CELL, ROUNDS = 50, 10  # of k-means; more costs minutes with millions of references
PROBED_SHARE = 16  # of the cells, one in so many is searched


def build_faiss(references: NDArray[np.float32]) -> Any:
    """Build an inverted file of 8-bit vectors, in which candidates are found without a full scan.

    Args:
        references: Unit vectors (R, D).
    """
    faiss = import_faiss()
    num_references, width = references.shape
    if num_references < FLAT_BELOW:
        index = faiss.IndexFlatIP(width)
    else:
        num_cells = int(2 * np.sqrt(num_references))
        index = faiss.index_factory(width, f"IVF{num_cells},SQ8", faiss.METRIC_INNER_PRODUCT)
        index.cp.niter = ROUNDS
        step = max(num_references // (LEARNED_PER_CELL * num_cells), 1)
        index.train(np.ascontiguousarray(references[::step]))
        index.nprobe = max(num_cells // PROBED_SHARE, 1)
    for block in blocks_of(num_references, REFERENCE_BLOCK):
        index.add(np.ascontiguousarray(references[block]))
    return index


class FaissSearch:
    """Candidates from a faiss index, ordered by exact cosines.

    Args:
        references: Unit vectors (R, D).
        index: As `build_faiss` makes it.
    """

    def __init__(self, references: NDArray[np.float32], index: Any) -> None:
        self.references = references
        self.index = index

    def search(self, queries: NDArray[np.float32], num_neighbors: int) -> Neighborhood:
        """Return K near references of every query; a true neighbour may be missed."""
        check_finite(queries, "query")
        queries = unit_length(queries)
        _, rows = self.index.search(queries, num_neighbors + SPARE)
        candidates = [near[near >= 0].astype(np.int64) for near in rows]
        return decide(self.references, queries, candidates, num_neighbors)
