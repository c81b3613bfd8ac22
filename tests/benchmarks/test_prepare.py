"""A preparation that is killed half-way is measured beside one that is not."""

import json
import sys
from pathlib import Path

import pytest


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import prepare


@pytest.fixture
def runs(monkeypatch):
    """What runs were asked for; none takes place, and each writes what it is told to."""
    asked = []

    def pretend(table, out, per_segment, kill_at=None):
        asked.append((out.name, per_segment, kill_at))
        if kill_at is None:
            out.mkdir()
            (out / "train.parquet").write_text(table.read_text().format(out.name))
        return {"segments": kill_at or 40, "wall_s": 9.0, "cpu_s": 8.0, "peak_gib": 1.0}

    monkeypatch.setattr(prepare, "resumable", pretend)
    return asked


@pytest.mark.parametrize(("content", "same"), [("rows", True), ("rows of {}", False)])
def test_a_run_is_killed_at_half_of_its_segments_and_compared(tmp_path, runs, content, same):
    table = tmp_path / "t.csv"
    table.write_text(content)
    found = prepare.interrupt(20_000_000, table)
    assert runs == [
        ("whole", 250_000, None),
        ("interrupted", 250_000, 20),
        ("interrupted", 250_000, None),
    ]
    assert [run["segments"] for run in found["runs"]] == [40, 20, 40]
    assert found["same_bytes"] is same


def test_a_small_table_has_segments_too(tmp_path, runs):
    (tmp_path / "t.csv").write_text("")
    prepare.interrupt(8_000, tmp_path / "t.csv")
    assert {per_segment for _, per_segment, _ in runs} == {1_000}


def test_a_run_that_ends_before_it_is_killed_is_no_measurement(tmp_path):
    with pytest.raises(SystemExit, match="ended with 2"):
        prepare.resumable(tmp_path / "missing.csv", tmp_path / "out", 10, kill_at=1)


def test_segments_are_counted_as_long_as_the_run_lasts(tmp_path):
    assert prepare.segments_of(tmp_path / "out") == 0
    (tmp_path / "out.partial").mkdir()
    note = {"segments": ["a", "b"]}
    (tmp_path / "out.partial" / "progress.json").write_text(json.dumps(note))
    assert prepare.segments_of(tmp_path / "out") == 2
