"""Adjusted mutual information (AMI) as a local `evaluate` module; works without network.

    evaluate.load("eval/metrics/ami").compute(predictions=[...], references=[...])

Labels are text or integers; the value is a fraction, as everywhere in `evaluate`. Computed by
scikit-learn. Guarded by tests/eval/metrics/test_metric_modules.py.
"""

from typing import Any

import evaluate
from datasets import Features, Value
from sklearn.metrics import adjusted_mutual_info_score


class Ami(evaluate.Metric):
    """Adjusted mutual information (AMI)."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Agreement of clusters (predictions) with labels, 0 for chance.",
            citation="",
            inputs_description="predictions, references: one label per barcode.",
            features=[
                Features({"predictions": Value(kind), "references": Value(kind)})
                for kind in ("string", "int64")
            ],
        )

    def _compute(self, predictions: list[Any], references: list[Any]) -> dict[str, float]:
        return {"ami": float(adjusted_mutual_info_score(references, predictions))}
