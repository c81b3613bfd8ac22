"""Plot of a leaderboard: 1-NN accuracy against clustering AMI, with curves of equal harmonic mean.

In: a leaderboard. Out: a figure file. Guarded by tests/eval/report/test_plots.py.
"""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from barcodemae.errors import SettingsError
from barcodemae.eval.report.colors import COLORS
from barcodemae.eval.report.figures import MARKERS, new_figure, save_figure
from barcodemae.eval.report.leaderboard import CLUSTERING, HARMONIC, NEAREST, Row, Table
from barcodemae.eval.report.table_text import OURS


def plot_table(table: Table, path: Path) -> None:
    """Draw all rows that have both numbers.

    Raises:
        SettingsError: No row has both.
    """
    rows = [row for row in table.rows if NEAREST in row.cells and CLUSTERING in row.cells]
    if not rows:
        raise SettingsError("no row has both a 1-NN accuracy and an AMI, so there is no figure")
    figure, axes = new_figure(6.4, 3.7)
    if HARMONIC in table.columns:
        draw_harmonic_curves(axes)
    for index, row in enumerate(rows):
        draw_row(axes, row, index)
    axes.set(
        xlim=(0, 100),
        ylim=(0, 100),
        xlabel="1-NN accuracy, unseen species (%)",
        ylabel="zero-shot clustering AMI (%)",
    )
    axes.set_box_aspect(1)
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    save_figure(figure, path)


def draw_harmonic_curves(axes: Axes) -> None:
    """Draw the curves of equal harmonic mean, from 10 to 90."""
    for mean in range(10, 100, 10):
        x = np.geomspace(mean * 100 / (200 - mean), 100, 200)  # from the point where the AMI is 100
        axes.plot(x, mean * x / (2 * x - mean), color="0.85", linewidth=0.8, zorder=0)
        axes.annotate(
            str(mean), (mean, mean), color="0.6", fontsize=7, ha="center", va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5}, zorder=1,
        )  # fmt: skip


def draw_row(axes: Axes, row: Row, index: int) -> None:
    """Draw the point of one model with its intervals."""
    x, y = row.cells[NEAREST], row.cells[CLUSTERING]
    spans = [
        None if cell.low is None or cell.high is None
        else [[max(cell.value - cell.low, 0)], [max(cell.high - cell.value, 0)]]
        for cell in (x, y)
    ]  # fmt: skip
    axes.errorbar(
        x.value,
        y.value,
        xerr=spans[0],
        yerr=spans[1],
        fmt=MARKERS[index % len(MARKERS)],
        color=COLORS[index % len(COLORS)],
        markersize=6,
        elinewidth=0.8,
        label=f"{row.model} {OURS}" if row.is_ours else row.model,
        zorder=3,
    )
