"""What the neighbours of a query say about its lineage, as numbers a calibration can read.

In: scores of the neighbours, best first, and their taxa as codes. Out: one taxon per rank, and for
each rank how near the winning taxon is, how much nearer than its best rival, and what share of the
neighbourhood it holds. The same functions read cosines and alignment identities. Guarded by
tests/eval/test_evidence.py.

Shapes: Q = queries, K = neighbours, T = ranks, F = features.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


UNKNOWN = -1  # code of a taxon that is not known
EPSILON = 1e-3  # of distances inside logarithms: one base in a thousand


@dataclass(frozen=True)
class RankEvidence:
    """Evidence for the winning taxon of every rank, each (Q, T).

    Attributes:
        best: Highest score of a neighbour of the winning taxon.
        rival: Highest score of a neighbour of another taxon; the lowest score where all agree.
        agreement: Share of the winning taxon among the neighbours, the nearer the heavier.
    """

    best: NDArray[np.float64]
    rival: NDArray[np.float64]
    agreement: NDArray[np.float64]

    def features(self, rank: int) -> NDArray[np.float64]:
        """Turn the evidence at one rank into features, (Q, F)."""
        distance = np.log(np.maximum(1 - self.best[:, rank], 0) + EPSILON)
        rival = np.log(np.maximum(1 - self.rival[:, rank], 0) + EPSILON)
        return np.stack(
            [self.best[:, rank], distance, rival - distance, self.agreement[:, rank]], axis=1
        )


def choose_lineage(codes: NDArray[np.int32], exists: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Choose one taxon per rank: from the top down, the nearest neighbour that fits so far.

    Taking every name from the nearest neighbour that knows it, among those that agree with the
    ranks above, gives a lineage that occurs in the library.

    Args:
        codes: Taxa of the neighbours, nearest first, (Q, K, T); `UNKNOWN` where not known.
        exists: Whether there is such a neighbour, (Q, K).

    Returns:
        Codes of the chosen taxa, (Q, T).
    """
    num_queries, _, num_ranks = codes.shape
    winners = np.full((num_queries, num_ranks), UNKNOWN, np.int64)
    fits = exists.copy()  # (Q, K)
    for rank in range(num_ranks):
        taxa = codes[:, :, rank]
        names = fits & (taxa != UNKNOWN)
        first = names.argmax(axis=1)
        chosen = np.where(names.any(axis=1), taxa[np.arange(num_queries), first], UNKNOWN)
        winners[:, rank] = chosen
        fits &= (taxa == chosen[:, None]) | (taxa == UNKNOWN) | (chosen == UNKNOWN)[:, None]
    return winners


def weigh(
    scores: NDArray[np.float64],
    codes: NDArray[np.int32],
    winners: NDArray[np.int64],
    temperature: float,
) -> RankEvidence:
    """Weigh the neighbours for and against the chosen taxa.

    Args:
        scores: Of the neighbours, (Q, K); minus infinity where there is none; below 0 counts as 0.
        codes: Their taxa, (Q, K, T).
        winners: Chosen taxa, (Q, T).
        temperature: A neighbour whose score is lower by this much counts 1/e as much.
    """
    exists = scores > -np.inf
    scores = np.maximum(scores, 0.0)
    lowest = np.where(exists, scores, 1.0).min(axis=1)  # (Q,)
    top = scores.max(axis=1)
    weights = np.where(exists, np.exp((scores - top[:, None]) / temperature), 0.0)  # (Q, K)
    shape = winners.shape
    best, rival, agreement = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for rank in range(shape[1]):
        is_known = exists & (codes[:, :, rank] != UNKNOWN)
        is_winner = is_known & (codes[:, :, rank] == winners[:, rank, None])
        is_rival = is_known & ~is_winner
        best[:, rank] = np.where(is_winner, scores, 0.0).max(axis=1)
        nearest_rival = np.where(is_rival, scores, 0.0).max(axis=1)
        rival[:, rank] = np.where(is_rival.any(axis=1), nearest_rival, lowest)
        total = (weights * is_known).sum(axis=1)
        agreement[:, rank] = (weights * is_winner).sum(axis=1) / np.where(total == 0, 1.0, total)
    return RankEvidence(best, rival, agreement)
