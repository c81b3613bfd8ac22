"""Evidence for the lineage of a query, computed from its neighbours and read by the calibration.

In: scores of the neighbours, best first, and their taxa as codes. Out: the winning taxon of each
rank; how near it is, how much nearer than its best rival, and its share of the neighbours. Scores
are cosines or alignment identities. Guarded by tests/eval/identify/judge/test_evidence.py.

Shapes: Q = queries, K = neighbours, T = ranks, F = features.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


UNKNOWN = -1  # code of an unknown taxon
EPSILON = 1e-3  # added to distances before logarithms; about one base in a thousand


@dataclass(frozen=True)
class RankEvidence:
    """Evidence for the winning taxon of every rank.

    Attributes:
        best: Highest score of a neighbour of the winning taxon, (Q, T).
        rival: Highest score of a neighbour of another taxon, (Q, T); the lowest score of all
            neighbours where there is no other taxon.
        agreement: Share of the winning taxon among the neighbours, nearer ones weighted more,
            (Q, T), 0 to 1.
    """

    best: NDArray[np.float64]
    rival: NDArray[np.float64]
    agreement: NDArray[np.float64]

    def features(self, rank: int) -> NDArray[np.float64]:
        """Return the features of one rank: nearness, log distance, margin, agreement, (Q, F)."""
        distance = np.log(np.maximum(1 - self.best[:, rank], 0) + EPSILON)
        rival = np.log(np.maximum(1 - self.rival[:, rank], 0) + EPSILON)
        return np.stack(
            [self.best[:, rank], distance, rival - distance, self.agreement[:, rank]], axis=1
        )


def choose_lineage(codes: NDArray[np.int32], exists: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Choose the taxon of each rank from the top down, so that the lineage exists in the library.

    The taxon of a rank is that of the nearest neighbour which has one there and agrees with the
    taxa chosen at the ranks above.

    Args:
        codes: Codes of the neighbours' taxa, nearest first, (Q, K, T); `UNKNOWN` where not known.
        exists: Whether there is such a neighbour, (Q, K); False for padding.

    Returns:
        Codes of the winning taxa, (Q, T); `UNKNOWN` where no neighbour has a name.
    """
    num_queries, _, num_ranks = codes.shape
    winners = np.full((num_queries, num_ranks), UNKNOWN, np.int64)
    is_consistent = exists.copy()  # (Q, K), with the taxa chosen so far
    for rank in range(num_ranks):
        taxa = codes[:, :, rank]  # (Q, K)
        is_eligible = is_consistent & (taxa != UNKNOWN)
        first = is_eligible.argmax(axis=1)  # (Q,)
        chosen = np.where(is_eligible.any(axis=1), taxa[np.arange(num_queries), first], UNKNOWN)
        winners[:, rank] = chosen
        is_consistent &= (
            (taxa == chosen[:, None]) | (taxa == UNKNOWN) | (chosen == UNKNOWN)[:, None]
        )
    return winners


def weigh(
    scores: NDArray[np.float64],
    codes: NDArray[np.int32],
    winners: NDArray[np.int64],
    temperature: float,
) -> RankEvidence:
    """Weigh the neighbours for and against the winning taxa.

    Args:
        scores: Scores of the neighbours, (Q, K); minus infinity for padding; negative scores count
            as 0.
        codes: Codes of the neighbours' taxa, (Q, K, T).
        winners: Codes of the winning taxa, (Q, T).
        temperature: Score difference that reduces the weight of a neighbour by the factor e.
    """
    exists = scores > -np.inf
    scores = np.maximum(scores, 0.0)
    lowest = np.where(exists, scores, 1.0).min(axis=1)  # (Q,)
    top = scores.max(axis=1)  # (Q,)
    weights = np.where(exists, np.exp((scores - top[:, None]) / temperature), 0.0)  # (Q, K)
    shape = winners.shape
    best, rival, agreement = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for rank in range(shape[1]):
        is_known = exists & (codes[:, :, rank] != UNKNOWN)  # (Q, K)
        is_winner = is_known & (codes[:, :, rank] == winners[:, rank, None])
        is_rival = is_known & ~is_winner
        best[:, rank] = np.where(is_winner, scores, 0.0).max(axis=1)  # (Q,)
        nearest_rival = np.where(is_rival, scores, 0.0).max(axis=1)
        rival[:, rank] = np.where(is_rival.any(axis=1), nearest_rival, lowest)
        total = (weights * is_known).sum(axis=1)
        agreement[:, rank] = (weights * is_winner).sum(axis=1) / np.where(total == 0, 1.0, total)
    return RankEvidence(best, rival, agreement)
