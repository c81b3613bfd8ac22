"""From evidence to probabilities, by weights that planted faults taught.

`weights.json` is written by `python benchmarks/audit.py fit`: for each question the mean, scale and
weights of its features and of their products. In: features. Out: the probability that the answer is
yes, given as many faults as the planted ones. Guarded by tests/eval/audit/test_odds.py.

Shapes: M = records, F = features, E = features with their products.
"""

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


WEIGHTS = Path(__file__).with_name("weights.json")
FARTHEST = 4.0  # standard deviations; what lies farther out than any fault planted counts as this
DECIMALS = 4


@dataclass(frozen=True)
class Odds:
    """A logistic model of one question.

    Attributes:
        features: Names of the features, F.
        mean: Their means, F.
        scale: Their standard deviations, F.
        weights: Weights of features and products, E.
        bias: Log-odds where all of them are zero.
    """

    features: list[str]
    mean: list[float]
    scale: list[float]
    weights: list[float]
    bias: float

    def probability(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities of records, (M, F) to (M,)."""
        scaled = standardised(features, np.array(self.mean), np.array(self.scale))
        logits = expanded(scaled) @ np.array(self.weights) + self.bias
        found: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
        return found

    def to_json(self) -> dict[str, object]:
        """Return the model as plain numbers."""
        return asdict(self)


def standardised(
    features: NDArray[np.float64], mean: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Measure features (M, F) in standard deviations from their means, not beyond `FARTHEST`."""
    return np.clip((features - mean) / scale, -FARTHEST, FARTHEST)


def expanded(scaled: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add the products of all pairs of features, squares included, (M, F) to (M, E)."""
    one, other = np.triu_indices(scaled.shape[1])
    return np.concatenate([scaled, scaled[:, one] * scaled[:, other]], axis=1)


@cache
def load_odds() -> dict[str, Odds]:
    """Read the models: question -> model."""
    content = json.loads(WEIGHTS.read_text())
    return {name: Odds(**model) for name, model in content["models"].items()}


__all__ = ["Odds", "expanded", "load_odds", "standardised"]
