"""A map, as a web page and as a picture beside it.

In: `MapPoints` and the name of the page. Out: NAME.html and NAME.png.
Guarded by tests/eval/report/maps/test_write.py.
"""

from collections.abc import Sequence
from pathlib import Path

from barcodemae.errors import SettingsError
from barcodemae.eval.report.maps.dendrogram import Tree
from barcodemae.eval.report.maps.page import Leaf, write_map_page
from barcodemae.eval.report.maps.picture import write_picture
from barcodemae.eval.report.maps.points import MapPoints


MIN_POINTS = 16


def check_map_file(output: Path) -> None:
    """Check the name of a map before any time is spent.

    Raises:
        SettingsError: It does not end in .html, or its folder does not exist.
    """
    if output.suffix != ".html":
        raise SettingsError(f"{output}: the map must end in .html; a .png is written beside it")
    if not output.parent.is_dir():
        raise SettingsError(f"{output}: the folder {output.parent} does not exist")


def write_map(
    points: MapPoints,
    title: str,
    output: Path,
    *,
    about: str = "",
    tree: Tree | None = None,
    leaves: Sequence[Leaf] = (),
) -> None:
    """Write a map as NAME.html and NAME.png; see `write_map_page` for the arguments."""
    write_map_page(points, title, output, about=about, tree=tree, leaves=leaves)
    write_picture(points, title, output.with_suffix(".png"))
