"""Accuracy as a local `evaluate` module; works without network.

    evaluate.load("eval/metrics/accuracy").compute(predictions=[...], references=[...])

Labels are text or integers; the value is a fraction, as everywhere in `evaluate`. Computed by
scikit-learn. Guarded by tests/eval/metrics/test_metric_modules.py.
"""

from typing import Any

import evaluate
from datasets import Features, Value
from sklearn.metrics import accuracy_score


class Accuracy(evaluate.Metric):
    """Accuracy."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Share of barcodes whose label was predicted.",
            citation="",
            inputs_description="predictions, references: one label per barcode.",
            features=[
                Features({"predictions": Value(kind), "references": Value(kind)})
                for kind in ("string", "int64")
            ],
        )

    def _compute(self, predictions: list[Any], references: list[Any]) -> dict[str, float]:
        return {"accuracy": float(accuracy_score(references, predictions))}
