"""A map as a picture: in the colours shown at first, with labels that do not cover each other.

In: `MapPoints`. Out: a figure file. Guarded by tests/eval/report/maps/test_picture.py.

Shapes: N = barcodes.
"""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

from barcodemae.eval.report.figures import new_figure, save_figure
from barcodemae.eval.report.maps.points import Coloring, MapPoints


MAX_LABELS = 60
RIM_COLOR = "#8A9199"


def write_picture(points: MapPoints, title: str, path: Path) -> None:
    """Draw a map as a picture.

    Args:
        points: Points with at least one way to colour them.
        title: Title of the figure.
        path: File to write.
    """
    figure, axes = new_figure(7.2, 5.4)
    coloring = points.colorings[points.shown]
    size = float(np.clip(20_000 / len(points.lines), 1.5, 14))
    if coloring.rest:
        x, y = points.places[coloring.rest, 0], points.places[coloring.rest, 1]
        label = f"{coloring.rest_name} ({len(coloring.rest)})"
        axes.scatter(
            x, y, s=size, facecolors="none", edgecolors=RIM_COLOR, linewidths=0.5, label=label
        )
        axes.legend(loc="upper right", fontsize=7, borderpad=0.2, handletextpad=0.1)
    for group in reversed(coloring.groups):
        x, y = points.places[group.rows, 0], points.places[group.rows, 1]
        axes.scatter(x, y, s=size, c=group.color, linewidths=0, alpha=0.85)
    axes.set(xticks=[], yticks=[], xlabel="UMAP 1 (no unit)", ylabel="UMAP 2 (no unit)")
    axes.set_title(f"{title}; colours: {coloring.title}", fontsize=9)
    write_labels(figure, axes, points, coloring)
    save_figure(figure, path)


def write_labels(figure: Figure, axes: Axes, points: MapPoints, coloring: Coloring) -> int:
    """Write the names of groups beside their points, the largest first, where there is room.

    Returns:
        Number of labels written.
    """
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()  # settles where the axes are
    frame = axes.get_window_extent(renderer)
    taken: list[Bbox] = []
    for group in coloring.groups[:MAX_LABELS]:
        text = axes.annotate(
            group.name, group.anchor(points.places), xytext=(0, 4), textcoords="offset points",
            ha="center", va="bottom", fontsize=7,
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )  # fmt: skip
        box = text.get_window_extent(renderer)
        is_inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and box.y1 <= frame.y1
        if not is_inside or any(box.overlaps(other) for other in taken):
            text.remove()
        else:
            taken.append(box)
    return len(taken)
