"""Text of a leaderboard: Markdown, CSV or LaTeX, best value bold, second best underlined.

In: a `Table`. Out: text with 95 % intervals, in which our rows and unavailable systems are marked.
Guarded by tests/eval/report/test_leaderboard.py.
"""

import csv
import io
from collections.abc import Callable

from barcodemae.errors import SettingsError
from barcodemae.eval.report.averages import Cell
from barcodemae.eval.report.leaderboard import COLUMNS, Column, Row, Table


NOT_AVAILABLE = "weights not available here"
OURS = "(ours)"


def show(cell: Cell) -> str:
    """Format a value with its interval, with one decimal."""
    if cell.low is None or cell.high is None:
        return f"{cell.value:.1f}"
    return f"{cell.value:.1f} ({cell.low:.1f}-{cell.high:.1f})"


def emphasised(
    table: Table, row: Row, column: Column, *, best: str, second: str, nothing: str
) -> str:
    """Format a cell of the table.

    Args:
        table: Leaderboard.
        row: Row of the cell.
        column: Column of the cell.
        best: Format string for the best value of the column.
        second: Format string for the second best.
        nothing: Text of a cell without value.
    """
    if column not in row.cells:
        return nothing
    cell = row.cells[column]
    if cell.value == table.rank(column, 0):
        return best.format(show(cell))
    if cell.value == table.rank(column, 1):
        return second.format(show(cell))
    return show(cell)


def unavailable_note(table: Table) -> list[str]:
    """Return one line, if needed, that names unavailable systems and where their weights are."""
    absent = [f"{row.model} from {row.weights}" for row in table.rows if row.weights is not None]
    return [f"{NOT_AVAILABLE}, so not measured: {', '.join(absent)}"] if absent else []


def render_markdown(table: Table) -> str:
    """Render Markdown for GitHub and the Hub."""
    header = ["architecture", "model", *(COLUMNS[column] for column in table.columns)]
    lines = [header, ["---"] * 2 + ["---:"] * len(table.columns)]
    for row in table.rows:
        cells = [
            emphasised(table, row, column, best="**{}**", second="<u>{}</u>", nothing="-")
            for column in table.columns
        ]
        if row.weights is not None:
            cells = [f"*{NOT_AVAILABLE}*", *["-"] * (len(cells) - 1)]
        name = f"{row.model} {OURS}" if row.is_ours else row.model
        lines.append([row.architecture or "-", name, *cells])
    body = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return body + "".join(f"\n{note}\n" for note in [*table.notes, *unavailable_note(table)])


def render_csv(table: Table) -> str:
    """Render CSV: numbers in full precision, ends of intervals in columns of their own."""
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
        note = "ours" if row.is_ours else ""
        note = note if row.weights is None else NOT_AVAILABLE
        writer.writerow([row.architecture, row.model, *numbers, note])
    return stream.getvalue()


def escape_latex(text: str) -> str:
    """Escape the characters that have a meaning in LaTeX."""
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
        if row.weights is not None:
            cells = [f"\\multicolumn{{{len(cells)}}}{{c}}{{{NOT_AVAILABLE}}}"]
        name = f"{row.model} {OURS}" if row.is_ours else row.model
        names = [escape_latex(row.architecture or "--"), escape_latex(name)]
        lines.append(" & ".join([*names, *cells]) + r" \\")
    lines += ["\\bottomrule", "\\end{tabular}"]
    lines += [f"% {note}" for note in [*table.notes, *unavailable_note(table)]]
    return "\n".join(lines) + "\n"


RENDERERS: dict[str, Callable[[Table], str]] = {
    "markdown": render_markdown,
    "csv": render_csv,
    "latex": render_latex,
}


def render_table(table: Table, output_format: str) -> str:
    """Render a leaderboard in one of `RENDERERS`.

    Raises:
        SettingsError: The format is unknown.
    """
    if output_format not in RENDERERS:
        raise SettingsError(f"format {output_format!r} is not one of {', '.join(RENDERERS)}")
    return RENDERERS[output_format](table)
