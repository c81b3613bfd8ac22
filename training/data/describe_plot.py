"""Picture of a data set: a treemap of orders and families (or deeper ranks), lengths, partitions.

In: a description from `describe_dataset`. Out: a picture in the format 16:9. The areas of the
treemap are proportional to numbers of barcodes. Guarded by
tests/training/data/test_describe_plot.py.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from barcodemae.errors import SettingsError
from barcodemae.files import whole_file
from barcodemae.training.data.describe import UNNAMED


if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".png", ".svg", ".pdf")
NUM_ORDERS = 14  # drawn one by one; the others share a tile
NUM_FAMILIES = 24  # of each order, likewise
# Colours of Okabe and Ito, which are distinct with any colour vision, then lighter and darker ones.
COLOURS = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8AA26"),
    *("#5B7FA6", "#8C6D31", "#5FA08A", "#8E5A7D", "#7FA7C4", "#A65A38", "#88883E"),
)
GREY, INK = "#B4B8BD", "#22262B"
WIDTH, HEIGHT = 16.0, 9.0  # of the picture, in inches; the treemap is laid out in inches too


class Rectangle(NamedTuple):
    """A rectangle with one corner at (x, y)."""

    x: float
    y: float
    width: float
    height: float


def squarify(sizes: Sequence[float], space: Rectangle) -> list[Rectangle]:
    """Divide a rectangle into tiles of given relative areas that are close to squares.

    This is the squarified treemap of Bruls, Huizing and van Wijk (2000).

    Args:
        sizes: Relative areas of the tiles, positive, the largest first.
        space: Rectangle to divide.

    Returns:
        One tile for each size, in order.
    """
    areas = np.array(sizes, dtype=float)
    areas *= space.width * space.height / areas.sum()
    tiles: list[Rectangle] = []
    first = 0
    while first < len(areas):
        side = min(space.width, space.height)
        last = first + 1
        while last < len(areas) and _worst_ratio(areas[first : last + 1], side) <= _worst_ratio(
            areas[first:last], side
        ):
            last += 1
        row, space = _place_row(areas[first:last], space)
        tiles += row
        first = last
    return tiles


def _worst_ratio(areas: np.ndarray[Any, Any], side: float) -> float:
    """Compute the largest aspect ratio of tiles that form one row along a side."""
    depth = areas.sum() / side
    return float(np.maximum(areas / depth**2, depth**2 / areas).max())


def _place_row(areas: np.ndarray[Any, Any], space: Rectangle) -> tuple[list[Rectangle], Rectangle]:
    """Place a row of tiles along the shorter side; return the row and the remaining space."""
    x, y, width, height = space
    if width >= height:
        depth = areas.sum() / height
        ends = np.cumsum(areas / depth)
        row = [
            Rectangle(x, y + end - area / depth, depth, area / depth)
            for end, area in zip(ends, areas, strict=True)
        ]
        return row, Rectangle(x + depth, y, width - depth, height)
    depth = areas.sum() / width
    ends = np.cumsum(areas / depth)
    row = [
        Rectangle(x + end - area / depth, y, area / depth, depth)
        for end, area in zip(ends, areas, strict=True)
    ]
    return row, Rectangle(x, y + depth, width, height - depth)


def largest(counts: dict[str, int], limit: int) -> dict[str, int]:
    """Keep the largest named entries, the sum of the others, and the unnamed one.

    Args:
        counts: Name -> count, the largest first.
        limit: Number of named entries to keep.

    Returns:
        The entries, the largest first.
    """
    named = [name for name in counts if name != UNNAMED]
    kept = {name: counts[name] for name in named[:limit]}
    rest = {f"{len(named) - limit} others": sum(counts[name] for name in named[limit:])}
    rest |= {UNNAMED: counts.get(UNNAMED, 0)}
    kept |= {name: count for name, count in rest.items() if count}
    return dict(sorted(kept.items(), key=lambda item: -item[1]))


def draw_dataset(description: dict[str, Any], path: Path) -> None:
    """Draw the picture of a data set.

    Args:
        description: From `describe_dataset`.
        path: File to write; its suffix decides the format: png, svg or pdf.

    Raises:
        SettingsError: The file has another suffix.
    """
    if path.suffix.lower() not in FORMATS:
        raise SettingsError(f"{path.name}: the suffix must be one of {', '.join(FORMATS)}")
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "font.family": "DejaVu Sans",
        "text.color": INK,
        "svg.hashsalt": "barcodemae",
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(WIDTH, HEIGHT), facecolor="white")
        FigureCanvasAgg(figure)
        _write_title(figure, description)
        _draw_treemap(figure.add_axes((0.03, 0.04, 0.63, 0.80)), description["treemap"])
        _draw_lengths(figure.add_axes((0.725, 0.56, 0.25, 0.27)), description["lengths"])
        _draw_partitions(figure.add_axes((0.775, 0.06, 0.185, 0.37)), description["partitions"])
        with whole_file(path) as file:
            figure.savefig(file, dpi=150)


def _write_title(figure: Any, description: dict[str, Any]) -> None:
    labels = description["labels"]
    name = Path(description["directory"]).resolve().name
    figure.text(
        0.03, 0.925, f"{description['num_barcodes']:,} DNA barcodes", size=30, weight="bold"
    )
    parts = [
        f"{labels[rank]['distinct']:,} {plural}"
        for rank, plural in (
            *(("order", "orders"), ("family", "families"), ("genus", "genera")),
            *(("species", "species"), ("dna_bin", "BINs")),
        )
        if labels[rank]["distinct"]
    ]
    figure.text(0.03, 0.873, f"{name}: " + ", ".join(parts), size=15, color="#5A6068")


def _draw_treemap(axes: "Axes", treemap: dict[str, Any]) -> None:
    orders = treemap["counts"]
    axes.set_axis_off()
    space = Rectangle(0, 0, 0.63 * WIDTH, 0.80 * HEIGHT)
    axes.set_xlim(0, space.width)
    axes.set_ylim(space.height, 0)
    totals = {order: sum(families.values()) for order, families in orders.items()}
    shown = largest(totals, NUM_ORDERS)
    colour_of = dict(zip([name for name in totals if name != UNNAMED], COLOURS, strict=False))
    for (order, count), tile in zip(
        shown.items(), squarify(list(shown.values()), space), strict=True
    ):
        families = largest(orders[order], NUM_FAMILIES) if order in colour_of else {order: count}
        title = f"{treemap['ranks'][0]} unknown" if order == UNNAMED else order
        _draw_order(axes, tile, title, families, colour_of.get(order, GREY))


def _draw_order(
    axes: "Axes", tile: Rectangle, title: str, families: dict[str, int], colour: str
) -> None:
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Rectangle as Patch

    inner = squarify(list(families.values()), tile)
    base = np.array(to_rgb(colour))
    for number, (family, part) in enumerate(zip(families, inner, strict=True)):
        tint = 1 - (1 - base) * (1 - 0.45 * number / max(len(inner), 8))
        axes.add_patch(
            Patch((part.x, part.y), part.width, part.height, fc=tint, ec="white", lw=0.7)
        )
        if (
            part.width > 0.075 * len(family)
            and part.height > 0.62
            and family not in (title, UNNAMED)
        ):
            axes.text(
                part.x + 0.07, part.y + part.height - 0.08, family, size=8, color="white",
                va="bottom", alpha=0.95,
            )  # fmt: skip
    axes.add_patch(Patch((tile.x, tile.y), tile.width, tile.height, fc="none", ec="white", lw=3.5))
    # A bold letter is about 0.68 times as wide as the font size, which is in 1/72 inch.
    size = min(19.0, 72 * (tile.width - 0.2) / (0.68 * len(title)), 42 * tile.height)
    if size >= 6:
        axes.text(
            tile.x + 0.1, tile.y + 0.09, title, size=size, weight="bold", color="white", va="top"
        )


def _draw_lengths(axes: "Axes", lengths: dict[int, int]) -> None:
    values, counts = np.array(list(lengths)), np.array(list(lengths.values()))
    low, high = int(values.min()) // 10 * 10, int(values.max()) // 10 * 10 + 10
    step = max(10, (high - low) // 40 // 10 * 10)
    edges = np.arange(low, high + step, step)
    heights, _ = np.histogram(values, bins=edges, weights=counts)
    axes.bar(edges[:-1], heights, width=step * 0.92, align="edge", color=COLOURS[0])
    axes.set_title("Length (bp)", loc="left", size=15, weight="bold", pad=10)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(colors="#5A6068", labelsize=11, length=0)
    axes.yaxis.set_major_formatter(lambda value, _: short_number(value))
    axes.locator_params(axis="y", nbins=4)
    axes.grid(axis="y", color="#E3E6E9", lw=0.8)
    axes.set_axisbelow(True)


def _draw_partitions(axes: "Axes", partitions: dict[str, dict[str, Any]]) -> None:
    names = list(partitions)
    counts = [partitions[name]["barcodes"] for name in names]
    axes.barh(names, counts, color=[COLOURS[0] if "unseen" not in n else COLOURS[1] for n in names])
    axes.set_xscale("log")
    axes.set_xlim(max(1, min(counts) / 4), max(counts) * 6)
    axes.invert_yaxis()
    axes.set_title("Partitions (log scale)", loc="left", size=15, weight="bold", pad=10)
    axes.spines[["top", "right", "bottom", "left"]].set_visible(False)
    axes.tick_params(axis="y", labelsize=12, length=0, colors=INK)
    axes.tick_params(axis="x", which="both", length=0, labelbottom=False)
    for place, count in enumerate(counts):
        axes.text(count * 1.12, place, f"{count:,}", va="center", size=11, color="#5A6068")


def short_number(value: float) -> str:
    """Write 12,000 as 12k and 3,400,000 as 3.4M."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"
