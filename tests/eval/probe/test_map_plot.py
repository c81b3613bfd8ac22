import numpy as np
import pytest
from PIL import Image

from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.embed.kmer_counts import KmerCounts
from barcodemae.eval.probe.map_plot import MapSettings, draw_map


@pytest.mark.usefixtures("quick_layout")
def test_the_map_is_a_self_contained_page_and_a_picture(dataset_folder, tmp_path):
    settings = MapSettings(
        dataset=dataset_folder, splits=("test",), color="genus", num_neighbors=5, title="six-mers"
    )
    draw_map(KmerCounts(3), settings, tmp_path / "map.html")
    page = (tmp_path / "map.html").read_text()
    assert "six-mers, 32 barcodes" in page
    assert '"name":"Genus0"' in page
    assert "species: Genus0 species1" in page
    assert ">species</button>" in page  # every other rank is a click away
    with Image.open(tmp_path / "map.png") as picture:
        colors = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)
    assert len(colors) > 8


@pytest.mark.parametrize(
    ("changes", "name", "error", "words"),
    [
        ({}, "map.png", SettingsError, "must end in .html"),
        ({}, "no/map.html", SettingsError, "does not exist"),
        ({"color": "tribe"}, "map.html", SettingsError, "rank 'tribe'"),
        ({"splits": ("nowhere",)}, "map.html", DataError, "no rows in split"),
    ],
)
def test_maps_that_cannot_be_drawn_are_refused(
    dataset_folder, tmp_path, changes, name, error, words
):
    settings = MapSettings(
        **{"dataset": dataset_folder, "splits": ("test",), "color": "genus"} | changes
    )
    with pytest.raises(error, match=words):
        draw_map(KmerCounts(3), settings, tmp_path / name)
