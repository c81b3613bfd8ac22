"""Calibration of probabilities: a logistic regression of the evidence, then isotonic regression.

In: features of held-out queries, and whether the prediction for each was right. Out: a
`Calibrator`, and how reliable its probabilities are. Both regressions are scikit-learn's.
Guarded by tests/eval/identify/judge/test_calibration.py.

Shapes: Q = queries, F = features, B = knots of the isotonic function.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from barcodemae.eval.identify.judge.calibrator import Calibrator, constant


MIN_EXAMPLES = 20  # right and wrong ones each; with fewer, all queries get the same probability
SLOPE = 0.05  # rise within a step, as a share of the distance to the next step
NUM_BINS = 10  # of equal width, in reliability tables


def fit_calibrator(
    features: NDArray[np.float64], is_true: NDArray[np.bool_], weights: NDArray[np.float64]
) -> Calibrator:
    """Fit a calibrator; with too few examples it is a constant.

    Args:
        features: Features of the queries, (Q, F).
        is_true: Outcome to predict, (Q,).
        weights: Weights of the queries, (Q,); only their ratios matter.
    """
    num_features = features.shape[1]
    if len(is_true) == 0:
        return constant(num_features, 0.0)
    weights = weights * (len(weights) / weights.sum())
    least = 1.0 / (len(is_true) + 2)  # Laplace's rule: no probability is quite 0 or 1
    num_true = int(is_true.sum())
    if min(num_true, len(is_true) - num_true) < MIN_EXAMPLES:
        share = float((weights * is_true).sum() / len(is_true))
        return constant(num_features, float(np.clip(share, least, 1 - least)))
    # A logistic regression turns the features into one score.
    mean = features.mean(axis=0)  # (F,)
    scale = np.where(features.std(axis=0) > 0, features.std(axis=0), 1.0)
    standardised = (features - mean) / scale
    logistic = LogisticRegression(C=1.0, max_iter=1000).fit(standardised, is_true, weights)
    score = logistic.decision_function(standardised)  # (Q,)
    # An isotonic regression turns the score into a probability.
    isotonic = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip")
    isotonic.fit(score, is_true, sample_weight=weights)
    knots, probabilities = make_strictly_increasing(isotonic.X_thresholds_, isotonic.y_thresholds_)
    return Calibrator(
        mean.tolist(),
        scale.tolist(),
        logistic.coef_[0].tolist(),
        float(logistic.intercept_[0]),
        knots.tolist(),
        probabilities.tolist(),
    )


def make_strictly_increasing(
    scores: NDArray[np.float64], probabilities: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the flat steps of an isotonic function a small slope.

    Without it, all queries on a step have the same probability, whatever their evidence.

    Args:
        scores: Scores at the start and the end of each step, ascending, (B,).
        probabilities: Probabilities there, equal at both ends of a step, (B,).

    Returns:
        The scores, and probabilities that rise within each step, (B,) each.
    """
    levels, step = np.unique(probabilities, return_inverse=True)  # (steps,), (B,)
    gaps = np.diff(levels, prepend=levels[0], append=levels[-1])  # below and above each level
    is_start = np.diff(step, prepend=-1) > 0
    is_end = np.diff(step, append=len(levels)) > 0
    increasing = probabilities + SLOPE * (is_end * gaps[step + 1] - is_start * gaps[step])
    increasing[is_start & is_end] = probabilities[is_start & is_end]
    return scores, increasing


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of a reliability table.

    Attributes:
        probability: Mean predicted probability in the bin, 0 to 1.
        accuracy: Share of its queries whose prediction is right, 0 to 1.
        share: Share of all queries that fall into the bin, 0 to 1.
    """

    probability: float
    accuracy: float
    share: float


def reliability(
    probabilities: NDArray[np.float64],
    is_true: NDArray[np.bool_],
    weights: NDArray[np.float64] | None = None,
) -> list[ReliabilityBin]:
    """Compare predicted probabilities with observed accuracy in bins; empty bins are left out.

    Args:
        probabilities: Predicted probabilities, (Q,).
        is_true: Whether each prediction is right, (Q,).
        weights: Weights of the queries, (Q,); None for equal weights.
    """
    weights = np.ones(len(is_true)) if weights is None else weights
    bin_of = np.minimum((probabilities * NUM_BINS).astype(int), NUM_BINS - 1)  # (Q,)
    bins = []
    for number in np.unique(bin_of):
        inside = bin_of == number
        total = weights[inside].sum()
        if total > 0:
            bins.append(
                ReliabilityBin(
                    float((weights * probabilities)[inside].sum() / total),
                    float((weights * is_true)[inside].sum() / total),
                    float(total / weights.sum()),
                )
            )
    return bins


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the expected calibration error: |probability - accuracy|, averaged over queries."""
    return float(sum(part.share * abs(part.probability - part.accuracy) for part in bins))
