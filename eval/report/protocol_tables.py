"""Tables of a model card, each of one protocol.

In: result records, and the fingerprints of a model's weights. Out: one table per data set, probe
and protocol under which *these* weights were measured, with other models for comparison. No number
can appear that is not in a record. Guarded by tests/eval/report/test_protocol_tables.py.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from barcodemae.eval.report.averages import Cell, average, comparable, write_choice
from barcodemae.eval.report.records import ResultRecord


PROBES = {
    "1nn": "1-NN probe",
    "zsc": "Zero-shot clustering",
    "zsc-average": "Zero-shot clustering, average linkage without UMAP",
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


def conditions(record: ResultRecord) -> str:
    """Return what must be equal for two records to share a table, as a key."""
    kept = comparable(record.protocol)
    return json.dumps([record.dataset, record.dataset_hash, record.probe, kept], sort_keys=True)


def show(cell: Cell | None) -> str:
    """Format a cell: the mean and number of several runs, or one value with its interval."""
    if cell is None:
        return ""
    if cell.num_runs > 1:
        return f"{cell.value:.1f} (mean of {cell.num_runs} seeds)"
    if cell.low is None or cell.high is None:
        return f"{cell.value:.1f}"
    return f"{cell.value:.1f} [{cell.low:.1f}, {cell.high:.1f}]"


@dataclass(frozen=True)
class ProtocolRow:
    """One model of a table.

    Attributes:
        model: Name of the model.
        is_subject: Whether it is the model of the card.
        cells: Cells in the order of the table's metrics; None where not measured.
    """

    model: str
    is_subject: bool
    cells: list[Cell | None]

    @property
    def texts(self) -> list[str]:
        """Texts of the cells; empty where not measured."""
        return [show(cell) for cell in self.cells]


@dataclass(frozen=True)
class ProtocolTable:
    """Results that were measured under one protocol.

    Attributes:
        probe: Name of the probe in records.
        dataset: Name of the data set.
        dataset_hash: Fingerprint of the data set's files.
        protocol: Choices of the protocol.
        metrics: Names of the metrics in records, in the order of the columns.
        rows: Row of the card's model first, then those of other models by name.
        commands: Commands that measure these results.
    """

    probe: str
    dataset: str
    dataset_hash: str
    protocol: dict[str, Any]
    metrics: list[str]
    rows: list[ProtocolRow]
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
        """Data set and protocol in one line."""
        choices = [
            f"{name.replace('_', ' ')} {write_choice(name, value)}"
            for name, value in self.protocol.items()
        ]
        return "; ".join([f"data {self.dataset_hash or 'without fingerprint'}", *choices])


def mixes_ranks(record: ResultRecord, others: Iterable[ResultRecord]) -> bool:
    """Whether a record is a harmonic mean of results of two different ranks."""
    if record.probe != "harmonic":
        return False
    nearest, clustered = (
        {
            other.protocol.get("rank")
            for other in others
            if (other.probe, other.weights) == (probe, record.weights)
            and (other.dataset, other.dataset_hash) == (record.dataset, record.dataset_hash)
        }
        for probe in ("1nn", "zsc")
    )
    return bool(nearest and clustered) and nearest.isdisjoint(clustered)


def tabulate(records: Sequence[ResultRecord], fingerprints: set[str]) -> list[ProtocolTable]:
    """Compile records to tables, in the order of `PROBES`.

    Args:
        records: Records of the card's model and of others.
        fingerprints: Fingerprints of the weights of the card's model.

    Returns:
        One table per data set, probe and protocol under which those weights were measured.
    """
    groups: dict[str, list[ResultRecord]] = {}
    for record in records:
        is_shown = record.probe in PROBES and record.metric in METRICS
        if is_shown and not mixes_ranks(record, records):
            groups.setdefault(conditions(record), []).append(record)
    tables = [
        make_table(group, fingerprints)
        for group in groups.values()
        if any(record.weights in fingerprints for record in group)
    ]
    return sorted(tables, key=lambda table: (list(PROBES).index(table.probe), table.dataset))


def make_table(group: list[ResultRecord], fingerprints: set[str]) -> ProtocolTable:
    """Compile the table of records that share data set, probe and protocol."""
    first = next(record for record in group if record.weights in fingerprints)
    metrics = [name for name in METRICS if any(record.metric == name for record in group)]
    by_model: dict[tuple[bool, str, str], list[ResultRecord]] = {}
    for record in group:
        if record.weights in fingerprints:
            key = (False, "", "")  # sorts first
        else:
            key = (True, record.model, record.weights)
        by_model.setdefault(key, []).append(record)
    rows = [make_row(by_model[key], metrics, fingerprints) for key in sorted(by_model)]
    commands = list(dict.fromkeys(record.command for record in group if record.command))
    return ProtocolTable(
        probe=first.probe,
        dataset=first.dataset,
        dataset_hash=first.dataset_hash,
        protocol=comparable(first.protocol),
        metrics=metrics,
        rows=rows,
        commands=commands,
    )


def make_row(
    records: list[ResultRecord], metrics: list[str], fingerprints: set[str]
) -> ProtocolRow:
    """Compile the row of one model: the mean of its records for each metric."""
    by_metric = [[r for r in records if r.metric == metric] for metric in metrics]
    return ProtocolRow(
        records[0].model,
        records[0].weights in fingerprints,
        [average(found) if found else None for found in by_metric],
    )
