"""Classification scores in percent, with bootstrap intervals over queries, and the harmonic mean.

In: true and predicted labels. Out: accuracy, balanced accuracy and macro F1 as scikit-learn
defines them. They are computed from counts per class, so a thousand resamples take a fraction of a
second. Guarded by tests/eval/probe/test_scores.py, which compares with scikit-learn.

Shapes: N = queries, K = classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


METRIC_MODULES = Path(__file__).parents[1] / "metrics"  # for evaluate.load(METRIC_MODULES / name)
NUM_RESAMPLES = 1000
CONFIDENCE = 95.0  # percent


@dataclass(frozen=True)
class Score:
    """A score with its 95 % interval.

    Attributes:
        value: Score in percent.
        low: Lower end of the interval, percent.
        high: Upper end of the interval, percent.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class LabelCounts:
    """Counts per class, from which the scores are computed.

    Attributes:
        support: Number of queries of each class, (K,).
        predicted: Number of queries predicted as each class, (K,).
        correct: Number of queries of each class that are predicted as it, (K,).
    """

    support: NDArray[np.float64]
    predicted: NDArray[np.float64]
    correct: NDArray[np.float64]


def count_labels(
    true: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int
) -> LabelCounts:
    """Count labels per class.

    Args:
        true: Classes of the queries, (N,).
        predicted: Predicted classes, (N,); -1 for none, which is wrong.
        num_classes: Number of classes, K.
    """
    named = predicted[predicted >= 0]
    return LabelCounts(
        np.bincount(true, minlength=num_classes).astype(float),
        np.bincount(named, minlength=num_classes).astype(float),
        np.bincount(true[true == predicted], minlength=num_classes).astype(float),
    )


def accuracy(counts: LabelCounts) -> float:
    """Return the share of queries that are predicted right."""
    return float(counts.correct.sum() / counts.support.sum())


def balanced_accuracy(counts: LabelCounts) -> float:
    """Return the mean recall over the classes that occur among the queries."""
    occurs = counts.support > 0
    return float((counts.correct[occurs] / counts.support[occurs]).mean())


def macro_f1(counts: LabelCounts) -> float:
    """Return the mean F1 over the classes that occur among queries or predictions."""
    total = counts.support + counts.predicted
    occurs = total > 0
    return float((2 * counts.correct[occurs] / total[occurs]).mean())


CLASSIFICATION_SCORES: dict[str, Callable[[LabelCounts], float]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
}


def encode_labels(
    true: Sequence[str], predicted: Sequence[str | None]
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Encode labels as numbers; None (no prediction) becomes -1.

    Returns:
        True classes (N,), predicted classes (N,), and the number of classes.
    """
    names = sorted({*true, *(label for label in predicted if label is not None)})
    code = {name: index for index, name in enumerate(names)}
    predicted_codes = [-1 if label is None else code[label] for label in predicted]
    return np.array([code[label] for label in true]), np.array(predicted_codes), len(names)


def score_predictions(
    true: Sequence[str], predicted: Sequence[str | None], *, seed: int = 0
) -> dict[str, Score]:
    """Score predictions, with 95 % intervals over resampled queries.

    Resamples lack some rare classes, which shifts balanced accuracy and macro F1 by up to one
    point. So the resampled values are shifted until their mean is the score itself.

    Args:
        true: Labels of the queries, N >= 1.
        predicted: Predicted labels, N; None counts as wrong.
        seed: Seed of the resampling.

    Returns:
        Metric name -> score in percent.
    """
    true_codes, predicted_codes, num_classes = encode_labels(true, predicted)
    whole = count_labels(true_codes, predicted_codes, num_classes)
    generator = np.random.default_rng(seed)
    resampled: dict[str, list[float]] = {name: [] for name in CLASSIFICATION_SCORES}
    for _ in range(NUM_RESAMPLES):
        rows = generator.integers(len(true_codes), size=len(true_codes))
        counts = count_labels(true_codes[rows], predicted_codes[rows], num_classes)
        for name, function in CLASSIFICATION_SCORES.items():
            resampled[name].append(function(counts))
    return {
        name: centred_score(100 * function(whole), 100 * np.array(resampled[name]))
        for name, function in CLASSIFICATION_SCORES.items()
    }


def centred_score(value: float, resampled: NDArray[np.float64]) -> Score:
    """Return a score with the interval of resampled values shifted around it, within 0 to 100."""
    low, high = interval(value + resampled - resampled.mean())
    return Score(value, max(low, 0.0), min(high, 100.0))


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends of the central 95 % of resampled values."""
    tail = (100 - CONFIDENCE) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)


def harmonic_mean(values: Sequence[float]) -> float:
    """Return the harmonic mean, as in the published table; 0 if any value is not positive."""
    if min(values) <= 0:
        return 0.0
    return len(values) / sum(1 / value for value in values)
