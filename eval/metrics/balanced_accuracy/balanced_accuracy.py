"""Balanced accuracy as a local `evaluate` module; works without network.

    evaluate.load("eval/metrics/balanced_accuracy").compute(predictions=[...], references=[...])

Labels are text or integers; the value is a fraction, as everywhere in `evaluate`. Computed by
scikit-learn. Guarded by tests/eval/metrics/test_metric_modules.py.
"""

from typing import Any

import evaluate
from datasets import Features, Value
from sklearn.metrics import recall_score


class BalancedAccuracy(evaluate.Metric):
    """Balanced accuracy."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Mean recall over the classes among the references.",
            citation="",
            inputs_description="predictions, references: one label per barcode.",
            features=[
                Features({"predictions": Value(kind), "references": Value(kind)})
                for kind in ("string", "int64")
            ],
        )

    def _compute(self, predictions: list[Any], references: list[Any]) -> dict[str, float]:
        return {
            "balanced_accuracy": float(
                recall_score(
                    references,
                    predictions,
                    labels=sorted(set(references)),
                    average="macro",
                    zero_division=0,
                )
            )
        }
