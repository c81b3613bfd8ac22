"""Ties: references with the same letters over the query's window, but other names.

In: a comparison with neighbours, and their taxa. Out: for each query down to which rank the best
references agree, and which names they carry. A name that nearly all of them carry stands; else the
deepest rank that they share is named, and all their names are told.
Guarded by tests/eval/identify/judge/test_ties.py.

Shapes: K = neighbours, T = ranks, W = sites of the frame.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.judge.ladder import UNKNOWN


MAJORITY = 0.9  # share of the tied references that has to carry a name
SAME = 1e-9  # difference of identity or coverage


@dataclass(frozen=True)
class Tie:
    """What the best references of one query, alike over its letters, are named.

    Attributes:
        depth: Number of ranks, from the top, at which their names do not contradict each other.
        winners: Codes of the names that most of them carry, (T,).
        species: Codes of all their species, each once, the most frequent first.
    """

    depth: int
    winners: NDArray[np.int64]
    species: list[int]

    @property
    def is_conflict(self) -> bool:
        """Whether they carry more than one species name."""
        return len(self.species) > 1


def find_tie(tied: NDArray[np.int32], winners: NDArray[np.int64]) -> Tie:
    """Compare the names of tied references.

    Args:
        tied: Codes of the taxa of the references that are tied, the best first, (tied, T).
        winners: Codes of the winning taxa so far, (T,).
    """
    winners = winners.copy()
    if len(tied) < 2:
        return Tie(len(RANKS), winners, [code for code in tied[:, -1].tolist() if code != UNKNOWN])
    species = most_frequent_first(tied[:, -1])
    for rank in range(len(RANKS)):
        names = most_frequent_first(tied[:, rank])
        if len(names) < 2:
            continue
        count = int((tied[:, rank] == names[0]).sum())
        if count < MAJORITY * int((tied[:, rank] != UNKNOWN).sum()):
            return Tie(rank, winners, species)
        winners[rank] = names[0]
        tied = tied[(tied[:, rank] == names[0]) | (tied[:, rank] == UNKNOWN)]
    return Tie(len(RANKS), winners, species)


def most_frequent_first(codes: NDArray[np.int32]) -> list[int]:
    """List the known codes, each once, the most frequent first, ties in their order."""
    known, counts = np.unique(codes[codes != UNKNOWN], return_counts=True)
    return [int(known[place]) for place in np.argsort(-counts, kind="stable")]


def tied_by_score(
    identity: NDArray[np.float64], coverage: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Tell which neighbours agree with the query exactly as well as the best, (K,)."""
    is_tied: NDArray[np.bool_] = (
        (np.abs(identity - identity[0]) < SAME)
        & (np.abs(coverage - coverage[0]) < SAME)
        & (identity >= 0)
    )
    return is_tied


def same_letters(
    query: NDArray[np.uint8], references: NDArray[np.uint8], no_base: int
) -> NDArray[np.bool_]:
    """Tell which references have the letters of the first over the query's window, (K,).

    Args:
        query: Letter codes of the query, (W,).
        references: Letter codes of the neighbours, best first, (K, W).
        no_base: Code of an unknown letter.
    """
    window = (query < no_base) & (references[0] < no_base)
    rest = references[:, window]
    is_same: NDArray[np.bool_] = ((rest == rest[0]) | (rest == no_base)).all(axis=1)
    return is_same
