"""Harmonic mean of scores as a local `evaluate` module; works without network.

    evaluate.load("eval/metrics/harmonic_mean").compute(values=[69.0, 80.3])

The last column of the published table is the harmonic mean of 1-NN accuracy and clustering AMI. It
is 0 if any score is not positive. Guarded by tests/eval/metrics/test_metric_modules.py.
"""

from statistics import harmonic_mean

import evaluate
from datasets import Features, Value


class HarmonicMean(evaluate.Metric):
    """Harmonic mean."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Harmonic mean of scores, e.g. 1-NN accuracy and clustering AMI.",
            citation="",
            inputs_description="values: the scores, in one unit.",
            features=Features({"values": Value("float64")}),
        )

    def _compute(self, values: list[float]) -> dict[str, float]:
        return {"harmonic_mean": 0.0 if min(values) <= 0 else float(harmonic_mean(values))}
