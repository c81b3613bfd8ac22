"""Logistic calibration: from features to log-odds, fitted by scikit-learn, kept as plain numbers.

In: features of examples with known outcomes. Out: `Logistic` functions that share one `Scale`; how
reliable probabilities are. Nothing is pickled, and using what was fitted needs numpy only.
Guarded by tests/eval/identify/judge/test_calibration.py.

Shapes: Q = queries, E = examples, F = features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


MIN_EXAMPLES = 20  # of either outcome; with fewer, all queries get the same probability
INVERSE_PENALTY = 0.1  # of the logistic regression
LEAST_DEVIATION = 0.02  # of a feature; one that never varies has weight 0 anyway
FARTHEST = 6.0  # standard deviations; what lies beyond counts as no farther
MAX_ITERATIONS = 300
NUM_BINS = 10  # of equal width, in reliability tables
DECIMALS = 7  # of stored numbers


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of every feature.

    Attributes:
        mean: Means, (F,).
        deviation: Standard deviations, at least `LEAST_DEVIATION`, (F,).
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @classmethod
    def of(cls, features: NDArray[np.float64]) -> "Scale":
        """Measure the features of examples, (E, F); NaN is left out."""
        known = ~np.isnan(features)
        count = np.maximum(known.sum(axis=0), 1)
        filled = np.where(known, features, 0.0)
        mean = filled.sum(axis=0) / count
        variance = (np.where(known, features - mean, 0.0) ** 2).sum(axis=0) / count
        # What hardly varied among the examples must not decide when it does among queries.
        deviation = np.maximum(np.sqrt(variance), LEAST_DEVIATION)
        return cls(mean.round(DECIMALS), deviation.round(DECIMALS))

    def __call__(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standardise features, (Q, F): what could not be measured is taken for average."""
        standard = np.clip((features - self.mean) / self.deviation, -FARTHEST, FARTHEST)
        return np.where(np.isnan(standard), 0.0, standard)


@dataclass(frozen=True)
class Logistic:
    """Function from standardised features to a probability.

    Attributes:
        weights: Weight of each feature, (F,); empty for a function that is constant.
        bias: Log-odds of an average query.
    """

    weights: NDArray[np.float64]
    bias: float

    def __call__(self, standard: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute probabilities from standardised features, (Q, F) to (Q,)."""
        if not len(self.weights):
            return np.full(len(standard), 1 / (1 + np.exp(-self.bias)))
        # Not a matrix product: the sums of einsum do not depend on the number of rows.
        score = np.einsum("qf,f->q", standard, self.weights) + self.bias
        probability: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(score, -50.0, 50.0)))
        return probability


def fit_logistic(
    standard: NDArray[np.float64], is_true: NDArray[np.bool_], weights: NDArray[np.float64]
) -> Logistic:
    """Fit a logistic function; with too few examples of either outcome it is a constant.

    Args:
        standard: Standardised features of the examples, (E, F).
        is_true: Outcome to predict, (E,).
        weights: Weights of the examples, (E,); only their ratios matter.
    """
    num_true = int(is_true.sum())
    if min(num_true, len(is_true) - num_true) < MIN_EXAMPLES:
        # Laplace's rule: no probability is quite 0 or 1.
        total = weights.sum()
        share = float((weights * is_true).sum() / total) if total > 0 else 1.0
        least = 1.0 / (len(is_true) + 2)
        share = float(np.clip(share, least, 1 - least))
        return Logistic(np.zeros(0), round(float(np.log(share / (1 - share))), DECIMALS))
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=INVERSE_PENALTY, max_iter=MAX_ITERATIONS)
    model.fit(standard, is_true, sample_weight=weights * (len(weights) / weights.sum()))
    return Logistic(model.coef_[0].round(DECIMALS), round(float(model.intercept_[0]), DECIMALS))


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
