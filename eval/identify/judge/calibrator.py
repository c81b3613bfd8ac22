"""A fitted calibration: the function from the evidence for a taxon to its probability.

In: features of queries. Out: probabilities. It is stored in JSON as means, weights and knots, so
nothing is pickled, and using it needs none of what fitting it does (`calibration.py`).
Guarded by tests/eval/identify/judge/test_calibration.py.

Shapes: Q = queries, F = features, B = knots of the isotonic function.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Calibrator:
    """Function from evidence to a probability.

    Attributes:
        mean: Mean of each feature, F.
        scale: Standard deviation of each feature, F.
        weights: Logistic weight of each standardised feature, F.
        bias: Bias of the logistic score.
        knots: Logistic scores of the knots, ascending, B.
        probabilities: Probabilities at the knots, ascending, B.
    """

    mean: list[float]
    scale: list[float]
    weights: list[float]
    bias: float
    knots: list[float]
    probabilities: list[float]

    def __call__(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute the probability of each query from its features, (Q, F) to (Q,)."""
        standardised = (features - np.array(self.mean)) / np.array(self.scale)
        # Not a matrix product: the sums of einsum do not depend on the number of rows.
        score = np.einsum("qf,f->q", standardised, np.array(self.weights)) + self.bias
        found: NDArray[np.float64] = np.interp(score, self.knots, self.probabilities)
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the calibrator as plain numbers."""
        return asdict(self)


def constant(num_features: int, probability: float) -> Calibrator:
    """Return a calibrator that gives every query the same probability."""
    zeros, ones = [0.0] * num_features, [1.0] * num_features
    return Calibrator(zeros, ones, zeros, 0.0, [0.0], [probability])
