"""The open-world benchmark: what is kept, what is scored, which rows stay."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from barcodemae.dataset import RANKS
from barcodemae.errors import BarcodeMAEError
from barcodemae.eval.identify.scores import Predictions


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from open_world import listed
from queries import Queries
from rivals.roster import RIVALS, Rival
from worlds.contest import Contestants, Named, Settings
from worlds.parts import Part
from worlds.results_file import Results


ABOUT = {"data": "d", "dataset_hash": "h", "splits": "a,b", "limit": None}
SETTINGS = {"model": "kmer:6", "threads": 1, "command": "c"}


def part(draw=None):
    names = {rank: pa.array(["A", "B"], pa.string()) for rank in RANKS}
    references = pa.table({"processid": ["1", "2"], "dna_barcode": ["ACGT", "TTTT"], **names})
    columns = [["A", "C"] for _ in RANKS]
    sets = {
        "one": Queries(["x", "y"], ["ACGT", "GGGG"], columns),
        "two": Queries(["z", "w"], ["TTTT", "GGGG"], columns),
    }
    return Part("genera", references, references, sets, draw, "genus")


class Counting:
    """A rival that names everything A, surely, and counts how often it is asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, references, queries, threads):
        self.asked.append(list(queries))
        shape = (len(queries), len(RANKS))
        confidence = np.full(shape, 0.7)
        novelty = np.tile(np.array([0.3, 0.3, 0.3]), (len(queries), 1))
        return Predictions(np.zeros(shape, np.int64), np.ones(shape, bool), confidence, novelty)


@pytest.fixture
def counting(monkeypatch):
    rival = Counting()
    monkeypatch.setitem(RIVALS, "Always A", Rival(rival, "none", (0.5, 0.8)))
    return rival


def contestants(tmp_path, **changes):
    return Contestants(part(**changes), Settings(work=tmp_path, **SETTINGS), "asked")


def test_a_rival_is_asked_once_for_all_sets_and_never_again(counting, tmp_path):
    first = list(contestants(tmp_path).rows("Always A"))
    again = list(contestants(tmp_path).rows("Always A"))
    assert counting.asked == [["ACGT", "GGGG", "TTTT", "GGGG"]]
    assert first == again


def test_only_the_set_that_is_missing_is_asked_again(counting, tmp_path):
    list(contestants(tmp_path).rows("Always A"))
    contestants(tmp_path).path("Always A", "two").unlink()
    list(contestants(tmp_path).rows("Always A"))
    assert counting.asked[1:] == [["TTTT", "GGGG"]]


def test_another_draw_is_asked_for_itself_and_so_is_what_was_forgotten(counting, tmp_path):
    list(contestants(tmp_path, draw=0).rows("Always A"))
    list(contestants(tmp_path, draw=1).rows("Always A"))
    contestants(tmp_path, draw=1).forget("Always A")
    list(contestants(tmp_path, draw=1).rows("Always A"))
    assert len(counting.asked) == 3


def test_every_threshold_is_a_row_and_the_curve_stands_at_the_first(counting, tmp_path):
    rows = list(contestants(tmp_path).rows("Always A"))
    assert [(row["set"], row["method"]) for row in rows] == [
        ("one", "Always A 0.5"),
        ("one", "Always A 0.8"),
        ("two", "Always A 0.5"),
        ("two", "Always A 0.8"),
    ]
    assert [row["scores"]["genus_over_classified"] for row in rows] == [100, 0, 100, 0]
    assert ["curve" in row for row in rows] == [True, False, True, False]
    points = {point["threshold"]: point for point in rows[0]["curve"]["genus"]}
    assert (points[0.6]["over"], points[0.8]["over"]) == (100, 0)


def test_a_slow_rival_is_asked_a_part_and_scored_on_it(counting, monkeypatch, tmp_path):
    monkeypatch.setitem(RIVALS, "Always A", Rival(counting, "none", (0.5,), max_queries=1))
    rows = list(contestants(tmp_path).rows("Always A"))
    assert [len(texts) for texts in counting.asked] == [2]
    assert [row["queries"] for row in rows] == [1, 1]


def test_what_was_named_is_read_as_it_was_written(tmp_path):
    named = Named(np.array([4, 7]), Counting()(None, ["A", "C"], 1))
    named.write(tmp_path / "a" / "b.npz")
    again = Named.read(tmp_path / "a" / "b.npz")
    assert again.rows.tolist() == [4, 7]
    for mine, read in zip(vars(named.found).values(), vars(again.found).values(), strict=True):
        np.testing.assert_array_equal(mine, read)
        assert mine.dtype == read.dtype


def row(name, method, value, draw=None):
    key = {"part": name, "draw": draw, "set": "s", "method": method}
    return {**key, "scores": {"any_name": value}}


def test_rows_that_a_run_does_not_make_stay(tmp_path):
    path = tmp_path / "r.json"
    Results(path, ABOUT).add([row("genera", "x", 1, 1), row("closed", "x", 2)])
    Results(path, ABOUT).add([row("genera", "y", 3, 0), row("closed", "x", 4)])
    rows = json.loads(path.read_text())["rows"]
    assert [(r["part"], r["draw"], r["scores"]["any_name"]) for r in rows] == [
        ("closed", None, 4),
        ("genera", 0, 3),
        ("genera", 1, 1),
    ]


def test_results_of_other_queries_are_not_mixed(tmp_path):
    path = tmp_path / "r.json"
    Results(path, ABOUT).write()
    with pytest.raises(BarcodeMAEError, match="--json"):
        Results(path, ABOUT | {"splits": "val,val_unseen"})


def test_a_rival_that_is_not_installed_is_noted_until_it_has_rows(tmp_path):
    results = Results(tmp_path / "r.json", ABOUT)
    results.leave_out("RDP", "not on PATH")
    assert Results(tmp_path / "r.json", ABOUT).missing == {"RDP": "not on PATH"}
    results.add([row("closed", "RDP 0.5", 1)])
    assert results.missing == {}


def test_an_unknown_part_is_refused():
    assert listed("a, b", ("a", "b"), "part") == ["a", "b"]
    with pytest.raises(BarcodeMAEError, match="part 'x' is not one of a, b"):
        listed("a,x", ("a", "b"), "part")


def test_names_of_this_project_are_kept_by_what_calibrated_and_those_of_rivals_are_not(tmp_path):
    settings = Settings(work=tmp_path, **SETTINGS)
    whole = part()
    fewer = replace(whole, held_out=whole.held_out.slice(0, 1))
    first, second = (Contestants(each, settings, "asked") for each in (whole, fewer))
    assert first.path("identify", "one") != second.path("identify", "one")
    assert first.path("SINTAX", "one") == second.path("SINTAX", "one")
