"""Map of a data set: UMAP of its embeddings to two dimensions, coloured by a rank.

In: a model and a data set. Out: a web page, which can be coloured by every rank, and a PNG beside
it, see `report/maps/`. Guarded by tests/eval/probe/test_map_plot.py.

Shapes: N = barcodes.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from barcodemae.dataset import RANKS, read_splits
from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.embed.embedder import Embedder
from barcodemae.eval.probe.clustering import reduce_dimensions
from barcodemae.eval.probe.probe_data import LABEL_COLUMNS, usable_rows
from barcodemae.eval.report.maps.points import Coloring, MapPoints
from barcodemae.eval.report.maps.write import MIN_POINTS, check_map_file, write_map
from barcodemae.eval.search.nearest import check_finite


UNKNOWN = "unknown"  # what points without a name are


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


def describe_lineage(taxa: tuple[str | None, ...]) -> list[str]:
    """Return one line of text for each known rank of a lineage."""
    return [f"{rank}: {taxon}" for rank, taxon in zip(RANKS, taxa, strict=True) if taxon]


def lines_of(table: pa.Table) -> list[list[str]]:
    """Return id and lineage of each row."""
    columns = [table[rank].to_pylist() for rank in RANKS]
    lineages = zip(*columns, strict=True)
    return [
        [name, *describe_lineage(taxa)]
        for name, taxa in zip(table["processid"].to_pylist(), lineages, strict=True)
    ]


def colorings_of(table: pa.Table, first: str) -> list[Coloring]:
    """Return the ways to colour a table: by the rank asked for, and by all others with two taxa."""
    found = {
        rank: Coloring.of(rank, table[rank].to_pylist(), UNKNOWN)
        for rank in (first, *LABEL_COLUMNS)
    }
    return [
        coloring for rank, coloring in found.items() if rank == first or len(coloring.groups) > 1
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
    return MapPoints(places, lines_of(table), colorings_of(table, settings.color))


def draw_map(embedder: Embedder, settings: MapSettings, output: Path) -> None:
    """Draw a map of a data set: OUT.html and OUT.png.

    Raises:
        SettingsError: `output` does not end in .html, or the rank is unknown.
        DataError: There are too few rows.
    """
    check_map_file(output)
    points = place_points(embedder, settings)
    title = f"{settings.title}, {len(points.lines)} barcodes"
    write_map(points, title, output)
