"""Counts of a server, as Prometheus reads them.

In: finished requests and the counts of answers. Out: the text of /metrics. Each server has a
registry of its own, so that several in one process do not mix.
Guarded by tests/barcodemae/serving/test_app.py.
"""

from collections.abc import Callable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from barcodemae.eval.identify.summary import Summary


PATHS = ("/identify", "/health", "/metrics")  # others are counted together: anyone may invent some


class Metrics:
    """Counts of one server.

    Args:
        waiting: Function that tells how many records wait.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, waiting: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "barcodemae_requests", "Requests.", ("path", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "barcodemae_first_byte_seconds",
            "Time until an answer began.",
            ("path",),
            registry=self._registry,
        )
        self._records = Counter(
            "barcodemae_records",
            "Records, by the deepest rank that they were named to.",
            ("outcome",),
            registry=self._registry,
        )
        gauge = Gauge("barcodemae_waiting_records", "Waiting records.", registry=self._registry)
        gauge.set_function(waiting)

    def add(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        path = path if path in PATHS else "other"
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def count_names(self, summary: Summary) -> None:
        """Count the records of an answer."""
        for outcome, number in summary.records.items():
            self._records.labels(outcome).inc(number)

    def text(self) -> bytes:
        """Return all counts as text."""
        return generate_latest(self._registry)
