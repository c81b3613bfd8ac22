import json
import re

import numpy as np
import pytest

from barcodemae.errors import DataError
from barcodemae.eval.identify.overview import unit_map
from barcodemae.eval.identify.overview.unit_map import draw_units
from barcodemae.eval.identify.units import UnitSettings, find_units


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Function that draws thirty barcodes: six units of four, six single ones."""
    monkeypatch.setattr(unit_map, "reduce_dimensions", lambda vectors, **options: vectors[:, :2])
    generator = np.random.default_rng(0)
    roots = np.eye(12, dtype=np.float32)
    vectors = np.concatenate([roots[row // 4][None] for row in range(24)] + [roots[6:]])
    vectors = vectors + generator.normal(0, 0.01, vectors.shape).astype(np.float32)
    words = ["".join(generator.choice(list("ACGT"), 60)) for _ in range(12)]
    letters = [words[row // 4] for row in range(24)] + words[6:]

    def draw(names=()):
        units = find_units(vectors, letters, UnitSettings())
        units_found = units.of.tolist()
        draw_units(vectors, [f"id{row}" for row in range(30)], units, tmp_path / "u.html", names)
        page = (tmp_path / "u.html").read_text()
        return page, json.loads(re.search(r'id="data">(.*?)</script>', page)[1]), units_found

    return draw


def test_units_have_colours_and_single_barcodes_are_named_as_such(drawn):
    page, data, units_found = drawn()
    (coloring,) = data["colorings"]
    num_single = sum(units_found.count(unit) == 1 for unit in units_found)
    grouped = sum(len(group["rows"]) for group in coloring["groups"])
    assert grouped + num_single == 30
    assert coloring["rest"] == "single barcodes"
    assert f"{num_single} single barcodes" in page
    assert num_single == 6
    assert data["lines"][0] == ["id0", "U1, 4 barcodes"]
    assert data["lines"][29] == ["id29", "U12, alone"]


def test_the_tree_has_a_leaf_for_every_unit(drawn):
    page, _, units_found = drawn()
    assert page.count('class="leaf"') == len(set(units_found))


def test_with_a_library_the_map_is_coloured_by_name_first(drawn):
    names = [{"phylum": "P", "order": f"Order{row % 3}"} for row in range(29)] + [{}]
    page, data, _ = drawn(names)
    assert [coloring["title"] for coloring in data["colorings"]] == ["unit", "order"]
    assert data["shown"] == 1
    assert "order: Order0" in data["lines"][0]
    assert "of Order" in page


def test_few_barcodes_make_no_map(tmp_path):
    vectors = np.eye(3, dtype=np.float32)
    units = find_units(vectors, ["ACGT"] * 3, UnitSettings())
    with pytest.raises(DataError, match="only 3 barcodes; a map needs"):
        draw_units(vectors, list("abc"), units, tmp_path / "u.html")
