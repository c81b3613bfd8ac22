"""The published table, compiled from results files.

In: result records, and who else belongs in the table. Out: one row per model with 1-NN accuracy,
clustering AMI, their harmonic mean and whatever else was measured; `table_text.py` writes it down.
Numbers of different protocols never share a column. Guarded by
tests/eval/report/test_leaderboard.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from barcodemae.errors import SettingsError
from barcodemae.eval.probe.scores import harmonic_mean
from barcodemae.eval.report.records import ResultRecord
from barcodemae.eval.report.systems import NO_SYSTEMS, Systems


COLUMNS = {
    ("1nn", "accuracy"): "1-NN accuracy (%)",
    ("zsc", "ami"): "ZSC AMI (%)",
    ("harmonic", "harmonic_mean"): "harmonic mean",
    ("linear", "accuracy"): "linear accuracy (%)",
    ("logistic", "accuracy"): "logistic accuracy (%)",
    ("finetune", "accuracy"): "fine-tuned accuracy (%)",
}
ALWAYS_SHOWN = 3  # the published columns
# Entries of a protocol that differ between fair rivals.
DESCRIPTIVE = ("similarity", "search", "dtype", "converged")


@dataclass(frozen=True)
class Cell:
    """A mean over seeds and its interval, in percent."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass
class Row:
    """One model.

    Attributes:
        model: Display name.
        architecture: What kind of system it is.
        cells: Column key -> cell.
        is_ours: Whether it is a model of whoever makes the table.
        weights: Where the weights are published that could not be had; None if it was measured.
    """

    model: str
    architecture: str = ""
    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)
    is_ours: bool = False
    weights: str | None = None


@dataclass(frozen=True)
class Table:
    """Rows, the columns in use, and one line per column on how it was measured."""

    rows: list[Row]
    columns: list[tuple[str, str]]
    notes: list[str]

    def rank(self, column: tuple[str, str], place: int) -> float | None:
        """Return the best (place 0) or second best (place 1) value of a column."""
        values = {row.cells[column].value for row in self.rows if column in row.cells}
        ordered = sorted(values, reverse=True)
        return ordered[place] if place < len(ordered) and len(ordered) > 1 else None


def comparable(protocol: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a protocol that must agree within a column."""
    return {name: value for name, value in protocol.items() if name not in DESCRIPTIVE}


def check_one_protocol(records: Sequence[ResultRecord]) -> None:
    """Refuse to compare what is not comparable.

    Raises:
        SettingsError: Two records of a column differ in data or protocol.
    """
    first = records[0]
    for record in records:
        if record.dataset_hash != first.dataset_hash or record.dataset != first.dataset:
            raise SettingsError(
                f"{first.model} was measured on {first.dataset} ({first.dataset_hash}), "
                f"{record.model} on {record.dataset} ({record.dataset_hash}): make two tables"
            )
        if comparable(record.protocol) != comparable(first.protocol):
            raise SettingsError(
                f"{record.probe} of {first.model} and {record.model} follow different protocols: "
                f"{comparable(first.protocol)} and {comparable(record.protocol)}"
            )


def check_one_model(records: Sequence[ResultRecord]) -> None:
    """Refuse to fill one row, and to take a harmonic mean, from different models.

    Raises:
        SettingsError: Two sets of weights go by one name.
    """
    weights: dict[tuple[str, int | None], set[str]] = {}
    for record in records:
        weights.setdefault((record.model, record.training_seed), set()).add(record.weights)
    for (model, _), found in weights.items():
        if len(found) > 1:
            raise SettingsError(
                f"{model} names {len(found)} different sets of weights; "
                "give them labels (--model LABEL=PATH) and measure again"
            )


def average(records: Sequence[ResultRecord]) -> Cell:
    """Average over seeds, of training and probe; of a repeated one the later record counts."""
    by_seed = list({(record.training_seed, record.seed): record for record in records}.values())
    lows = [record.low for record in by_seed if record.low is not None]
    highs = [record.high for record in by_seed if record.high is not None]
    return Cell(
        float(np.mean([record.value for record in by_seed])),
        float(np.mean(lows)) if lows else None,
        float(np.mean(highs)) if highs else None,
    )


def describe(records: Sequence[ResultRecord], column: tuple[str, str]) -> str:
    """Say in one line how a column was measured."""
    first = records[0]
    choices = ", ".join(
        f"{name} {write_choice(name, value)}" for name, value in comparable(first.protocol).items()
    )
    seeds = len({record.seed for record in records})
    trained = len({record.training_seed for record in records} - {None})
    repeats = f"{seeds} seed(s)" + (f", {trained} training seed(s)" if trained else "")
    data = f"{first.dataset} ({first.dataset_hash})"
    return f"{COLUMNS[column]}: {data}; {choices}; {repeats}"


def write_choice(name: str, value: Any) -> str:
    """Write an entry of a protocol for readers."""
    if name == "num_clusters" and value is None:
        return "as many as labels"
    return " + ".join(value) if isinstance(value, list) else str(value)


def fill_column(
    rows: dict[str, Row], records: Sequence[ResultRecord], column: tuple[str, str]
) -> None:
    """Average one column's records into the rows."""
    check_one_protocol(records)
    for model, row in rows.items():
        own = [record for record in records if record.model == model]
        if own:
            row.cells[column] = average(own)


def build_table(records: Sequence[ResultRecord], systems: Systems = NO_SYSTEMS) -> Table:
    """Arrange records as a table.

    Args:
        records: From results files; probes that have no column (the masking study) are ignored.
        systems: Which rows are ours, and who is listed without numbers unless measured.

    Raises:
        SettingsError: Nothing to show, or records that must not be compared.
    """
    shown = [r for r in records if (r.probe, r.metric) in COLUMNS and r.probe != "harmonic"]
    if not shown:
        raise SettingsError("the results hold no record of a probe that the table shows")
    check_one_model(shown)
    rows: dict[str, Row] = {}
    for record in shown:
        is_ours = systems.is_ours(record.model)
        row = rows.setdefault(record.model, Row(record.model, is_ours=is_ours))
        row.architecture = row.architecture or record.architecture
    columns, notes = list(COLUMNS)[:ALWAYS_SHOWN], []
    for column in COLUMNS:
        own = [record for record in shown if (record.probe, record.metric) == column]
        if own:
            fill_column(rows, own, column)
            notes.append(describe(own, column))
            columns += [column] if column not in columns else []
    for row in rows.values():
        add_harmonic_mean(row)
    absent = [
        Row(system.model, system.architecture, weights=system.weights)
        for system in systems.unavailable
        if system.model not in rows
    ]
    return Table([*rows.values(), *absent], columns, notes)


def add_harmonic_mean(row: Row) -> None:
    """Combine 1-NN accuracy and AMI, if a row has both."""
    parts = [row.cells.get(("1nn", "accuracy")), row.cells.get(("zsc", "ami"))]
    values = [cell.value for cell in parts if cell is not None]
    if len(values) == len(parts):
        row.cells["harmonic", "harmonic_mean"] = Cell(harmonic_mean(values))
