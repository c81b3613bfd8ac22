import json
import re

import numpy as np

from barcodemae.eval.report.maps.dendrogram import grow
from barcodemae.eval.report.maps.page import GRID, Leaf, write_map_page
from barcodemae.eval.report.maps.points import Coloring, MapPoints


EVIL = "</script><img src=x onerror=alert(1)>"


def page_of(tmp_path, names=("U1", "U1", None), **more):
    places = np.array([[0, 0], [4, 1], [2, 2]], np.float32)
    points = MapPoints(places, [[EVIL], ["b"], ["c"]], [Coloring.of("unit", names, "single")])
    write_map_page(points, f"my {EVIL}", tmp_path / "m.html", **more)
    return (tmp_path / "m.html").read_text()


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page)[1])


def test_the_page_has_a_title_and_loads_nothing(tmp_path):
    page = page_of(tmp_path)
    assert "<title>my &lt;" in page
    assert "default-src 'none'" in page
    assert re.findall(r"""(?:src|href)=["']?http|@import|url\(""", page) == []


def test_ids_and_names_are_text_and_never_markup(tmp_path):
    leaves = [Leaf(EVIL, EVIL, "#000000")]
    page = page_of(tmp_path, (EVIL, EVIL, None), about=EVIL, tree=grow(np.eye(1)), leaves=leaves)
    assert "<img" not in page
    assert page.count("</script>") == page.count("<script")


def test_both_axes_have_one_scale(tmp_path):
    data = data_of(page_of(tmp_path))
    assert data["x"] == [0, GRID, GRID // 2]
    assert data["y"] == [0, GRID // 4, GRID // 2]


def test_groups_are_told_with_their_points(tmp_path):
    (coloring,) = data_of(page_of(tmp_path))["colorings"]
    assert (coloring["title"], coloring["rest"]) == ("unit", "single")
    assert [(group["name"], group["rows"]) for group in coloring["groups"]] == [("U1", [0, 1])]


def test_a_tree_has_a_bracket_less_than_leaves_and_single_ones_are_hollow(tmp_path):
    leaves = [Leaf("U1", "2 of x", "#0072B2"), Leaf("U2", "1 of y", "", is_single=True)]
    page = page_of(tmp_path, tree=grow(np.eye(2)), leaves=leaves)
    tree = page[page.index("<svg") :]
    assert tree.count("<path d=") == 1
    assert tree.count('class="leaf"') == 2
    assert tree.count('fill="none"') == 1
    assert "<svg" not in page_of(tmp_path)
