"""Measured numbers as a card shows them: tables that hold one protocol each.

In: results files, as the probes write them, and the fingerprints of a model's weights. Out: one
table per data set, probe and protocol under which *these* weights were measured, rivals beside
them. A number without a record has no way in. Guarded by tests/model_cards/test_results.py.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from barcodemae.errors import DataError


PROBES = {
    "1nn": "1-NN probe",
    "zsc": "Zero-shot clustering",
    "harmonic": "Harmonic mean of 1-NN accuracy and ZSC AMI",
    "linear": "Linear probe",
    "logistic": "Logistic regression",
    "finetune": "Fine-tuning",
}
METRICS = {
    "accuracy": "accuracy (%)",
    "balanced_accuracy": "balanced accuracy (%)",
    "macro_f1": "macro F1 (%)",
    "ami": "AMI (%)",
    "harmonic_mean": "harmonic mean",
}
# Entries of a protocol that differ between fair rivals; the same as in eval/report/leaderboard.py.
DESCRIPTIVE = ("similarity", "search", "dtype", "converged")
TEXT_FIELDS = ("model", "dataset", "probe", "metric")


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One record of a results file, as far as a card needs it; values in percent."""

    model: str
    dataset: str
    probe: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    weights: str = ""
    dataset_hash: str = ""
    protocol: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    command: str = ""

    @property
    def conditions(self) -> str:
        """What must agree before two measurements may share a table."""
        kept = {name: value for name, value in self.protocol.items() if name not in DESCRIPTIVE}
        return json.dumps([self.dataset, self.dataset_hash, self.probe, kept], sort_keys=True)


@dataclass(frozen=True)
class Cell:
    """A mean over seeds; the interval only where there was one measurement."""

    value: float
    low: float | None
    high: float | None
    num_seeds: int

    def __str__(self) -> str:
        seeds = f" (mean of {self.num_seeds} seeds)" if self.num_seeds > 1 else ""
        interval = "" if self.low is None else f" [{self.low:.1f}, {self.high:.1f}]"
        return f"{self.value:.1f}{interval}{seeds}"


@dataclass(frozen=True)
class Row:
    """One model of a table; `cells` stand in the order of the table's metrics."""

    model: str
    is_subject: bool
    cells: list[Cell | None]

    @property
    def texts(self) -> list[str]:
        """The cells in words; what was not measured stays empty."""
        return ["" if cell is None else str(cell) for cell in self.cells]


@dataclass(frozen=True)
class ResultTable:
    """Everything measured under one protocol.

    Attributes:
        probe: Name in the records.
        dataset: Name of the data set.
        dataset_hash: Fingerprint of its files.
        protocol: The choices behind the numbers.
        metrics: Names in the records, in the order of the columns.
        rows: The card's model first, then its rivals by name.
        commands: What gives these records.
    """

    probe: str
    dataset: str
    dataset_hash: str
    protocol: dict[str, Any]
    metrics: list[str]
    rows: list[Row]
    commands: list[str]

    @property
    def title(self) -> str:
        """Heading of the table."""
        return f"{PROBES[self.probe]} on {self.dataset}"

    @property
    def columns(self) -> list[str]:
        """Headings of the metrics."""
        return [METRICS[metric] for metric in self.metrics]

    @property
    def note(self) -> str:
        """The protocol in one line."""
        choices = [f"{name.replace('_', ' ')} {value}" for name, value in self.protocol.items()]
        return "; ".join([f"data {self.dataset_hash or 'without fingerprint'}", *choices])


def read_results(paths: Sequence[Path | str]) -> list[Measurement]:
    """Read results files, in the order given.

    Raises:
        DataError: Not a list of records; names file and record.
    """
    found = []
    for path in paths:
        try:
            entries = json.loads(Path(path).read_text())
        except OSError as error:
            raise DataError(path, f"cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise DataError(path, f"is not JSON: {error}") from error
        if not isinstance(entries, list):
            raise DataError(path, "is not a list of result records")
        found += [parse(path, number, entry) for number, entry in enumerate(entries, start=1)]
    return found


def parse(path: Path | str, number: int, entry: Any) -> Measurement:
    """Check one record; fields that a card does not need are ignored.

    Raises:
        DataError: Not an object, or a field is missing or of the wrong kind.
    """
    if not isinstance(entry, dict):
        raise DataError(path, f"record {number} is not an object")
    for name in TEXT_FIELDS:
        if not isinstance(entry.get(name), str):
            raise DataError(path, f"record {number}: {name} is missing or not text")
    for name in ("value", "low", "high"):
        value = entry.get(name)
        if not (is_number(value) or (value is None and name != "value")):
            raise DataError(path, f"record {number}: {name} {value!r} is not a number")
    if not isinstance(entry.get("protocol", {}), dict):
        raise DataError(path, f"record {number}: protocol is not an object")
    known = Measurement.__dataclass_fields__
    return Measurement(**{name: value for name, value in entry.items() if name in known})


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def tabulate(measurements: Iterable[Measurement], fingerprints: set[str]) -> list[ResultTable]:
    """Arrange measurements in tables, in the order of `PROBES`.

    Args:
        measurements: All that was measured, rivals included.
        fingerprints: Of the weights the card is about.

    Returns:
        One table per set of conditions under which those weights were measured.
    """
    groups: dict[str, list[Measurement]] = {}
    for item in measurements:
        if item.probe in PROBES and item.metric in METRICS:
            groups.setdefault(item.conditions, []).append(item)
    tables = [
        make_table(group, fingerprints)
        for group in groups.values()
        if any(item.weights in fingerprints for item in group)
    ]
    return sorted(tables, key=lambda table: (list(PROBES).index(table.probe), table.dataset))


def make_table(group: list[Measurement], fingerprints: set[str]) -> ResultTable:
    """Make the table of one set of conditions."""
    first = next(item for item in group if item.weights in fingerprints)
    metrics = [name for name in METRICS if any(item.metric == name for item in group)]
    by_model: dict[tuple[bool, str, str], list[Measurement]] = {}
    for item in group:
        is_subject = item.weights in fingerprints
        key = (not is_subject, "" if is_subject else item.model, "" if is_subject else item.weights)
        by_model.setdefault(key, []).append(item)
    rows = [
        Row(items[0].model, not key[0], [average(items, metric) for metric in metrics])
        for key, items in sorted(by_model.items(), key=lambda pair: pair[0])
    ]
    shown = {name: value for name, value in first.protocol.items() if name not in DESCRIPTIVE}
    commands = list(dict.fromkeys(item.command for item in group if item.command))
    return ResultTable(
        first.probe, first.dataset, first.dataset_hash, shown, metrics, rows, commands
    )


def average(items: list[Measurement], metric: str) -> Cell | None:
    """Average one metric over seeds; of a seed measured twice, the later record counts."""
    by_seed = {item.seed: item for item in items if item.metric == metric}
    if not by_seed:
        return None
    last = list(by_seed.values())[-1]
    if len(by_seed) == 1:
        return Cell(last.value, last.low, last.high, 1)
    return Cell(fmean(item.value for item in by_seed.values()), None, None, len(by_seed))
