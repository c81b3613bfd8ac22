"""Tables in the pages are what the results files say."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from barcodemae.errors import SettingsError
from barcodemae.eval.report.averages import Cell
from barcodemae.eval.report.systems import read_systems


ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "results_page.py"
sys.path.insert(0, str(SCRIPT.parent))

from results_page import KINDS, MAIN_TABLE, PAGES, cell_text, fill, read_block  # noqa: E402


RECORD = {
    "model": "M",
    "dataset": "d",
    "probe": "1nn",
    "metric": "accuracy",
    "value": 81.25,
    "low": 80.0,
    "high": 82.5,
}


COUNTS = {"references": 1000, "queries": 9, "queries_label_absent": 2}


def test_the_committed_pages_are_up_to_date():
    result = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_every_table_of_the_pages_has_an_end():
    for page in PAGES:
        text = (ROOT / page).read_text()
        starts = sum(text.count(f"<!-- {kind}:") for kind in (*KINDS, "world_poster"))
        assert text.count("<!-- end -->") == starts


def test_the_page_says_which_rows_are_ours_and_which_weights_could_not_be_had():
    systems = read_systems(ROOT / "results" / "systems.yaml")
    text = (ROOT / "docs/results.md").read_text()
    (table,) = re.findall(f"<!-- table: {re.escape(MAIN_TABLE)} -->(.*?)<!-- end -->", text, re.S)
    for system in systems.unavailable:
        assert f"| {system.model} | *weights not available here* | - | - |" in table
    assert "| BarcodeMAE bundled (ours) |" in table
    assert "| kmer:6 |" in table


def test_the_poster_has_few_rows_and_each_is_a_row_of_the_whole_table():
    sources = read_block(MAIN_TABLE, ROOT)
    rows = [line for line in KINDS["poster"](sources).splitlines() if "%" not in line]
    rows = [line for line in rows if line.startswith("| ") and "---" not in line]
    values = {tuple(re.findall(r"\d+\.\d", row)) for row in rows}
    whole = {tuple(re.findall(r"\d+\.\d", line)) for line in KINDS["table"](sources).splitlines()}
    assert 4 <= len(rows) <= 8
    assert "BarcodeMAE bundled (ours)" in rows[0]
    assert not any("stage" in row or "not available" in row for row in rows)
    assert values <= whole


def test_metrics_stand_in_columns_and_a_gap_is_a_dash(tmp_path):
    records = [RECORD, RECORD | {"metric": "other"}, RECORD | {"model": "N"}]
    (tmp_path / "r.json").write_text(json.dumps(records))
    page = fill("<!-- metrics: r.json -->\n<!-- end -->", tmp_path).splitlines()
    assert page[2] == "| model | accuracy | other |"
    assert page[4] == "| M | 81.2 (80.0-82.5) | 81.2 (80.0-82.5) |"
    assert page[5] == "| N | 81.2 (80.0-82.5) | - |"


def test_an_interval_below_zero_is_not_written_with_two_dashes():
    assert cell_text(Cell(-12.3, -13.2, -11.3)) == "-12.3 (-13.2 to -11.3)"
    assert cell_text(Cell(12.3, 11.3, 13.2)) == "12.3 (11.3-13.2)"


def test_a_masking_study_has_a_line_per_model_and_mode(tmp_path):
    shared = {"rank": "genus", "references": "train", "queries": "q", "dtype": "float32"}
    records = [
        RECORD
        | {"probe": "mask-study", "value": value, "seed": seed, "counts": COUNTS}
        | {"protocol": {"mode": mode, "rate": rate, **shared}}
        for mode, rate, seed, value in [
            ("drop", 0.0, 0, 50.0), ("drop", 0.5, 0, 30.0), ("drop", 0.5, 1, 40.0),
            ("mask", 0.5, 0, 9.0),
        ]
    ]  # fmt: skip
    (tmp_path / "m.json").write_text(json.dumps(records))
    filled = fill("<!-- masks: m.json -->\n<!-- end -->\n", tmp_path)
    assert "| model | tokens | 0% | 50% |" in filled
    assert "| M | removed | 50.0 | 35.0 |" in filled
    assert "| M | masked, [MASK] outputs | - | 9.0 |" in filled
    assert "rank genus, references train, queries q, dtype float32; 1,000 references, " in filled
    assert "9 queries, 2 of a label without references; 2 seed(s) of positions" in filled
    for record in records:
        record["training_seed"] = record["seed"]
    (tmp_path / "m.json").write_text(json.dumps(records))
    filled = fill("<!-- masks: m.json -->\n<!-- end -->\n", tmp_path)
    assert "2 seed(s) of positions, 2 training seed(s)" in filled
    records[0]["protocol"] |= {"queries": "others"}
    (tmp_path / "m.json").write_text(json.dumps(records))
    with pytest.raises(SettingsError, match="follow 2 protocols"):
        fill("<!-- masks: m.json -->\n<!-- end -->\n", tmp_path)


def test_tables_follow_their_files(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([RECORD]))
    page = (
        "before\n<!-- table: a.json -->\nold\n<!-- end -->\n<!-- stages: *.json -->\n<!-- end -->\n"
    )
    filled = fill(page, tmp_path)
    assert "old" not in filled
    assert filled.startswith("before\n<!-- table: a.json -->\n\n| architecture | model |")
    assert "81.2 (80.0-82.5)" in filled
    assert "| M | 81.2 (80.0-82.5) |" in filled
    assert fill(filled, tmp_path) == filled
