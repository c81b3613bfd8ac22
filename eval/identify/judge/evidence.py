"""Evidence for the lineage of a query, computed from its neighbours and read by the calibration.

In: a comparison with neighbours, their taxa as codes, and the cosines among the neighbours
themselves. Out: the winning lineage, and one row of features. How near the winning taxon of every
rank is, how much nearer than its best rival; and how that compares with the *local scale*: how far
apart the neighbours of one taxon, and of different taxa, are from each other. A distance that
separates genera of midges may lie within one species of butterflies.
Guarded by tests/eval/identify/judge/test_evidence.py.

Shapes: Q = queries, K = neighbours, T = ranks, F = features.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.judge.comparison import Comparison
from barcodemae.eval.identify.judge.ladder import UNKNOWN
from barcodemae.eval.search.reference_search import NO_ROW


EPSILON = 1e-3  # added to distances before logarithms; about one base in a thousand
COSINE_TEMPERATURE = 0.02  # a reference whose cosine is lower by this weighs 1/e as much
IDENTITY_TEMPERATURE = 0.01  # a reference with one percent less identity weighs 1/e as much
FIRST_SCALED = RANKS.index("order")  # local scales and sizes of taxa are measured from here down
SPREAD_PLACE = 5  # the fifth best reference tells how crowded the neighbourhood is
# Rank whose taxa are counted as the parts of a taxon: subfamilies are known of few.
CHILD_RANK = [
    RANKS.index(n) for n in ("class", "order", "family", *["genus"] * 2, *["species"] * 2)
]
DECIMALS = 6  # of the features, so that they are the same on every machine


@dataclass(frozen=True)
class TaxonSizes:
    """How many references and how many sub-taxa each taxon of a library has.

    Attributes:
        references: For each rank, number of references of each taxon; the last is 0, T arrays.
        children: For each rank, number of parts of each taxon, see `CHILD_RANK`; likewise.
    """

    references: list[NDArray[np.int64]]
    children: list[NDArray[np.int64]]

    @classmethod
    def of(cls, codes: NDArray[np.int32]) -> "TaxonSizes":
        """Count the references of a library by the codes of their taxa, (R, T)."""
        references, children = [], []
        for rank in range(codes.shape[1]):
            size = int(codes[:, rank].max(initial=UNKNOWN)) + 2
            references.append(np.append(np.bincount(codes[:, rank] + 1, minlength=size)[1:], 0))
            # Pairs of a taxon and a part of it, each as one number: rows take far longer to sort.
            below = codes[:, CHILD_RANK[rank]] + 1
            num_below = int(below.max(initial=0)) + 1
            pairs = np.unique((codes[:, rank].astype(np.int64) + 1) * num_below + below)
            children.append(np.append(np.bincount(pairs // num_below, minlength=size)[1:], 0))
        return cls(references, children)


@dataclass(frozen=True)
class Evidence:
    """Winning lineages of queries and the evidence for them.

    Attributes:
        winners: Codes of the winning taxa, (Q, T).
        features: Features, (Q, F); NaN where something could not be measured.
        agreement: Share of the winning taxon among the neighbours, nearer ones weighted more,
            (Q, T), 0 to 1.
    """

    winners: NDArray[np.int64]
    features: NDArray[np.float64]
    agreement: NDArray[np.float64]


def choose_lineage(codes: NDArray[np.int32], scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Choose the lineage of the best reference; what it leaves open at its end, the next best fill.

    A rank that the best reference skips stays unknown. Ranks below its deepest name come from the
    best reference that shares this name.

    Args:
        codes: Codes of the neighbours' taxa, best first, (Q, K, T); `UNKNOWN` where not known.
        scores: Their scores, (Q, K); minus infinity for padding.

    Returns:
        Codes of the winning taxa, (Q, T).
    """
    winners = codes[:, 0].astype(np.int64)  # (Q, T)
    num_ranks = codes.shape[2]
    exists = scores > -np.inf
    for query in np.flatnonzero(winners[:, -1] == UNKNOWN):
        known = np.flatnonzero(winners[query] != UNKNOWN)
        deepest = int(known[-1]) if len(known) else -1
        shares = exists[query].copy()  # (K,)
        if deepest >= 0:
            shares &= codes[query, :, deepest] == winners[query, deepest]
        for rank in range(deepest + 1, num_ranks):
            fits = shares & (codes[query, :, rank] != UNKNOWN)
            if fits.any():
                winners[query, rank] = codes[query, fits.argmax(), rank]
                shares &= codes[query, :, rank] == winners[query, rank]
    return winners


def gather_evidence(
    compared: Comparison,
    codes: NDArray[np.int32],
    vectors: NDArray[np.float32],
    sizes: TaxonSizes,
    lengths: NDArray[np.int64],
    is_allowed: NDArray[np.bool_] | None = None,
) -> Evidence:
    """Choose the winning lineages and describe how near they and their rivals are.

    Args:
        compared: Comparison with the neighbours, best first, (Q, K).
        codes: Codes of all references' taxa, (R, T).
        vectors: Embeddings of all references, of unit length, (R, D).
        sizes: Sizes of the library's taxa.
        lengths: Number of known letters of each query, (Q,).
        is_allowed: Which references may name a query, (R,); the others, which come last among the
            neighbours, only give distances a scale. None for all.
    """
    exists = compared.rows != NO_ROW
    near = np.where(exists[:, :, None], codes[compared.rows], UNKNOWN)  # (Q, K, T)
    may_name = exists if is_allowed is None else exists & is_allowed[compared.rows]  # (Q, K)
    winners = choose_lineage(
        np.where(may_name[:, :, None], near, UNKNOWN), np.where(may_name, compared.score, -np.inf)
    )
    members = vectors[compared.rows]  # (Q, K, D)
    among = np.matmul(members, members.transpose(0, 2, 1))  # (Q, K, K)
    columns = list(whole_features(compared, lengths))
    agreement = np.zeros(winners.shape)
    for rank in range(len(RANKS)):
        taxa = near[:, :, rank]  # (Q, K)
        is_winner = (taxa == winners[:, rank, None]) & (taxa != UNKNOWN)
        is_rival = (taxa != UNKNOWN) & ~is_winner
        num_named = (taxa != UNKNOWN).sum(axis=1)  # (Q,)
        columns += nearness(compared, is_winner & may_name, is_rival & may_name, num_named)
        agreement[:, rank] = columns[-2]
        if rank >= FIRST_SCALED:
            is_part = near[:, :, None, CHILD_RANK[rank]] != near[:, None, :, CHILD_RANK[rank]]
            if CHILD_RANK[rank] == rank:  # the members of a species are its parts
                is_part = ~np.eye(near.shape[1], dtype=bool)[None]
            columns += local_scale(compared, among, is_winner, is_rival, is_part, may_name)
            columns.append(np.log1p(sizes.references[rank][winners[:, rank]]))
            columns.append(np.log1p(sizes.children[rank][winners[:, rank]]))
    return Evidence(winners, np.stack(columns, axis=1).round(DECIMALS), agreement)


def log_distance(similarity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithm of a distance, which is finite for equal sequences; NaN stays NaN."""
    distances: NDArray[np.float64] = np.log(np.maximum(1 - similarity, 0) + EPSILON)
    return distances


def highest(values: NDArray[np.float64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the highest of the chosen values of each query, -1 where none is chosen, (Q,)."""
    found: NDArray[np.float64] = np.where(chosen, np.maximum(values, -1.0), -1.0).max(axis=1)
    return found


def whole_features(
    compared: Comparison, lengths: NDArray[np.int64]
) -> Iterator[NDArray[np.float64]]:
    """Yield the features that concern no rank: length, and how near the nearest are, (Q,) each."""
    exists = compared.rows != NO_ROW
    ordered = np.sort(np.where(compared.is_compared, compared.identity, -1.0), axis=1)  # (Q, K)
    yield np.log(np.maximum(lengths, 1))
    yield log_distance(compared.identity[:, 0])
    yield log_distance(highest(compared.cosine, exists))
    yield compared.transversions[:, 0]
    yield compared.conserved[:, 0]
    yield compared.coverage[:, 0]
    yield np.log1p(compared.gaps[:, 0])
    yield log_distance(ordered[:, -min(SPREAD_PLACE, ordered.shape[1])])
    yield log_distance(np.where(exists, compared.cosine, 1.0).min(axis=1))


def nearness(
    compared: Comparison,
    is_winner: NDArray[np.bool_],
    is_rival: NDArray[np.bool_],
    num_named: NDArray[np.int64],
) -> list[NDArray[np.float64]]:
    """Compare the winning taxon of one rank with its rivals, by letters and by embeddings.

    Args:
        compared: Comparison with the neighbours, (Q, K).
        is_winner: Neighbours of the winning taxon, (Q, K).
        is_rival: Neighbours of another taxon, (Q, K).
        num_named: Number of neighbours that have a taxon of the rank at all, (Q,).

    Returns:
        Nearness of the winner, of its best rival, and their margin; the margin of cosines; the
        winner's share of the neighbours by cosine, by identity, and unweighted, (Q,) each. Without
        a rival, the farthest neighbour stands for it: a rival would be farther still.
    """
    exists, is_compared = compared.rows != NO_ROW, compared.is_compared
    farthest = np.where(is_compared, compared.score, 1.0).min(axis=1)
    best = highest(compared.score, is_winner & is_compared)
    rival = np.where(
        (is_rival & is_compared).any(axis=1),
        highest(compared.score, is_rival & is_compared),
        farthest,
    )
    farthest = np.where(exists, compared.cosine, 1.0).min(axis=1)
    best_cosine = highest(compared.cosine, is_winner)
    rival_cosine = np.where(is_rival.any(axis=1), highest(compared.cosine, is_rival), farthest)
    named = is_winner | is_rival
    return [
        log_distance(best),
        log_distance(rival),
        log_distance(rival) - log_distance(best),
        log_distance(rival_cosine) - log_distance(best_cosine),
        weighted_share(compared.cosine, COSINE_TEMPERATURE, is_winner, named),
        weighted_share(compared.score, IDENTITY_TEMPERATURE, is_winner, named & is_compared),
        is_winner.sum(axis=1) / np.maximum(num_named, 1),
    ]


def weighted_share(
    scores: NDArray[np.float64],
    temperature: float,
    chosen: NDArray[np.bool_],
    among: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return the share of the chosen neighbours, nearer ones weighted more, (Q,).

    Args:
        scores: Scores of the neighbours, (Q, K).
        temperature: Difference of scores that divides the weight by e.
        chosen: Neighbours whose share is wanted, (Q, K).
        among: Neighbours that count at all, (Q, K).
    """
    known = np.where(among, scores, -np.inf)
    top = np.where(among.any(axis=1), known.max(axis=1), 0.0)[:, None]
    weights = np.where(among, np.exp((known - top) / temperature), 0.0)
    share: NDArray[np.float64] = (weights * chosen).sum(axis=1) / np.maximum(
        weights.sum(axis=1), EPSILON
    )
    return share


def local_scale(
    compared: Comparison,
    among: NDArray[np.float32],
    is_winner: NDArray[np.bool_],
    is_rival: NDArray[np.bool_],
    is_part: NDArray[np.bool_],
    may_name: NDArray[np.bool_],
) -> list[NDArray[np.float64]]:
    """Measure how far apart the neighbours are from each other, within and between taxa.

    Args:
        compared: Comparison with the neighbours, (Q, K).
        among: Cosines among the neighbours, (Q, K, K).
        is_winner: Neighbours of the winning taxon, (Q, K).
        is_rival: Neighbours of another taxon, (Q, K).
        is_part: Whether two neighbours belong to different parts of a taxon, (Q, K, K).
        may_name: Neighbours that may name the query, from which its own distance is, (Q, K).

    Returns:
        Mean and nearest distance between members of different parts of the winner; nearest distance
        between the winner and a rival; the query's distance relative to the first and to the third;
        number of the winner's neighbours, (Q,) each; NaN where there are none.
    """
    pairs = is_winner[:, :, None] & is_winner[:, None, :] & is_part  # (Q, K, K)
    count = pairs.sum(axis=(1, 2))
    across = is_winner[:, :, None] & is_rival[:, None, :]
    none = np.full(len(count), np.nan)
    total = (among * pairs).sum(axis=(1, 2), dtype=np.float64)
    mean = np.where(count > 0, total / np.maximum(count, 1), none)
    closest = np.where(count > 0, np.where(pairs, among, -1.0).max(axis=(1, 2)), none)
    between = np.where(
        across.any(axis=(1, 2)), np.where(across, among, -1.0).max(axis=(1, 2)), none
    )
    mine = log_distance(highest(compared.cosine, is_winner & may_name))
    within, apart = log_distance(mean), log_distance(between)
    num_members = is_winner.sum(axis=1).astype(np.float64)
    return [within, log_distance(closest), apart, mine - within, mine - apart, num_members]
