import numpy as np
import pytest

from barcodemae.errors import SettingsError
from barcodemae.eval.report.maps.points import Coloring, MapPoints
from barcodemae.eval.report.maps.write import check_map_file, write_map


def test_a_map_is_a_page_and_a_picture(tmp_path):
    points = MapPoints(np.eye(2, dtype=np.float32), [["a"], ["b"]],
                       [Coloring.of("unit", ["U1", "U1"], "single")])  # fmt: skip
    write_map(points, "mine", tmp_path / "m.html")
    assert {path.name for path in tmp_path.iterdir()} == {"m.html", "m.png"}


@pytest.mark.parametrize(
    ("name", "words"), [("m.png", "must end in .html"), ("no/m.html", "does not exist")]
)
def test_names_that_cannot_be_are_refused(tmp_path, name, words):
    with pytest.raises(SettingsError, match=words):
        check_map_file(tmp_path / name)
