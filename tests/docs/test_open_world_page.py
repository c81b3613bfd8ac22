"""The tables of docs/trust.md are what the results file says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from identify_page import fill
from open_world_page import COMMANDS, KINDS, PAGE, README, draw_all


SCRIPT = Path(__file__).parents[2] / "benchmarks" / "open_world_page.py"
ABOUT = {"data": "coi", "dataset_hash": "h", "splits": "a,b", "limit": None}


def row(part, method, set_name="whole", draw=None, queries=1200, **scores):
    return {
        "part": part,
        "draw": draw,
        "set": set_name,
        "method": method,
        "queries": queries,
        "references": 3400,
        "scores": scores,
        "command": "python benchmarks/open_world.py",
    }


def filled(tmp_path, kind, rows, missing=None):
    content = {"about": ABOUT, "missing": missing or {}, "rows": rows}
    (tmp_path / "x.json").write_text(json.dumps(content))
    return fill(f"<!-- {kind}: x.json -->\nold\n<!-- end -->\n", tmp_path, KINDS, COMMANDS)


def test_the_committed_page_is_up_to_date():
    result = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_page_has_a_part_of_every_kind():
    text = PAGE.read_text() + README.read_text()
    for kind in KINDS:
        assert f"<!-- {kind}: results/identify/open_world" in text
    assert PAGE.read_text().count("<!-- end -->") == len(KINDS) - 1  # one stands in the README


def test_what_is_not_measured_names_its_command(tmp_path):
    text = fill("<!-- world_ties: none.json -->\n<!-- end -->\n", tmp_path, KINDS, COMMANDS)
    assert "Not measured yet with these weights: `python benchmarks/open_world.py" in text


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_without_rows_names_its_command_too(tmp_path, kind):
    assert "Not measured yet with these weights: `python" in filled(tmp_path, kind, [])


def test_this_project_stands_first_and_missing_programs_are_named(tmp_path):
    rows = [
        row("closed", "SINTAX 0.8", "seen and unseen species", species_named_right=80.25),
        row("closed", "identify", "seen and unseen species", species_named_right=90.0),
    ]
    text = filled(tmp_path, "world_closed", rows, {"RDP": "not on PATH"})
    assert "Queries of `a` and `b`, 3,400 references: `python benchmarks/open_world.py`." in text
    assert "Left out: RDP (not on PATH)." in text
    assert text.index("| identify | 1,200 | 90.0 |") < text.index("| SINTAX 0.8 | 1,200 | 80.2 |")


def test_several_draws_are_a_mean_with_its_least_and_greatest(tmp_path):
    rows = [
        row("genera", "identify", draw=draw, genus_over_classified=value)
        for draw, value in enumerate((1.0, 2.0, 6.0))
    ]
    text = filled(tmp_path, "world_left_out", rows)
    assert "| genera | identify | 1,200 | 3 | 3.0 (1.0 to 6.0) | - |" in text


def test_kinds_of_what_is_no_barcode_are_lines_and_their_mean_a_column(tmp_path):
    rows = [
        row("foreign", "identify", f"no barcode: {kind}", any_name=value)
        for kind, value in (("poly-A", 10.0), ("shuffled", 30.0))
    ]
    assert "| poly-A | 10.0 |" in filled(tmp_path, "world_no_barcode", rows)
    assert "| identify | 1,200 | - | - | - | - | 20.0 |" in filled(tmp_path, "world_foreign", rows)


@pytest.mark.parametrize("part", ["gaps", "errors", "lengths"])
def test_changes_have_a_line_for_every_method(tmp_path, part):
    rows = [row(part, method, "100 bp", species_named_right=50.0) for method in ("x", "identify")]
    text = filled(tmp_path, f"world_{part}", rows)
    assert "| 100 bp | identify | 1,200 | 50.0 | - |" in text
    assert "| 100 bp | x | 1,200 | 50.0 | - |" in text


def test_the_poster_takes_a_score_of_each_part(tmp_path):
    rows = [
        row("closed", "identify", "seen and unseen species", species_named_right=92.04),
        row("foreign", "identify", "foreign phyla", any_name=0.1),
        row("genera", "identify", draw=0, genus_over_classified=4.0),
        row("genera", "identify", draw=1, genus_over_classified=6.0),
    ]
    text = filled(tmp_path, "world_poster", rows)
    assert "| identify | 92.0 | - | - | 5.0 (4.0 to 6.0) | 0.1 | - |" in text


def test_choices_show_new_and_known_taxa_at_every_threshold(tmp_path):
    points = [{"threshold": 0.5, "over": 10.0, "under": 2.0, "wrong": 1.0}]
    rows = [{**row("genera", "identify", draw=0), "curve": {"genus": points}}]
    rows += [{**row("families", "identify", draw=0), "curve": {"family": points}}]
    text = filled(tmp_path, "world_choices", rows)
    assert "| threshold | genus: new | genus: known | family: new | family: known |" in text
    assert "| 0.5 | 10.0 | 2.0 | 10.0 | 2.0 |" in text


def test_speed_names_the_processor(tmp_path):
    rows = [row("speed", "identify", "2 threads", queries_per_second=500.0, index_seconds=61.0)]
    text = filled(tmp_path, "world_speed", [{**rows[0], "processor": "Abacus 1"}])
    assert "Abacus 1, 2 threads." in text
    assert "| identify | 500.0 | - | - | 61 |" in text


def test_curves_are_drawn_and_what_was_not_measured_says_so(tmp_path):
    scores = {"genus_over_classified": 5.0, "genus_under_classified": 9.0}
    points = [
        {"threshold": 0.5, "over": 10.0, "under": 2.0, "wrong": 1.0},
        {"threshold": 0.9, "over": 1.0, "under": 20.0, "wrong": 0.0},
    ]
    rows = [
        {**row("genera", "SINTAX 0.6", draw=0, **scores), "curve": {"genus": points}},
        row("genera", "SINTAX 0.8", draw=0, **scores),
    ]
    draw_all({"rows": rows}, tmp_path)
    drawn = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert set(drawn) == {f"trust_{rank}.svg" for rank in ("species", "genus", "family", "order")}
    assert "SINTAX" in drawn["trust_genus.svg"]
    assert {name for name, text in drawn.items() if "not measured yet" not in text} == {
        "trust_genus.svg"
    }
