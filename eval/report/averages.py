"""Cells of tables: which records may share a column, and their mean over seeds.

In: result records. Out: a `Cell`. Guarded by tests/eval/report/test_averages.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from barcodemae.eval.report.records import ResultRecord


# Entries of a protocol that may differ within a column.
DESCRIPTIVE = ("similarity", "search", "dtype", "converged")


@dataclass(frozen=True)
class Cell:
    """A mean over seeds, in percent.

    Attributes:
        value: Mean over seeds, percent.
        low: Mean of the lower ends of the 95 % intervals, percent; None if there are none.
        high: Mean of the upper ends of the 95 % intervals, percent; None if there are none.
        num_runs: Number of measurements that were averaged.
        num_seeds: Number of different seeds of the probe among them.
        num_training_seeds: Number of different training seeds; 0 if training was not repeated.
    """

    value: float
    low: float | None = None
    high: float | None = None
    num_runs: int = 1
    num_seeds: int = 1
    num_training_seeds: int = 0

    @property
    def repeats(self) -> str:
        """Numbers of seeds, in words."""
        trained = f", {self.num_training_seeds} training seed(s)" * bool(self.num_training_seeds)
        return f"{self.num_seeds} seed(s){trained}"


def comparable(protocol: dict[str, Any]) -> dict[str, Any]:
    """Return the entries of a protocol that must be equal within a column."""
    return {name: value for name, value in protocol.items() if name not in DESCRIPTIVE}


def average(records: Sequence[ResultRecord]) -> Cell:
    """Average records over seeds of training and probe; of equal seeds, the last record counts."""
    by_seed = {(record.training_seed, record.seed): record for record in records}
    lows = [record.low for record in by_seed.values() if record.low is not None]
    highs = [record.high for record in by_seed.values() if record.high is not None]
    return Cell(
        float(np.mean([record.value for record in by_seed.values()])),
        float(np.mean(lows)) if lows else None,
        float(np.mean(highs)) if highs else None,
        num_runs=len(by_seed),
        num_seeds=len({seed for _, seed in by_seed}),
        num_training_seeds=len({training for training, _ in by_seed} - {None}),
    )


def write_choice(name: str, value: Any) -> str:
    """Format the value of an entry of a protocol."""
    if name == "num_clusters" and value is None:
        return "as many as labels"
    return " + ".join(value) if isinstance(value, list) else str(value)
