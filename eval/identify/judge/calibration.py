"""From evidence to probability: logistic regression, then isotonic regression, kept as numbers.

In: features of held-out queries and whether each was right. Out: a function of the features that
gives probabilities, stored in JSON as means, weights and knots; nothing is pickled. Both steps are
scikit-learn's. Guarded by tests/eval/test_calibration.py.

Shapes: Q = queries, F = features, B = knots.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression


MIN_EXAMPLES = 20  # of each kind; below, one probability for all
TILT = 0.05  # of a step: rises by this share of its distance to the next one
NUM_BINS = 10  # of reliability tables, equally wide


@dataclass(frozen=True)
class Calibrator:
    """A probability as a function of evidence.

    Attributes:
        mean: Of each feature, (F,).
        scale: Standard deviation of each, (F,).
        weights: Of the standardised features, (F,).
        bias: Of the logistic score.
        knots: Logistic scores, ascending, (B,).
        probabilities: At the knots, ascending, (B,).
    """

    mean: list[float]
    scale: list[float]
    weights: list[float]
    bias: float
    knots: list[float]
    probabilities: list[float]

    def __call__(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return probabilities, (Q, F) to (Q,)."""
        standard = (features - np.array(self.mean)) / np.array(self.scale)
        # einsum, not a matrix product: its sums do not depend on how many rows there are.
        score = np.einsum("qf,f->q", standard, np.array(self.weights)) + self.bias
        found: NDArray[np.float64] = np.interp(score, self.knots, self.probabilities)
        return found

    def to_json(self) -> dict[str, Any]:
        """Write as plain numbers."""
        return asdict(self)


def constant(num_features: int, probability: float) -> Calibrator:
    """Give every query the same probability."""
    zeros, ones = [0.0] * num_features, [1.0] * num_features
    return Calibrator(zeros, ones, zeros, 0.0, [0.0], [probability])


def fit_calibrator(
    features: NDArray[np.float64], is_true: NDArray[np.bool_], weights: NDArray[np.float64]
) -> Calibrator:
    """Fit a calibrator.

    Args:
        features: (Q, F).
        is_true: What is to be predicted, (Q,).
        weights: Of the queries, (Q,); only their ratios matter.
    """
    num_features = features.shape[1]
    if len(is_true) == 0:
        return constant(num_features, 0.0)
    weights = weights * (len(weights) / weights.sum())
    least = 1.0 / (len(is_true) + 2)  # as Laplace: never quite certain
    num_true = int(is_true.sum())
    if min(num_true, len(is_true) - num_true) < MIN_EXAMPLES:
        share = float((weights * is_true).sum() / len(is_true))
        return constant(num_features, float(np.clip(share, least, 1 - least)))
    mean = features.mean(axis=0)
    scale = np.where(features.std(axis=0) > 0, features.std(axis=0), 1.0)
    standard = (features - mean) / scale
    logistic = LogisticRegression(C=1.0, max_iter=1000).fit(standard, is_true, weights)
    score = logistic.decision_function(standard)
    isotonic = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip")
    isotonic.fit(score, is_true, sample_weight=weights)
    knots, probabilities = tilt_steps(isotonic.X_thresholds_, isotonic.y_thresholds_)
    return Calibrator(
        mean.tolist(),
        scale.tolist(),
        logistic.coef_[0].tolist(),
        float(logistic.intercept_[0]),
        knots.tolist(),
        probabilities.tolist(),
    )


def tilt_steps(
    scores: NDArray[np.float64], probabilities: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Let the steps of an isotonic function rise a little, so that its knots ascend strictly.

    Queries with more evidence then come before those with less, where a step makes them equal.

    Args:
        scores: Beginning and end of each step, ascending, (B,).
        probabilities: The same at both, (B,).
    """
    levels, step = np.unique(probabilities, return_inverse=True)
    gaps = np.diff(levels, prepend=levels[0], append=levels[-1])  # below and above each level
    is_start = np.diff(step, prepend=-1) > 0
    is_end = np.diff(step, append=len(levels)) > 0
    tilted = probabilities + TILT * (is_end * gaps[step + 1] - is_start * gaps[step])
    tilted[is_start & is_end] = probabilities[is_start & is_end]
    return scores, tilted


@dataclass(frozen=True)
class ReliabilityBin:
    """Queries whose probability lies in one of ten equal steps.

    Attributes:
        probability: Mean of what was promised.
        accuracy: Share that came true.
        share: Of all queries.
    """

    probability: float
    accuracy: float
    share: float


def reliability(
    probabilities: NDArray[np.float64],
    is_true: NDArray[np.bool_],
    weights: NDArray[np.float64] | None = None,
) -> list[ReliabilityBin]:
    """Compare promised with observed, in ten bins; empty ones are left out."""
    weights = np.ones(len(is_true)) if weights is None else weights
    place = np.minimum((probabilities * NUM_BINS).astype(int), NUM_BINS - 1)
    bins = []
    for number in np.unique(place):
        inside = place == number
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
    """Expected calibration error: mean distance of promised and observed, by share."""
    return float(sum(part.share * abs(part.probability - part.accuracy) for part in bins))
