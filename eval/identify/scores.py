"""Quality scores of identifications: accuracy, over- and under-classification, novelty detection.

In: predicted taxa with confidences, from any method, and the true taxa. Out: percentages, expected
calibration error, AUROC of novelty; all methods are scored by these definitions.
Guarded by tests/eval/identify/test_scores.py.

Shapes: Q = queries, T = ranks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.judge.calibration import calibration_error, reliability
from barcodemae.eval.identify.judge.ladder import UNKNOWN


NOVELTY_RANKS = ("species", "genus", "family")


@dataclass(frozen=True)
class Predictions:
    """Taxa that a method predicts for queries.

    Attributes:
        names: Codes of the predicted taxa, assigned or not, (Q, T); -1 for none.
        is_assigned: Whether the method assigns that name at its own threshold, (Q, T).
        confidence: Confidence in each predicted taxon, (Q, T); NaN if the method has none.
        novelty: Scores, higher for queries that look new at the ranks of `NOVELTY_RANKS`, in their
            order, (Q, 2) or (Q, 3).
    """

    names: NDArray[np.int64]
    is_assigned: NDArray[np.bool_]
    confidence: NDArray[np.float64]
    novelty: NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """True taxa of queries.

    Attributes:
        names: Codes of the true taxa, (Q, T); -1 for a taxon that the library lacks.
        is_named: Whether the true taxon is known at all, (Q, T).
    """

    names: NDArray[np.int64]
    is_named: NDArray[np.bool_]

    def is_new(self, rank: int) -> NDArray[np.bool_]:
        """Tell which queries have a known taxon that is not in the library, (Q,)."""
        is_new: NDArray[np.bool_] = self.is_named[:, rank] & (self.names[:, rank] == UNKNOWN)
        return is_new


def percent(part: NDArray[np.bool_]) -> float:
    """Return the percentage of true values; NaN if there are no values."""
    return 100 * float(part.mean()) if len(part) else float("nan")


def score_rank(found: Predictions, truth: Truth, rank: int) -> dict[str, float]:
    """Score the predictions at one rank.

    Args:
        found: Predictions of a method.
        truth: True taxa of the same queries.
        rank: Index of the rank in `RANKS`.

    Returns:
        Percentages, but for the last:
        `accuracy`: assigned the right name, or rightly none because the library lacks the taxon.
        `named_right`, `named_wrong`, `under_classified`: assigned the right, a wrong, no name, of
        queries whose taxon the library has.
        `over_classified`: assigned a name, of queries whose taxon the library lacks.
        `best_guess`: right without any threshold, of queries whose taxon the library has.
        `calibration_error`: expected calibration error, 0 to 1; NaN without confidences.
    """
    known = truth.is_named[:, rank] & ~truth.is_new(rank)  # (Q,), like all below
    new = truth.is_new(rank)
    is_right = (found.names[:, rank] == truth.names[:, rank]) & known
    assigned = found.is_assigned[:, rank]
    decidable = known | new
    confidence = found.confidence[:, rank]
    rated = decidable & ~np.isnan(confidence)
    error = float("nan")
    if rated.any():
        error = calibration_error(reliability(confidence[rated], is_right[rated]))
    return {
        "accuracy": percent(np.where(new, ~assigned, assigned & is_right)[decidable]),
        "named_right": percent((assigned & is_right)[known]),
        "named_wrong": percent((assigned & ~is_right)[known]),
        "under_classified": percent(~assigned[known]),
        "over_classified": percent(assigned[new]),
        "best_guess": percent(is_right[known]),
        "calibration_error": error,
    }


def score_thresholds(
    found: Predictions, truth: Truth, thresholds: Sequence[float]
) -> dict[str, float]:
    """Score species names at several confidence thresholds, in percent.

    Args:
        found: Predictions of a method.
        truth: True taxa of the same queries.
        thresholds: Lowest confidences at which a name is assigned.

    Returns:
        For each threshold T `species_accuracy_at_T`, and `species_wrong_of_named_at_T`: the
        percentage of wrong names among those assigned; NaN if none is.
    """
    species = RANKS.index("species")
    scores = {}
    for threshold in thresholds:
        # A rank below one that fails is not assigned either.
        fails = found.confidence < threshold  # (Q, T); a comparison with NaN is false
        is_assigned = ~np.logical_or.accumulate(fails, axis=1) & (found.names != UNKNOWN)
        at_threshold = replace(found, is_assigned=is_assigned)
        assigned = is_assigned[:, species] & truth.is_named[:, species]  # (Q,)
        is_wrong = (found.names[:, species] != truth.names[:, species])[assigned]
        accuracy = score_rank(at_threshold, truth, species)["accuracy"]
        scores[f"species_accuracy_at_{threshold}"] = accuracy
        scores[f"species_wrong_of_named_at_{threshold}"] = percent(is_wrong)
    return scores


def score_novelty(found: Predictions, truth: Truth, rank: str) -> float:
    """Return the AUROC of novelty detection in percent; NaN if all or no queries are new.

    Args:
        found: Predictions of a method.
        truth: True taxa of the same queries.
        rank: One of `NOVELTY_RANKS`.
    """
    column = RANKS.index(rank)
    used = truth.is_named[:, column]  # (Q,)
    is_new = truth.is_new(column)[used]
    if is_new.all() or not is_new.any():
        return float("nan")
    score = found.novelty[used, NOVELTY_RANKS.index(rank)]
    return 100 * float(roc_auc_score(is_new, score))
