"""What each record lies among: its nearest records, and the nearest of its own name at each rank.

Embeddings choose the neighbours, letters tell how near they are: site by site in a frame, else by
alignment. In: `Records`. Out: `Neighborhoods`.
Guarded by tests/eval/audit/test_doctor.py.

Shapes: N = records, K = neighbours, T = ranks, P = pairs.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.eval.audit.records import Records
from barcodemae.eval.identify.judge.alignment import align
from barcodemae.eval.identify.judge.ladder import UNKNOWN
from barcodemae.eval.identify.reference.survey import OnProgress
from barcodemae.eval.search.nearest import blocks_of
from barcodemae.eval.search.reference_search import NO_ROW, ExactSearch, unit_length


NUM_NEIGHBORS, NUM_ALIGNED = 24, 8  # in a frame, and where each neighbour costs an alignment
NUM_KIN = 3  # nearest by embedding of the own name, of which the nearest by letters counts
MIN_SHARED = 100  # bp; over a shorter overlap, identity counts less
NO_IDENTITY = -1.0  # of a neighbour that is not there
QUERIES_PER_BLOCK, RANKED_PER_BLOCK = 1024, 128
SHORT_WIDTH = 128  # numbers of a vector's short form
NUM_EXTRA = 24  # rows that short forms choose beyond those that are wanted
MAX_SURVEYED = 4096  # vectors that tell in which directions they differ


class Closeness(NamedTuple):
    """How near pairs of records are.

    Attributes:
        identity: Share of equal letters, 0 to 1, less where few are shared, (P,).
        slow: Share of different letters at the first two positions of codons, (P,); 0 of what is
            aligned.
        fast: Share of different letters at the third, (P,); likewise.
    """

    identity: NDArray[np.float32]
    slow: NDArray[np.float32]
    fast: NDArray[np.float32]


@dataclass(frozen=True)
class Neighborhoods:
    """What each record lies among.

    Attributes:
        rows: Nearest other records, the nearest first, (N, K); -1 is padding.
        identity: Identity with them, (N, K); -1 for padding.
        slow: Share of different letters at the first two positions of codons, (N, K).
        fast: Share of different letters at the third position, (N, K).
        kin: Nearest other record of the same name at each rank, (N, T); -1 where there is none.
        kin_identity: Identity with it, (N, T); -1 where there is none.
    """

    rows: NDArray[np.int64]
    identity: NDArray[np.float32]
    slow: NDArray[np.float32]
    fast: NDArray[np.float32]
    kin: NDArray[np.int64]
    kin_identity: NDArray[np.float32]


def find_neighborhoods(records: Records, report: OnProgress) -> Neighborhoods:
    """Find what each record lies among.

    Args:
        records: Records, N.
        report: Function called with the stage, the number of records done, and their total.
    """
    wanted = NUM_ALIGNED if records.letters is None else NUM_NEIGHBORS
    size = min(wanted, max(len(records) - 1, 1))
    rows = np.full((len(records), size), NO_ROW, np.int64)
    parts = [np.full(rows.shape, NO_IDENTITY, np.float32)]
    parts += [np.zeros(rows.shape, np.float32) for _ in range(2)]
    usable = np.flatnonzero(records.is_usable)
    search = VectorSearch(records.vectors, usable)
    for start in range(0, len(usable), QUERIES_PER_BLOCK):
        queries = usable[start : start + QUERIES_PER_BLOCK]
        found = search.nearest(queries, size + 1)
        found = without_self(found, queries, records.is_usable)
        rows[queries] = found
        query, place = np.nonzero(found != NO_ROW)
        near = compare_pairs(records, queries[query], found[query, place])
        for part, values in zip(parts, near, strict=True):
            part[queries[query], place] = values
        report("compare", start + len(queries), len(usable))
    order = np.argsort(-parts[0], axis=1, kind="stable")
    rows = np.take_along_axis(rows, order, axis=1)
    identity, slow, fast = (np.take_along_axis(part, order, axis=1) for part in parts)
    kin, kin_identity = find_kin(records, rows, identity)
    return Neighborhoods(rows, identity, slow, fast, kin, kin_identity)


class VectorSearch:
    """A search for the nearest vectors: short forms choose some, the vectors rank these.

    Args:
        vectors: Vectors of unit length, (N, D).
        usable: Rows that may be found, at least one.
    """

    def __init__(self, vectors: NDArray[np.float32], usable: NDArray[np.int64]) -> None:
        self.vectors = vectors
        is_short = vectors.shape[1] > SHORT_WIDTH
        self.short = principal_parts(vectors, usable) if is_short else np.asarray(vectors)
        self.search = ExactSearch(self.short)
        self.extra = NUM_EXTRA if is_short else 0

    def nearest(self, queries: NDArray[np.int64], num: int) -> NDArray[np.int64]:
        """Find the nearest rows of some rows, itself among them, (Q,) to (Q, K); -1 is padding."""
        rows = self.search.search(self.short[queries], num + self.extra).rows
        if not self.extra:
            return rows
        cosine = np.full(rows.shape, -np.inf, np.float32)
        for here in blocks_of(len(queries), RANKED_PER_BLOCK):
            near = self.vectors[rows[here]]  # (block, K, D)
            cosine[here] = np.einsum("qkd,qd->qk", near, self.vectors[queries[here]])
        cosine[rows == NO_ROW] = -np.inf
        order = np.argsort(-cosine, axis=1, kind="stable")[:, :num]
        return np.take_along_axis(rows, order, axis=1)


def principal_parts(vectors: NDArray[np.float32], usable: NDArray[np.int64]) -> NDArray[np.float32]:
    """Project vectors on the directions in which they differ most, (N, D) to (N, `SHORT_WIDTH`).

    Args:
        vectors: Vectors, (N, D).
        usable: Rows that count; the others become zero.
    """
    sample = vectors[usable[:: -(-len(usable) // MAX_SURVEYED)]].astype(np.float64)
    center = sample.mean(axis=0)
    _, directions = np.linalg.eigh(np.cov(sample - center, rowvar=False))
    basis = directions[:, -SHORT_WIDTH:].astype(np.float32)  # (D, SHORT_WIDTH)
    short = np.zeros((len(vectors), SHORT_WIDTH), np.float32)
    for here in blocks_of(len(usable), QUERIES_PER_BLOCK):
        rows = usable[here]
        short[rows] = unit_length((vectors[rows] - center.astype(np.float32)) @ basis)
    return short


def without_self(
    rows: NDArray[np.int64], queries: NDArray[np.int64], is_usable: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Leave out each query itself, and records without a vector, (Q, K + 1) to (Q, K)."""
    is_other = (rows != queries[:, None]) & (rows != NO_ROW)
    is_other &= is_usable[np.maximum(rows, 0)]
    order = np.argsort(~is_other, axis=1, kind="stable")
    kept = np.where(is_other, rows, NO_ROW)
    return np.take_along_axis(kept, order, axis=1)[:, :-1]


def compare_pairs(records: Records, left: NDArray[np.int64], right: NDArray[np.int64]) -> Closeness:
    """Compare pairs of records letter by letter.

    Args:
        records: Records.
        left: Rows of one record of each pair, (P,).
        right: Rows of the other, (P,).
    """
    if records.packed is None:
        found = [
            align(records.text_of(a), records.text_of(b))
            for a, b in zip(left.tolist(), right.tolist(), strict=True)
        ]
        identity = np.array([item.identity for item in found], np.float32)
        return Closeness(identity, np.zeros_like(identity), np.zeros_like(identity))
    sites = records.packed.compare(left, right)
    equal = sites.shared - sites.different
    fast_shared = sites.shared - sites.slow_shared
    fast_different = sites.different - sites.slow_different
    shares = (
        equal / np.maximum(sites.shared, MIN_SHARED),
        sites.slow_different / np.maximum(sites.slow_shared, 1),
        fast_different / np.maximum(fast_shared, 1),
    )
    return Closeness(*(share.astype(np.float32) for share in shares))


def find_kin(
    records: Records, rows: NDArray[np.int64], identity: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the nearest record of the same name at each rank.

    Among the neighbours it is the first; where none of them carries the name, all that do are
    searched.

    Args:
        records: Records.
        rows: Neighbours, the nearest first, (N, K).
        identity: Identity with them, (N, K).

    Returns:
        Rows and identities, (N, T) each; -1 where there is none.
    """
    kin = np.full((len(records), len(RANKS)), NO_ROW, np.int64)
    near = np.full(kin.shape, NO_IDENTITY, np.float32)
    for rank in range(len(RANKS)):
        codes = records.codes[:, rank]
        is_same = (rows != NO_ROW) & (codes[rows] == codes[:, None]) & (codes != UNKNOWN)[:, None]
        first = is_same.argmax(axis=1)
        has = is_same.any(axis=1)
        kin[has, rank] = rows[has, first[has]]
        near[has, rank] = identity[has, first[has]]
        searched = np.flatnonzero(~has & (codes != UNKNOWN) & records.is_usable)
        for query, row, value in search_kin(records, codes, searched):
            kin[query, rank], near[query, rank] = row, value
    return kin, near


def search_kin(
    records: Records, codes: NDArray[np.int32], queries: NDArray[np.int64]
) -> list[tuple[int, int, float]]:
    """Search all records of the same name for the nearest of each query.

    Args:
        records: Records.
        codes: Codes of the names, (N,).
        queries: Rows to search for.

    Returns:
        Query, nearest record and identity, for those that have one.
    """
    usable = np.flatnonzero(records.is_usable)
    order = usable[np.argsort(codes[usable], kind="stable")]
    ordered = codes[order]
    pairs: list[NDArray[np.int64]] = []
    for code in np.unique(codes[queries]):
        bounds = np.searchsorted(ordered, [code, code + 1])
        members = order[bounds[0] : bounds[1]]  # (M,)
        if len(members) < 2:
            continue
        mine = queries[codes[queries] == code]
        scores = records.vectors[mine] @ records.vectors[members].T  # (Q, M)
        scores[mine[:, None] == members] = -np.inf
        best = np.argsort(-scores, axis=1, kind="stable")[:, : min(NUM_KIN, len(members) - 1)]
        pairs.append(np.stack([np.repeat(mine, best.shape[1]), members[best.ravel()]], axis=1))
    if not pairs:
        return []
    query, row = np.concatenate(pairs).T
    identity = compare_pairs(records, query, row).identity
    ranked = np.lexsort((row, -identity, query))
    _, first = np.unique(query[ranked], return_index=True)
    chosen = ranked[first]
    return list(
        zip(query[chosen].tolist(), row[chosen].tolist(), identity[chosen].tolist(), strict=True)
    )


__all__ = ["Closeness", "Neighborhoods", "compare_pairs", "find_neighborhoods"]
