"""Scores of one method on one set of queries, and curves over its threshold.

In: `Predictions` and the truth. Out: numbers for the results file, by name; what cannot be said of
the set (no query of a new taxon, no confidences) is left out.
Guarded by tests/benchmarks/test_worlds.py.

Shapes: Q = queries, T = ranks.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.judge.evidence import UNKNOWN
from barcodemae.eval.identify.scores import Predictions, Truth, percent, score_rank


SCORED_RANKS = ("phylum", "class", "order", "family", "genus", "species")
NOVELTY_COLUMN = {"species": 0, "genus": 1, "family": 2}  # of `Predictions.novelty`
LEVELS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.999)
IDENTITIES = (*range(70, 90, 2), *range(90, 101))  # percent


def levels_of(found: Predictions) -> NDArray[np.float64]:
    """Return the highest threshold at which each name is still given, (Q, T).

    That is the lowest confidence from the top down to its rank, as no name is given below a rank
    that fails; ranks without a name fail nothing. For a method with cut-offs it is the identity.
    """
    if np.isnan(found.confidence).all():
        return np.repeat(-found.novelty[:, :1], found.names.shape[1], axis=1)
    confidence = np.where(found.names == UNKNOWN, np.inf, found.confidence)
    lowest: NDArray[np.float64] = np.minimum.accumulate(confidence, axis=1)
    return lowest


def at_threshold(found: Predictions, threshold: float) -> Predictions:
    """Assign the names whose confidence, and that of the names above, reaches a threshold."""
    is_assigned = (levels_of(found) >= threshold) & (found.names != UNKNOWN)
    return replace(found, is_assigned=is_assigned)


def score(found: Predictions, truth: Truth) -> dict[str, float]:
    """Score the names of a method.

    Returns:
        `any_name`: percentage of queries with a name at any rank; and for each rank RANK, beside
        what `score_rank` returns, `RANK_named`: percentage of queries that are given a name there;
        `RANK_novelty_auroc`: how well new taxa are told from known ones, in percent.
    """
    scores = {"any_name": percent(found.is_assigned.any(axis=1))}
    for rank in SCORED_RANKS:
        column = RANKS.index(rank)
        scores[f"{rank}_named"] = percent(found.is_assigned[:, column])
        of_rank = score_rank(found, truth, column)
        scores |= {f"{rank}_{name}": value for name, value in of_rank.items()}
        if rank in NOVELTY_COLUMN:
            scores[f"{rank}_novelty_auroc"] = novelty_auroc(found, truth, rank)
    return {name: value for name, value in scores.items() if not np.isnan(value)}


def named_by_taxon(
    found: Predictions, truth: Truth, rank: str, names: Sequence[str | None]
) -> float:
    """Return how many queries of new taxa are given a name, percent, each taxon counting once.

    It is NaN if there are none. Of queries alone, a single large taxon beside a near relative can
    be most of the percentage.

    Args:
        found: Predictions of a method.
        truth: True taxa of the same queries.
        rank: Rank of the new taxa.
        names: True names of the queries at this rank, Q.
    """
    column = RANKS.index(rank)
    by_taxon: dict[str | None, list[bool]] = {}
    for row in np.flatnonzero(truth.is_new(column)).tolist():
        by_taxon.setdefault(names[row], []).append(bool(found.is_assigned[row, column]))
    shares = [float(np.mean(given)) for given in by_taxon.values()]
    return 100 * float(np.mean(shares)) if shares else float("nan")


def novelty_auroc(found: Predictions, truth: Truth, rank: str) -> float:
    """Return the AUROC of novelty at a rank in percent; NaN if all or no queries are new."""
    column = RANKS.index(rank)
    used = truth.is_named[:, column]
    is_new = truth.is_new(column)[used]
    if is_new.all() or not is_new.any():
        return float("nan")
    novelty = found.novelty[used, NOVELTY_COLUMN[rank]]
    return 100 * float(roc_auc_score(is_new, novelty))


def curve(found: Predictions, truth: Truth, rank: str) -> list[dict[str, float]]:
    """Score the names of a rank at many thresholds.

    Returns:
        For each threshold the percentages `over` (given a name, of queries whose taxon the
        references lack), `under` and `wrong` (given none or a wrong one, of the others).
    """
    thresholds: Sequence[float] = IDENTITIES if np.isnan(found.confidence).all() else LEVELS
    points = []
    for threshold in thresholds:
        scores = score_rank(at_threshold(found, threshold), truth, RANKS.index(rank))
        points.append(
            {
                "threshold": float(threshold),
                "over": scores["over_classified"],
                "under": scores["under_classified"],
                "wrong": scores["named_wrong"],
            }
        )
    return points
