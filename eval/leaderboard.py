"""The published table, compiled from results files: Markdown, CSV or LaTeX.

In: result records. Out: one row per model with 1-NN accuracy, clustering AMI, their harmonic mean
and whatever else was measured; best bold, second underlined, 95 % intervals. Numbers of different
protocols never share a column. Guarded by tests/eval/test_leaderboard.py.
"""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from barcodemae.errors import SettingsError
from barcodemae.eval.records import ResultRecord
from barcodemae.eval.scores import harmonic_mean


NOT_AVAILABLE = "weights not available here"
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
        is_available: False for a system whose weights could not be had.
    """

    model: str
    architecture: str = ""
    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)
    is_available: bool = True


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
    choices = ", ".join(f"{name} {value}" for name, value in comparable(first.protocol).items())
    seeds = len({record.seed for record in records})
    trained = len({record.training_seed for record in records} - {None})
    repeats = f"{seeds} seed(s)" + (f", {trained} training seed(s)" if trained else "")
    data = f"{first.dataset} ({first.dataset_hash})"
    return f"{COLUMNS[column]}: {data}; {choices}; {repeats}"


def fill_column(
    rows: dict[str, Row], records: Sequence[ResultRecord], column: tuple[str, str]
) -> None:
    """Average one column's records into the rows."""
    check_one_protocol(records)
    for model, row in rows.items():
        own = [record for record in records if record.model == model]
        if own:
            row.cells[column] = average(own)


def build_table(records: Sequence[ResultRecord], missing: Sequence[str] = ()) -> Table:
    """Arrange records as a table.

    Args:
        records: From results files; probes that have no column (the masking study) are ignored.
        missing: Names of systems to list without numbers.

    Raises:
        SettingsError: Nothing to show, or records that must not be compared.
    """
    shown = [r for r in records if (r.probe, r.metric) in COLUMNS and r.probe != "harmonic"]
    if not shown:
        raise SettingsError("the results hold no record of a probe that the table shows")
    check_one_model(shown)
    rows: dict[str, Row] = {}
    for record in shown:
        row = rows.setdefault(record.model, Row(record.model))
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
    absent = [Row(name, is_available=False) for name in missing if name not in rows]
    return Table([*absent, *rows.values()], columns, notes)


def add_harmonic_mean(row: Row) -> None:
    """Combine 1-NN accuracy and AMI, if a row has both."""
    parts = [row.cells.get(("1nn", "accuracy")), row.cells.get(("zsc", "ami"))]
    values = [cell.value for cell in parts if cell is not None]
    if len(values) == len(parts):
        row.cells["harmonic", "harmonic_mean"] = Cell(harmonic_mean(values))


def show(cell: Cell) -> str:
    """Write a value with its interval, one decimal."""
    if cell.low is None or cell.high is None:
        return f"{cell.value:.1f}"
    return f"{cell.value:.1f} ({cell.low:.1f}-{cell.high:.1f})"


def emphasised(
    table: Table, row: Row, column: tuple[str, str], *, best: str, second: str, nothing: str
) -> str:
    """Write a cell, the best and second best of its column through a format string."""
    if column not in row.cells:
        return nothing
    cell = row.cells[column]
    if cell.value == table.rank(column, 0):
        return best.format(show(cell))
    if cell.value == table.rank(column, 1):
        return second.format(show(cell))
    return show(cell)


def render_markdown(table: Table) -> str:
    """Render for GitHub and the Hub."""
    header = ["architecture", "model", *(COLUMNS[column] for column in table.columns)]
    lines = [header, ["---"] * 2 + ["---:"] * len(table.columns)]
    for row in table.rows:
        cells = [
            emphasised(table, row, column, best="**{}**", second="<u>{}</u>", nothing="-")
            for column in table.columns
        ]
        if not row.is_available:
            cells = [NOT_AVAILABLE, *["-"] * (len(cells) - 1)]
        lines.append([row.architecture or "-", row.model, *cells])
    body = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return body + "".join(f"\n{note}\n" for note in table.notes)


def render_csv(table: Table) -> str:
    """Render for spreadsheets: every number in full, intervals in columns of their own."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = ["_".join(column) for column in table.columns]
    ends = [f"{name}{end}" for name in names for end in ("", "_low", "_high")]
    writer.writerow(["architecture", "model", *ends, "note"])
    for row in table.rows:
        numbers: list[float | str | None] = []
        for column in table.columns:
            cell = row.cells.get(column)
            numbers += ["", "", ""] if cell is None else [cell.value, cell.low, cell.high]
        note = "" if row.is_available else NOT_AVAILABLE
        writer.writerow([row.architecture, row.model, *numbers, note])
    return stream.getvalue()


def escape_latex(text: str) -> str:
    """Escape what LaTeX would read as its own."""
    for letter in "&%$#_{}":
        text = text.replace(letter, f"\\{letter}")
    return text


def render_latex(table: Table) -> str:
    """Render a booktabs table."""
    header = ["architecture", "model", *(COLUMNS[column] for column in table.columns)]
    lines = ["\\begin{tabular}{ll" + "r" * len(table.columns) + "}", "\\toprule"]
    lines += [" & ".join(escape_latex(name) for name in header) + r" \\", "\\midrule"]
    for row in table.rows:
        cells = [
            emphasised(
                table, row, column, best=r"\textbf{{{}}}", second=r"\underline{{{}}}", nothing="--"
            )
            for column in table.columns
        ]
        if not row.is_available:
            cells = [f"\\multicolumn{{{len(cells)}}}{{c}}{{{NOT_AVAILABLE}}}"]
        names = [escape_latex(row.architecture or "--"), escape_latex(row.model)]
        lines.append(" & ".join([*names, *cells]) + r" \\")
    lines += ["\\bottomrule", "\\end{tabular}"]
    lines += [f"% {note}" for note in table.notes]
    return "\n".join(lines) + "\n"


RENDERERS: dict[str, Callable[[Table], str]] = {
    "markdown": render_markdown,
    "csv": render_csv,
    "latex": render_latex,
}


def render_table(table: Table, output_format: str) -> str:
    """Render a table.

    Raises:
        SettingsError: An unknown format.
    """
    if output_format not in RENDERERS:
        raise SettingsError(f"format {output_format!r} is not one of {', '.join(RENDERERS)}")
    return RENDERERS[output_format](table)
