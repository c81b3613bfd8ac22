"""Leaderboard: the published table, compiled from result records.

In: result records, and other systems that belong in the table. Out: one row per model with 1-NN
accuracy, clustering AMI, their harmonic mean and the other probes that were run; `table_text.py`
formats it. Numbers of different protocols never share a column.
Guarded by tests/eval/report/test_leaderboard.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from barcodemae.errors import SettingsError
from barcodemae.eval.probe.scores import harmonic_mean
from barcodemae.eval.report.averages import Cell, average, comparable, write_choice
from barcodemae.eval.report.records import ResultRecord
from barcodemae.eval.report.systems import NO_SYSTEMS, Systems


Column = tuple[str, str]  # probe, metric
NEAREST: Column = ("1nn", "accuracy")
CLUSTERING: Column = ("zsc", "ami")
AVERAGE_LINKAGE: Column = ("zsc-average", "ami")
HARMONIC: Column = ("harmonic", "harmonic_mean")
COLUMNS: dict[Column, str] = {
    NEAREST: "1-NN accuracy (%)",
    CLUSTERING: "ZSC AMI (%)",
    AVERAGE_LINKAGE: "AMI, average linkage (%)",
    HARMONIC: "harmonic mean",
    ("linear", "accuracy"): "linear accuracy (%)",
    ("logistic", "accuracy"): "logistic accuracy (%)",
    ("finetune", "accuracy"): "fine-tuned accuracy (%)",
}
ALWAYS_SHOWN = (NEAREST, CLUSTERING, HARMONIC)  # columns of the published table


@dataclass
class Row:
    """One model of the table.

    Attributes:
        model: Name of the model.
        architecture: Architecture of the model, e.g. `encoder-only`.
        cells: Column -> cell.
        is_ours: Whether it is a model of those who make the table.
        weights: Where the weights of a system that was not available are published; None if the
            system was measured.
    """

    model: str
    architecture: str = ""
    cells: dict[Column, Cell] = field(default_factory=dict)
    is_ours: bool = False
    weights: str | None = None


@dataclass(frozen=True)
class Table:
    """A leaderboard.

    Attributes:
        rows: Rows of the table.
        columns: Columns that are shown.
        notes: One line per column on how it was measured.
    """

    rows: list[Row]
    columns: list[Column]
    notes: list[str]

    def rank(self, column: Column, place: int) -> float | None:
        """Return the best (place 0) or second best (place 1) value of a column, None without it."""
        values = {row.cells[column].value for row in self.rows if column in row.cells}
        ordered = sorted(values, reverse=True)
        return ordered[place] if place < len(ordered) and len(ordered) > 1 else None


def check_one_protocol(records: Sequence[ResultRecord]) -> None:
    """Check that the records of a column are comparable.

    Raises:
        SettingsError: Two records differ in data set or protocol.
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
    """Check that each name belongs to one model, so that no row mixes two.

    Raises:
        SettingsError: Two sets of weights have the same name.
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


def describe(records: Sequence[ResultRecord], column: Column, cells: dict[str, Cell]) -> str:
    """Describe in one line how a column was measured.

    Args:
        records: Records of the column.
        column: Column.
        cells: Name of a row -> its cell in the column.
    """
    first = records[0]
    choices = ", ".join(
        f"{name} {write_choice(name, value)}" for name, value in comparable(first.protocol).items()
    )
    data = f"{first.dataset} ({first.dataset_hash})"
    return f"{COLUMNS[column]}: {data}; {choices}; {describe_repeats(cells)}"


def describe_repeats(cells: dict[str, Cell]) -> str:
    """Describe with how many seeds the rows of a column were measured, and name them if needed."""
    rows: dict[str, list[str]] = {}
    for model, cell in cells.items():
        rows.setdefault(cell.repeats, []).append(model)
    if len(rows) == 1:
        return next(iter(rows))
    return ", ".join(f"{repeats} ({', '.join(models)})" for repeats, models in rows.items())


def build_table(records: Sequence[ResultRecord], systems: Systems = NO_SYSTEMS) -> Table:
    """Compile records to a leaderboard.

    Args:
        records: Result records; those of probes without a column (the masking study) are ignored.
        systems: Patterns of the rows that are ours, and systems to list without numbers.

    Raises:
        SettingsError: There is nothing to show, or records are not comparable.
    """
    shown = [r for r in records if (r.probe, r.metric) in COLUMNS and r.probe != HARMONIC[0]]
    if not shown:
        raise SettingsError("the results hold no record of a probe that the table shows")
    check_one_model(shown)
    # Make one row per model.
    rows: dict[str, Row] = {}
    for record in shown:
        is_ours = systems.is_ours(record.model)
        row = rows.setdefault(record.model, Row(record.model, is_ours=is_ours))
        row.architecture = row.architecture or record.architecture
    # Fill the columns.
    by_column = {
        column: [record for record in shown if (record.probe, record.metric) == column]
        for column in COLUMNS
    }
    measured = {column: found for column, found in by_column.items() if found}
    notes = [fill_column(rows, found, column) for column, found in measured.items()]
    columns = [column for column in COLUMNS if column in measured or column in ALWAYS_SHOWN]
    # Add the harmonic mean, unless its two parts do not belong together.
    clash = find_clash(measured)
    if clash is None:
        add_harmonic_means(list(rows.values()))
    else:
        columns.remove(HARMONIC)
        notes.append(clash)
    # List the systems that were not available.
    absent = [
        Row(system.model, system.architecture, weights=system.weights)
        for system in systems.unavailable
        if system.model not in rows
    ]
    return Table([*rows.values(), *absent], columns, notes)


def fill_column(rows: dict[str, Row], records: Sequence[ResultRecord], column: Column) -> str:
    """Fill one column with the means of its records; return how it was measured."""
    check_one_protocol(records)
    for model, row in rows.items():
        own = [record for record in records if record.model == model]
        if own:
            row.cells[column] = average(own)
    cells = {model: row.cells[column] for model, row in rows.items() if column in row.cells}
    return describe(records, column, cells)


def find_clash(measured: dict[Column, list[ResultRecord]]) -> str | None:
    """Say why 1-NN accuracy and AMI have no harmonic mean: another rank or data set.

    Args:
        measured: Column -> its records, all of one protocol.

    Returns:
        The reason, None if they have one.
    """
    measured_on = {
        column: f"{found[0].protocol.get('rank')} on {found[0].dataset} ({found[0].dataset_hash})"
        for column, found in measured.items()
        if column in (NEAREST, CLUSTERING)
    }
    if len(set(measured_on.values())) < 2:
        return None
    parts = [
        f"{COLUMNS[column].removesuffix(' (%)')} is of {what}"
        for column, what in measured_on.items()
    ]
    return f"no harmonic mean: {', '.join(parts)}"


def add_harmonic_means(rows: Sequence[Row]) -> None:
    """Add the harmonic mean of 1-NN accuracy and AMI to the rows that have both."""
    for row in rows:
        if NEAREST in row.cells and CLUSTERING in row.cells:
            values = [row.cells[column].value for column in (NEAREST, CLUSTERING)]
            row.cells[HARMONIC] = Cell(harmonic_mean(values))
