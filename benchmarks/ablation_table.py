"""Table of an ablation: effect of each change on accuracy and speed, with a verdict.

In: the records that `ablation.py` writes and the rates of `ablation_speed.py`. Out: Markdown, which
`results_page.py` puts into docs/results.md. Guarded by tests/benchmarks/test_ablation_table.py.

A variant and the recipe with the same training seed are a pair. The variance of their differences
over seeds is pooled over all rows, since one row has few seeds. A mean that is at least two
standard errors from zero is called a difference. This measures the randomness of training; the
queries are the same for all models.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from barcodemae.errors import SettingsError
from barcodemae.eval.report.averages import average
from barcodemae.eval.report.records import ResultRecord


RECIPE = "recipe"
PROBES = {"1nn": "accuracy", "zsc": "ami"}  # probe -> metric in the table
HEADER = (
    ["change", "1-NN (%)", "points", "ZSC AMI (%)", "points", "steps", "barcodes/s", "verdict"],
    ["---", "---:", "---:", "---:", "---:", "---:", "---:", "---"],
)
STANDARD_ERRORS = 2.0
VERDICTS = {  # signs of the differences in (1-NN, clustering) -> words
    (1, 1): "better",
    (1, 0): "better",
    (1, -1): "names better, clusters worse",
    (0, 1): "clusters better",
    (0, 0): "no difference seen",
    (0, -1): "clusters worse",
    (-1, 1): "names worse, clusters better",
    (-1, 0): "worse",
    (-1, -1): "worse",
}


@dataclass(frozen=True)
class Differences:
    """Differences of all rows to the recipe in one metric.

    Attributes:
        means: Row -> difference to the recipe, mean over seeds, in percentage points.
        error: Standard error of such a mean, the same for all rows, in percentage points.
    """

    means: dict[str, float]
    error: float

    @classmethod
    def of(cls, values: dict[str, dict[int, float]]) -> "Differences":
        """Compare rows with the recipe, seed by seed.

        Args:
            values: Row -> training seed -> value of the metric.

        Raises:
            SettingsError: Rows have different seeds, or only one.
        """
        seeds = sorted(values[RECIPE])
        if len(seeds) < 2 or any(sorted(row) != seeds for row in values.values()):
            raise SettingsError("all rows of an ablation need the same seeds, at least two")
        recipe = np.array([values[RECIPE][seed] for seed in seeds])
        pairs = {
            name: np.array([row[seed] for seed in seeds]) - recipe for name, row in values.items()
        }
        changed = [pair for name, pair in pairs.items() if name != RECIPE]
        variance = fmean(float(np.var(pair, ddof=1)) for pair in changed)
        means = {name: float(np.mean(pair)) for name, pair in pairs.items()}
        return cls(means, float(np.sqrt(variance / len(seeds))))

    def sign(self, row: str) -> int:
        """Tell whether a change lowers (-1) or raises (1) the metric; 0 if neither is evident."""
        mean = self.means[row]
        return 0 if abs(mean) < STANDARD_ERRORS * self.error else int(np.sign(mean))


def values_of(records: Sequence[ResultRecord]) -> dict[str, dict[int, float]]:
    """Arrange the records of one metric as row -> training seed -> value."""
    values: dict[str, dict[int, float]] = {}
    for record in records:
        if record.training_seed is not None:
            values.setdefault(record.model, {})[record.training_seed] = record.value
    return values


def rate_of(row: str, rates: dict[str, dict[str, Any]]) -> str:
    """Format the training speed of a row; a row with another readout has the speed of its run."""
    change = row if row in rates else row.rpartition(", ")[0]
    if change not in rates:
        return "-"
    rate = rates[change]
    return f"{rate['barcodes_per_second']:.0f} ({rate['of_recipe']:.2f})"


def ablation_table(records: Sequence[ResultRecord], speed: Sequence[dict[str, Any]]) -> str:
    """Format the table, in the order of the records.

    Args:
        records: Records of both probes, for every row and seed.
        speed: Rates from `ablation_speed.py`.

    Raises:
        SettingsError: Rows have different seeds, or only one.
    """
    rates = {rate["change"]: rate for rate in speed}
    own = {
        probe: [r for r in records if (r.probe, r.metric) == (probe, metric)]
        for probe, metric in PROBES.items()
    }
    differences = {probe: Differences.of(values_of(found)) for probe, found in own.items()}
    lines = [*HEADER]
    for row in dict.fromkeys(record.model for record in own["1nn"]):
        steps = next(r.counts["training_steps"] for r in own["1nn"] if r.model == row)
        cells = [cell for probe in PROBES for cell in measured(row, own[probe], differences[probe])]
        signs = [differences[probe].sign(row) for probe in PROBES]
        verdict = "" if row == RECIPE else VERDICTS[signs[0], signs[1]]
        lines.append([row, *cells, f"{steps:,}", rate_of(row, rates), verdict])
    table = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([*table, "", describe(own, differences)])


def measured(row: str, found: Sequence[ResultRecord], differences: Differences) -> tuple[str, str]:
    """Format a row's mean of a metric with its interval, and its difference to the recipe."""
    cell = average([record for record in found if record.model == row])
    points = "" if row == RECIPE else f"{differences.means[row]:+.1f}"
    return f"{cell.value:.1f} ({cell.low:.1f}-{cell.high:.1f})", points


def describe(own: dict[str, list[ResultRecord]], differences: dict[str, Differences]) -> str:
    """Describe in one line how the table was measured."""
    seeds = len({record.training_seed for record in own["1nn"]})
    nearest, clustered = own["1nn"][0], own["zsc"][0]
    errors = " and ".join(f"{found.error:.1f}" for found in differences.values())
    return (
        f"Means over {seeds} training seeds, and of their intervals; {nearest.dataset} "
        f"({nearest.dataset_hash}); 1-NN: references {nearest.protocol['references']}, queries "
        f"{nearest.protocol['queries']}; clustering: {' + '.join(clustered.protocol['splits'])}. "
        f"Points: less the recipe; their standard error over training seeds is {errors}."
    )
