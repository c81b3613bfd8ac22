"""The nearest references of every query, exactly: blocked, in memory that does not grow with them.

In: unit vectors of references (R, D), possibly memory-mapped, and queries (Q, D). Out: rows and
cosines, nearest first, ties to the lowest row. A float32 product picks candidates; the float64 sum
of `nearest.py` decides among them, so block sizes, threads and BLAS change nothing. Where ties may
reach beyond the candidates, that query is searched again without a limit. faiss, if asked for,
only picks the candidates. Guarded by tests/eval/test_reference_search.py.

Shapes: R = references, Q = queries, D = width, K = neighbours, C = candidates.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from barcodemae.errors import SettingsError
from barcodemae.eval.cpu_layers import NOTHING
from barcodemae.eval.nearest import TIE_DECIMALS, blocks_of, check_finite, unit_rows


REFERENCE_BLOCK = 16_384
QUERY_BLOCK = 256  # with REFERENCE_BLOCK, a 16 MB score matrix at a time
CANDIDATE_BLOCK = 2048
GROUP_SIZE = 16  # references of which the best score alone is looked at first
SPARE = 16  # candidates beyond K, so that float32 rounding rarely matters
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


def products(queries: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
    """Multiply float32 vectors (Q, D) and (R, D) to (Q, R).

    By oneDNN where torch has it: on processors for which the library behind `@` was not written,
    that is more than twice as fast.
    """
    if not torch.backends.mkldnn.is_available():
        return queries @ references.T
    multiplied: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
        queries, references, None, *NOTHING
    )
    return multiplied


def find_highest(scores: torch.Tensor, limit: int) -> torch.Tensor:
    """Return the columns of the highest scores in no order, (Q, R) to (Q, limit), or all columns.

    The highest scores lie in the groups of columns with the highest maxima, so of most groups only
    the maximum is looked at. Of equal scores any is taken.
    """
    num_columns = scores.shape[1]
    num_groups = num_columns // GROUP_SIZE
    if num_groups <= limit:
        return scores.topk(min(limit, num_columns), dim=1).indices
    grouped = scores[:, : GROUP_SIZE * num_groups].unflatten(1, (GROUP_SIZE, num_groups))
    groups = highest_columns(grouped.amax(1), limit)  # (Q, limit)
    members = (groups[:, :, None] + num_groups * torch.arange(GROUP_SIZE)).flatten(1)
    rest = torch.arange(GROUP_SIZE * num_groups, num_columns).expand(len(scores), -1)
    members = torch.cat([members, rest], dim=1)
    return members.gather(1, highest_columns(scores.gather(1, members), limit))


def highest_columns(scores: torch.Tensor, limit: int) -> torch.Tensor:
    """Return the columns of the highest scores in no order, (Q, R) to (Q, limit), limit < R.

    By NumPy, whose partition is several times faster than torch's topk.
    """
    return torch.from_numpy(np.argpartition(scores.numpy(), -limit, axis=1)[:, -limit:])


class ExactSearch:
    """Exact search by blocked matrix products.

    Args:
        references: Unit vectors (R, D), R >= 1; a memory map is read block by block.
        excluded: Which references may not answer which query; none by default.
    """

    def __init__(self, references: NDArray[np.float32], excluded: Exclusion | None = None) -> None:
        if references.shape[0] == 0:
            raise SettingsError("no references to search")
        self.references = np.asarray(references)  # every look at a part of a `memmap` costs more
        self.excluded = excluded
        # Several times the rounding error of a float32 sum of D products of unit vectors.
        self.slack = 4 * float(np.finfo(np.float32).eps) * np.sqrt(references.shape[1])

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
        found = [
            self._search_block(queries, np.arange(block.start, block.stop), num_neighbors)
            for block in blocks_of(len(queries), QUERY_BLOCK)
        ]
        if not found:
            return Neighborhood(
                np.empty((0, num_neighbors), np.int64), np.empty((0, num_neighbors))
            )
        return Neighborhood(
            np.concatenate([part.rows for part in found]),
            np.concatenate([part.similarity for part in found]),
        )

    def _search_block(
        self, queries: NDArray[np.float32], which: NDArray[np.int64], num_neighbors: int
    ) -> Neighborhood:
        score, rows = self._candidates(queries, which, num_neighbors + SPARE)  # (Q, C) each
        is_filled = rows[:, -1] >= 0
        # Exact cosines differ less than this; what is farther off is no neighbour.
        rows[score < score[:, num_neighbors - 1 : num_neighbors] - 2 * self.slack] = NONE
        found = decide(self.references, queries[which], rows, num_neighbors)
        # A reference left out scored at most what the last candidate did.
        in_doubt = score[:, -1] >= found.similarity[:, -1] - self.slack
        for place in np.flatnonzero(in_doubt & is_filled):
            threshold = found.similarity[place, -1] - self.slack
            near = self._all_above(queries, which[place : place + 1], threshold)[None]
            again = decide(self.references, queries[which[place : place + 1]], near, num_neighbors)
            found.rows[place], found.similarity[place] = again.rows[0], again.similarity[0]
        return found

    def _scores(
        self, queries: NDArray[np.float32], which: NDArray[np.int64], block: slice
    ) -> torch.Tensor:
        """Fast cosines of some queries with a block of references, (Q, block)."""
        part = torch.from_numpy(np.ascontiguousarray(self.references[block]))
        scores = products(torch.from_numpy(queries[which]), part)
        if self.excluded is not None:
            scores.masked_fill_(torch.from_numpy(self.excluded(which, block)), -torch.inf)
        return scores

    def _candidates(
        self, queries: NDArray[np.float32], which: NDArray[np.int64], limit: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Best references by fast cosines, best first: scores and rows, (Q, limit)."""
        best = torch.full((len(which), limit), -torch.inf)
        rows = torch.full((len(which), limit), NONE)
        for block in blocks_of(self.references.shape[0], REFERENCE_BLOCK):
            scores = self._scores(queries, which, block)
            highest = find_highest(scores, limit)
            best, order = torch.cat([best, scores.gather(1, highest)], dim=1).topk(limit, dim=1)
            rows = torch.cat([rows, highest + block.start], dim=1).gather(1, order)
        rows[best == -torch.inf] = NONE
        return best.numpy(), rows.numpy()

    def _all_above(
        self, queries: NDArray[np.float32], which: NDArray[np.int64], threshold: float
    ) -> NDArray[np.int64]:
        """Every reference whose fast cosine with one query reaches a threshold."""
        return np.concatenate(
            [
                np.flatnonzero(self._scores(queries, which, block)[0].numpy() >= threshold)
                + block.start
                for block in blocks_of(self.references.shape[0], REFERENCE_BLOCK)
            ]
        )


def decide(
    references: NDArray[np.float32],
    queries: NDArray[np.float32],
    candidates: NDArray[np.int64],
    num_neighbors: int,
) -> Neighborhood:
    """Order candidates by exact cosines and keep the best.

    Args:
        references: (R, D).
        queries: (Q, D).
        candidates: Rows of references, (Q, C); -1 for none.
        num_neighbors: K.
    """
    exact = np.full(candidates.shape, -np.inf)
    for query, unit in enumerate(unit_rows(queries, slice(None))):
        places = np.flatnonzero(candidates[query] >= 0)
        for block in blocks_of(len(places), CANDIDATE_BLOCK):
            near = unit_rows(references, candidates[query, places[block]])  # (C, D)
            exact[query, places[block]] = np.einsum("cd,d->c", near, unit).round(TIE_DECIMALS)
    order = np.lexsort((candidates, -exact), axis=1)[:, :num_neighbors]
    rows = np.take_along_axis(candidates, order, axis=1)
    similarity = np.take_along_axis(exact, order, axis=1)
    missing = num_neighbors - rows.shape[1]
    rows = np.pad(rows, ((0, 0), (0, missing)), constant_values=NONE)
    similarity = np.pad(similarity, ((0, 0), (0, missing)), constant_values=-np.inf)
    return Neighborhood(rows, np.where(rows < 0, -np.inf, similarity))


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
        return decide(self.references, queries, rows.astype(np.int64), num_neighbors)
