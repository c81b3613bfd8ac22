"""Map of embeddings: UMAP to two dimensions, coloured by a rank, as HTML and PNG.

In: a model and a data set. Out: a self-contained HTML page (hovering shows id and lineage; nothing
is loaded from the network) and a PNG beside it. Guarded by tests/eval/report/test_plots.py.

Shapes: N = barcodes.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from barcodemae.dataset import RANKS, read_splits
from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.embed.embedder import Embedder
from barcodemae.eval.probe.clustering import reduce_dimensions
from barcodemae.eval.probe.probe_data import LABEL_COLUMNS, usable_rows
from barcodemae.eval.report.figures import COLORS, new_figure, save_figure
from barcodemae.eval.search.nearest import check_finite
from barcodemae.files import whole_file


MIN_POINTS = 16
MAX_NAMED_TAXA = 12  # more colours cannot be told apart
MORE_COLORS = ("#882255", "#44AA99", "#DDCC77", "#332288", "#AA4499")
PALETTE = (*COLORS[:7], *MORE_COLORS)
OTHER, OTHER_COLOR = "other or unknown", "#C8C8C8"


@dataclass(frozen=True, kw_only=True)
class MapSettings:
    """Settings of a map.

    Attributes:
        dataset: Folder of a prepared data set.
        splits: Splits to draw.
        color: Rank by which points are coloured.
        max_points: Largest number of points; of more rows, a random subset is drawn.
        num_neighbors: Number of neighbours in UMAP.
        seed: Seed of UMAP and of the subset.
        title: Name of the model, for the title.
    """

    dataset: Path
    splits: tuple[str, ...]
    color: str
    max_points: int = 20_000
    num_neighbors: int = 15
    seed: int = 42
    title: str = ""


@dataclass(frozen=True)
class MapPoints:
    """Points of a map.

    Attributes:
        places: Coordinates of the points, (N, 2).
        groups: Name of each point's colour group, N.
        hover: Text that hovering over each point shows, N.
    """

    places: NDArray[np.float32]
    groups: list[str]
    hover: list[str]

    def names(self) -> list[str]:
        """Return the groups by size, largest first, the grey one last."""
        counts = Counter(self.groups)
        named = [name for name, _ in counts.most_common() if name != OTHER]
        return [*named, *([OTHER] if OTHER in counts else [])]

    def rows_of(self, name: str) -> list[int]:
        """Return the rows of the points of a group."""
        return [row for row, group in enumerate(self.groups) if group == name]


def group_taxa(taxa: list[str | None]) -> list[str]:
    """Return the colour group of each taxon: frequent taxa have their own, the others share one."""
    counts = Counter(name for name in taxa if name is not None)
    named = {name for name, _ in counts.most_common(MAX_NAMED_TAXA)}
    return [OTHER if name is None or name not in named else name for name in taxa]


def describe_lineage(taxa: tuple[str | None, ...]) -> list[str]:
    """Return one line of text for each known rank of a lineage."""
    return [f"{rank}: {taxon}" for rank, taxon in zip(RANKS, taxa, strict=True) if taxon]


def hover_text(table: pa.Table) -> list[str]:
    """Return id and lineage of each row as HTML."""
    columns = [table[rank].to_pylist() for rank in RANKS]
    lineages = zip(*columns, strict=True)
    return [
        "<br>".join([name, *describe_lineage(taxa)])
        for name, taxa in zip(table["processid"].to_pylist(), lineages, strict=True)
    ]


def place_points(embedder: Embedder, settings: MapSettings) -> MapPoints:
    """Embed the rows and reduce them to two dimensions.

    Raises:
        SettingsError: The rank is unknown, or an embedding holds NaN or infinity.
        DataError: There are too few rows.
    """
    if settings.color not in LABEL_COLUMNS:
        raise SettingsError(f"rank {settings.color!r} is not one of {', '.join(LABEL_COLUMNS)}")
    table = read_splits(settings.dataset, settings.splits)
    usable = usable_rows(embedder, table["dna_barcode"].to_pylist())
    if len(usable) < MIN_POINTS:
        raise DataError(
            settings.dataset, f"only {len(usable)} rows; a map needs at least {MIN_POINTS}"
        )
    chosen = np.random.default_rng(settings.seed).permutation(usable)[: settings.max_points]
    table = table.take(np.sort(chosen))
    vectors = embedder.embed(table["dna_barcode"].to_pylist(), progress=True)
    check_finite(vectors, "barcode")
    places = reduce_dimensions(
        vectors, num_neighbors=settings.num_neighbors, dimensions=2, seed=settings.seed
    )
    return MapPoints(places, group_taxa(table[settings.color].to_pylist()), hover_text(table))


def color_of(name: str, index: int) -> str:
    """Return the colour of a group by its name and its place in the order of groups."""
    return OTHER_COLOR if name == OTHER else PALETTE[index % len(PALETTE)]


def write_png(points: MapPoints, settings: MapSettings, path: Path) -> None:
    """Draw the map as a PNG file."""
    figure, axes = new_figure(7.0, 5.0)
    size = float(np.clip(20_000 / len(points.groups), 1.5, 14))
    for index, name in reversed(list(enumerate(points.names()))):
        rows = points.rows_of(name)
        axes.scatter(
            points.places[rows, 0],
            points.places[rows, 1],
            s=size,
            c=color_of(name, index),
            label=f"{name} ({len(rows)})",
            linewidths=0,
            alpha=0.8,
        )
    axes.set_axis_off()
    axes.set_title(f"{settings.title}, {len(points.groups)} barcodes", fontsize=9)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles[::-1],
        labels[::-1],
        title=settings.color,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        frameon=False,
        fontsize=8,
        markerscale=float(np.clip(4 / size**0.5, 1, 4)),
    )
    save_figure(figure, path)


def write_html(points: MapPoints, settings: MapSettings, path: Path) -> None:
    """Draw the map as a self-contained HTML page."""
    # Imported here, because it is slow to import and only pages need it.
    from plotly import graph_objects  # type: ignore[import-untyped]

    figure = graph_objects.Figure()
    for index, name in enumerate(points.names()):
        rows = points.rows_of(name)
        figure.add_trace(
            graph_objects.Scattergl(
                x=points.places[rows, 0].tolist(),
                y=points.places[rows, 1].tolist(),
                mode="markers",
                name=f"{name} ({len(rows)})",
                marker={"size": 5, "color": color_of(name, index), "opacity": 0.8},
                text=[points.hover[row] for row in rows],
                hovertemplate="%{text}<extra></extra>",
            )
        )
    figure.update_layout(
        title=f"{settings.title}, {len(points.groups)} barcodes",
        legend_title=settings.color,
        template="simple_white",
        xaxis={"visible": False},
        yaxis={"visible": False, "scaleanchor": "x"},
    )
    with whole_file(path) as file:
        figure.write_html(file, include_plotlyjs=True)


def draw_map(embedder: Embedder, settings: MapSettings, output: Path) -> None:
    """Draw a map of a data set: OUT.html and OUT.png.

    Raises:
        SettingsError: `output` does not end in .html, or the rank is unknown.
        DataError: There are too few rows.
    """
    check_map_file(output)
    points = place_points(embedder, settings)
    write_map(points, settings, output)


def check_map_file(output: Path) -> None:
    """Check the name of a map before any time is spent.

    Raises:
        SettingsError: It does not end in .html, or its folder does not exist.
    """
    if output.suffix != ".html":
        raise SettingsError(f"{output}: the map must end in .html; a .png is written beside it")
    if not output.parent.is_dir():
        raise SettingsError(f"{output}: the folder {output.parent} does not exist")


def write_map(points: MapPoints, settings: MapSettings, output: Path) -> None:
    """Write a map as OUT.html and OUT.png."""
    write_html(points, settings, output)
    write_png(points, settings, output.with_suffix(".png"))
