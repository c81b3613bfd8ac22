"""Plot of a leaderboard: 1-NN accuracy against clustering AMI, with curves of equal harmonic mean.

In: a leaderboard. Out: a figure file whose axes reach as far as its points, each with its name.
Guarded by tests/eval/report/test_plots.py.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from barcodemae.errors import SettingsError
from barcodemae.eval.report.averages import Cell
from barcodemae.eval.report.colors import COLORS
from barcodemae.eval.report.figures import MARKERS, new_figure, save_figure
from barcodemae.eval.report.leaderboard import CLUSTERING, HARMONIC, NEAREST, Row, Table
from barcodemae.eval.report.table_text import OURS


LEAST_SPAN = 10.0  # of an axis, points of percent
MARGIN = 0.12  # of the span of the points
STEPS = (1, 2, 5, 10)  # between curves of equal harmonic mean
MOST_CURVES = 7
# Where a label may stand: distance from its point in typographic points, nearest first.
DISTANCES = (6, 14, 24, 38, 54, 72, 94)
DIRECTIONS = ((1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1), (1, 0), (-1, 0))


def plot_table(table: Table, path: Path) -> None:
    """Draw all rows that have both numbers.

    Raises:
        SettingsError: No row has both.
    """
    rows = [row for row in table.rows if NEAREST in row.cells and CLUSTERING in row.cells]
    if not rows:
        raise SettingsError("no row has both a 1-NN accuracy and an AMI, so there is no figure")
    figure, axes = new_figure(6.4, 6.0)
    for index, row in enumerate(rows):
        draw_row(axes, row, index)
    axes.set(
        xlim=limits([row.cells[NEAREST] for row in rows]),
        ylim=limits([row.cells[CLUSTERING] for row in rows]),
        xlabel="1-NN accuracy, unseen species (%)",
        ylabel="zero-shot clustering AMI (%)",
    )
    if HARMONIC in table.columns:
        draw_harmonic_curves(axes)
    write_names(figure, axes, rows)
    save_figure(figure, path)


def limits(cells: Sequence[Cell]) -> tuple[float, float]:
    """Return the ends of an axis: those of the points with their intervals, and a margin."""
    low = min(cell.value if cell.low is None else cell.low for cell in cells)
    high = max(cell.value if cell.high is None else cell.high for cell in cells)
    span = max(high - low, LEAST_SPAN)
    middle = (low + high) / 2
    reach = (0.5 + MARGIN) * span
    return max(middle - reach, 0.0), min(middle + reach, 100.0)


def draw_harmonic_curves(axes: Axes) -> None:
    """Draw some curves of equal harmonic mean, each with its number where it leaves the axes."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()

    def mean_at(x: float, y: float) -> float:
        return 2 * x * y / max(x + y, 1e-9)

    lowest, highest = mean_at(left, bottom), mean_at(right, top)
    step = next((s for s in STEPS if (highest - lowest) / s <= MOST_CURVES), STEPS[-1])
    for mean in range(int(np.ceil(lowest / step)) * step, int(np.ceil(highest)), step):
        if mean <= 0:
            continue
        # The curve is y = mean x / (2 x - mean); it comes in from the top or from the left.
        first = max(left, mean * top / (2 * top - mean) if 2 * top > mean else right)
        x = np.linspace(max(first, mean / 2 + 1e-6), right, 200)
        y = mean * x / (2 * x - mean)
        axes.plot(x, y, color="0.85", linewidth=0.8, zorder=0, scaley=False, scalex=False)
        end = (right, y[-1]) if y[-1] >= bottom else (mean * bottom / (2 * bottom - mean), bottom)
        axes.annotate(
            str(mean), end, xytext=(-3, 2), textcoords="offset points", color="0.5", fontsize=7,
            ha="right", va="bottom",
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
        alpha=0.9,
        zorder=3,
    )


def offsets() -> Iterator[tuple[float, float]]:
    """Yield the places of a label, relative to its point, from the best to the worst."""
    for distance in DISTANCES:
        for x, y in DIRECTIONS:
            yield x * distance, y * distance


def write_names(figure: Figure, axes: Axes, rows: Sequence[Row]) -> None:
    """Write the name of each row beside its point, with a line to it where it stands far away."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()  # settles where the axes are
    frame = axes.get_window_extent(renderer)
    places = [(row.cells[NEAREST].value, row.cells[CLUSTERING].value) for row in rows]
    taken = [box for row in rows for box in boxes_of(axes, row)]
    for index, (row, place) in enumerate(zip(rows, places, strict=True)):
        for x, y in offsets():
            text = axes.annotate(
                f"{row.model} {OURS}" if row.is_ours else row.model,
                place, xytext=(x, y), textcoords="offset points", fontsize=7.5,
                color=COLORS[index % len(COLORS)], zorder=4,
                ha="left" if x > 0 else "right" if x < 0 else "center",
                va="bottom" if y > 0 else "top" if y < 0 else "center",
                arrowprops={"arrowstyle": "-", "linewidth": 0.5, "color": "0.6", "shrinkB": 4}
                if max(abs(x), abs(y)) > DISTANCES[1] else None,
            )  # fmt: skip
            box = text.get_window_extent(renderer)
            is_inside = frame.x0 <= box.x0 and box.x1 <= frame.x1
            is_inside = is_inside and frame.y0 <= box.y0 and box.y1 <= frame.y1
            if is_inside and not any(box.overlaps(other) for other in taken):
                break
            text.remove()
        else:  # no room anywhere: better over something than missing
            text = axes.annotate(row.model, place, fontsize=7.5)
            box = text.get_window_extent(renderer)
        taken.append(box)


def boxes_of(axes: Axes, row: Row) -> list[Bbox]:
    """Return what a point covers on the page, in pixels: its marker and its two intervals."""
    x, y = row.cells[NEAREST], row.cells[CLUSTERING]
    ends = [
        (
            cell.value if cell.low is None else cell.low,
            cell.value if cell.high is None else cell.high,
        )
        for cell in (x, y)
    ]
    left, bottom = axes.transData.transform((ends[0][0], ends[1][0]))
    right, top = axes.transData.transform((ends[0][1], ends[1][1]))
    middle, level = axes.transData.transform((x.value, y.value))
    return [
        Bbox.from_bounds(middle - 6, level - 6, 12, 12),
        Bbox.from_extents(left, level - 1, right, level + 1),
        Bbox.from_extents(middle - 1, bottom, middle + 1, top),
    ]
