import numpy as np
from PIL import Image

from barcodemae.eval.report.figures import new_figure
from barcodemae.eval.report.maps.picture import write_labels, write_picture
from barcodemae.eval.report.maps.points import Coloring, MapPoints


def points_at(places, names):
    lines = [[str(row)] for row in range(len(names))]
    coloring = Coloring.of("unit", names, "single barcodes")
    return MapPoints(np.array(places, np.float32), lines, [coloring])


def test_the_picture_has_axes_that_say_they_have_no_unit(tmp_path):
    points = points_at([[0, 0], [1, 0], [5, 5], [9, 1]], ["U1", "U1", "U2", None])
    write_picture(points, "mine", tmp_path / "m.svg")
    text = (tmp_path / "m.svg").read_text()
    for words in (
        "UMAP 1 (no unit)",
        "UMAP 2 (no unit)",
        "single barcodes (1)",
        "mine; colours: unit",
    ):
        assert words in text


def test_groups_have_colours(tmp_path):
    points = points_at([[x, x % 3] for x in range(16)], [f"U{x // 2}" for x in range(16)])
    write_picture(points, "mine", tmp_path / "m.png")
    with Image.open(tmp_path / "m.png") as picture:
        colors = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)
    assert len(colors) > 8


def test_labels_never_cover_each_other():
    points = points_at([[0, 0], [0, 0], [0.001, 0], [8, 8]], ["U1", "U1", "U2", "U3"])
    figure, axes = new_figure(4, 4)
    axes.set(xlim=(-2, 10), ylim=(-2, 10))
    assert write_labels(figure, axes, points, points.colorings[0]) == 2
    assert [text.get_text() for text in axes.texts] == ["U1", "U3"]
