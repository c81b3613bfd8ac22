"""Treemap tiles have the right areas; pictures are written completely."""

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.errors import SettingsError
from barcodemae.training.data.describe import LABELS
from barcodemae.training.data.describe_plot import Rectangle, draw_dataset, largest, squarify


SPACE = Rectangle(1.0, 2.0, 8.0, 5.0)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30))
def test_tiles_have_the_requested_areas_and_do_not_overlap(sizes):
    sizes = sorted(sizes, reverse=True)
    tiles = squarify(sizes, SPACE)
    areas = np.array([tile.width * tile.height for tile in tiles])
    np.testing.assert_allclose(areas, np.array(sizes) / sum(sizes) * 40.0)
    for number, one in enumerate(tiles):
        assert one.x >= 1 - 1e-9
        assert one.y >= 2 - 1e-9
        assert one.x + one.width <= 9 + 1e-9
        assert one.y + one.height <= 7 + 1e-9
        for other in tiles[number + 1 :]:
            across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
            along = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
            assert min(across, along) < 1e-9


def test_the_published_example_is_reproduced():
    # Bruls, Huizing and van Wijk (2000), figure 4: areas 6, 6, 4, 3, 2, 2, 1 in 6 x 4.
    tiles = squarify([6, 6, 4, 3, 2, 2, 1], Rectangle(0, 0, 6, 4))
    shapes = [(round(tile.width, 3), round(tile.height, 3)) for tile in tiles]
    assert shapes[:4] == [(3, 2), (3, 2), (1.714, 2.333), (1.286, 2.333)]


def test_small_entries_are_summed_and_the_order_is_by_size():
    counts = {"A": 5, "unnamed": 9, "B": 3, "C": 2, "D": 2}
    assert largest(counts, 2) == {"unnamed": 9, "A": 5, "2 others": 4, "B": 3}


@pytest.fixture
def description(tmp_path):
    labels = {name: {"labelled": 10, "distinct": 3} for name in LABELS}
    orders = {"Diptera": {"Culicidae": 9, "unnamed": 5}, "unnamed": {"unnamed": 6}}
    partition = {"barcodes": 10, "labels": labels}
    return {
        "directory": str(tmp_path / "insects"),
        "num_barcodes": 20,
        "partitions": {"train": partition, "test_unseen": partition},
        "labels": labels,
        "lengths": {400: 3, 658: 17},
        "orders": orders,
        "treemap": {"ranks": ["order", "family"], "counts": orders},
    }


@pytest.mark.parametrize("name", ["p.png", "p.svg", "p.pdf"])
def test_a_picture_is_written_in_every_format(tmp_path, description, name):
    draw_dataset(description, tmp_path / name)
    start = (tmp_path / name).read_bytes()[:100]
    assert start.startswith((b"\x89PNG", b"<?xml", b"%PDF"))
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_picture_is_wide_and_shows_the_orders_colours(tmp_path, description):
    draw_dataset(description, tmp_path / "p.png")
    pixels = matplotlib.image.imread(tmp_path / "p.png")[..., :3]
    assert pixels.shape[:2] == (1350, 2400)
    blue = np.abs(pixels - np.array([0x00, 0x72, 0xB2]) / 255).max(axis=-1) < 0.01
    assert blue[200:1200, 80:1500].mean() > 0.2


def test_another_suffix_is_an_error(tmp_path, description):
    with pytest.raises(SettingsError, match=r"p.xlsx: the suffix must be one of .png, .svg, .pdf"):
        draw_dataset(description, tmp_path / "p.xlsx")


def test_the_treemap_shows_the_ranks_that_it_is_given(tmp_path, description):
    description["treemap"] = {
        "ranks": ["genus", "species"],
        "counts": {"Aedes": {"Aedes aegypti": 12}, "unnamed": {"unnamed": 8}},
    }
    with mpl.rc_context({"svg.fonttype": "none"}):
        draw_dataset(description, tmp_path / "p.svg")
    text = (tmp_path / "p.svg").read_text()
    assert "Aedes aegypti" in text
    assert "genus unknown" in text
