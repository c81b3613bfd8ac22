"""How good identifications are: right, wrong, too deep, too shallow, and aware of what is new.

In: taxa and confidences from any method, the truth, and what the library holds. Out: shares in
percent, calibration error, AUROC of novelty. One definition for all methods. Guarded by
tests/eval/test_identification_scores.py.

Shapes: Q = queries, T = ranks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.judge.calibration import calibration_error, reliability
from barcodemae.eval.identify.judge.evidence import UNKNOWN


@dataclass(frozen=True)
class Predictions:
    """What a method says about queries.

    Attributes:
        names: Code of the taxon it believes in, given or not, (Q, T); -1 for none.
        is_given: Whether it gives that name at its own threshold, (Q, T).
        confidence: Of the names, (Q, T); NaN where the method has none.
        novelty: How much each query looks like a new species and a new genus, (Q, 2).
    """

    names: NDArray[np.int64]
    is_given: NDArray[np.bool_]
    confidence: NDArray[np.float64]
    novelty: NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """What is true of queries.

    Attributes:
        names: Code of the true taxon, (Q, T); -1 for one that the library lacks.
        is_named: Whether the true taxon is known, (Q, T).
    """

    names: NDArray[np.int64]
    is_named: NDArray[np.bool_]

    def is_new(self, rank: int) -> NDArray[np.bool_]:
        """Whether the true taxon is known and not in the library, (Q,)."""
        is_new: NDArray[np.bool_] = self.is_named[:, rank] & (self.names[:, rank] == UNKNOWN)
        return is_new


def percent(part: NDArray[np.bool_]) -> float:
    """Share of true values; NaN of none."""
    return 100 * float(part.mean()) if len(part) else float("nan")


def score_rank(found: Predictions, truth: Truth, rank: int) -> dict[str, float]:
    """Score one rank, in percent.

    Returns:
        `accuracy`: named rightly, or rightly not named because the library lacks the taxon.
        `named_right`, `named_wrong`, `under_classified`: of queries whose taxon the library has.
        `over_classified`: named although the library lacks the taxon, of such queries.
        `best_guess`: right without any threshold, of queries whose taxon the library has.
        `calibration_error`: not in percent; NaN for methods without confidences.
    """
    known = truth.is_named[:, rank] & ~truth.is_new(rank)
    new = truth.is_new(rank)
    is_right = (found.names[:, rank] == truth.names[:, rank]) & known
    given = found.is_given[:, rank]
    decided = known | new
    confidence = found.confidence[:, rank]
    rated = decided & ~np.isnan(confidence)
    error = float("nan")
    if rated.any():
        error = calibration_error(reliability(confidence[rated], is_right[rated]))
    return {
        "accuracy": percent(np.where(new, ~given, given & is_right)[decided]),
        "named_right": percent((given & is_right)[known]),
        "named_wrong": percent((given & ~is_right)[known]),
        "under_classified": percent(~given[known]),
        "over_classified": percent(given[new]),
        "best_guess": percent(is_right[known]),
        "calibration_error": error,
    }


def score_thresholds(
    found: Predictions, truth: Truth, thresholds: Sequence[float]
) -> dict[str, float]:
    """Score species names at several thresholds of confidence, in percent.

    Returns:
        For each threshold `species_accuracy_at_T`, and `species_wrong_of_named_at_T`: wrong names
        among those given; NaN where none is.
    """
    species = RANKS.index("species")
    scores = {}
    for threshold in thresholds:
        fails = found.confidence < threshold  # NaN compares false
        is_given = ~np.logical_or.accumulate(fails, axis=1) & (found.names != UNKNOWN)
        at = replace(found, is_given=is_given)
        given = is_given[:, species] & truth.is_named[:, species]
        is_wrong = (found.names[:, species] != truth.names[:, species])[given]
        scores[f"species_accuracy_at_{threshold}"] = score_rank(at, truth, species)["accuracy"]
        scores[f"species_wrong_of_named_at_{threshold}"] = percent(is_wrong)
    return scores


def score_novelty(found: Predictions, truth: Truth, rank: str) -> float:
    """AUROC, in percent, of telling queries whose taxon the library lacks; NaN if all are alike."""
    place = RANKS.index(rank)
    used = truth.is_named[:, place]
    is_new = truth.is_new(place)[used]
    if is_new.all() or not is_new.any():
        return float("nan")
    score = found.novelty[used, 0 if rank == "species" else 1]
    return 100 * float(roc_auc_score(is_new, score))
