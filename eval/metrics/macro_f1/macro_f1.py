"""Macro F1 as a local `evaluate` module; works without network.

    evaluate.load("eval/metrics/macro_f1").compute(predictions=[...], references=[...])

Labels are text or integers; the value is a fraction, as everywhere in `evaluate`. Computed by
scikit-learn. Guarded by tests/eval/metrics/test_metric_modules.py.
"""

from typing import Any

import evaluate
from datasets import Features, Value
from sklearn.metrics import f1_score


class MacroF1(evaluate.Metric):
    """Macro F1."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Mean F1 over the classes among references and predictions.",
            citation="",
            inputs_description="predictions, references: one label per barcode.",
            features=[
                Features({"predictions": Value(kind), "references": Value(kind)})
                for kind in ("string", "int64")
            ],
        )

    def _compute(self, predictions: list[Any], references: list[Any]) -> dict[str, float]:
        return {
            "macro_f1": float(f1_score(references, predictions, average="macro", zero_division=0))
        }
