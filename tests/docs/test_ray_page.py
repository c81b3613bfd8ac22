"""The tables of docs/ray.md are what the results files say."""

import subprocess
import sys
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "ray_page.py"
sys.path.insert(0, str(SCRIPT.parent))

from ray_page import KINDS, PAGES, cluster, large, planned, prepared, ray_data  # noqa: E402
from ray_scale import plan  # noqa: E402


def test_the_committed_page_is_up_to_date():
    result = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_page_has_a_part_of_every_kind():
    text = "".join(page.read_text() for page in PAGES)
    for kind in KINDS:
        assert f"<!-- {kind}: results/" in text


def test_a_run_with_other_bytes_stands_out():
    run = {"run": "2 nodes", "seconds": 9.0, "start_up_seconds": None, "rate": None}
    content = {"ran": "barcodemae embed", "records": 60000, "command": "c"}
    assert "| 2 nodes | 9 | - | - | - | NO |" in cluster(
        content | {"runs": [run | {"same_bytes": False}]}
    )


def test_a_rival_whose_vectors_differ_stands_out():
    row = {"program": "Ray Data", "seconds": 9.0, "seconds_of_the_second_run": 8.0, "records": 6000}
    row |= {"in_input_order": True, "equal_vectors": False, "model": "m", "command": "c"}
    assert "| Ray Data | 9 | 8 | yes | NO |" in ray_data([row])


def test_libraries_are_listed_with_their_size_on_the_disk():
    row = {"references": 5000000, "engine": "int8", "disk_gib": 18.2, "queries": 512, "threads": 2}
    assert "| 5,000,000 | int8 | 18.2 |" in large([row | {"command": "c"}])


def test_a_preparation_that_was_killed_stands_below_the_others():
    run = {"segments": 40, "wall_s": 9.0, "cpu_s": 8.0, "peak_gib": 2.5}
    runs = [run | {"run": name} for name in ("without interruption", "killed", "resumed")]
    content = {"runs": [{"rows": 10**6, "cpu_s": 90.0, "peak_gib": 2.0}]}
    assert "killed" not in prepared(content)
    found = {"rows": 20_000_000, "rows_per_segment": 250_000, "runs": runs, "same_bytes": True}
    text = prepared(content | {"killed": found})
    assert "| 1,000,000 | 90 | 90 | 2.00 |" in text
    assert "of 20,000,000 rows in segments of 250,000" in text
    assert "gave the same bytes as the uninterrupted one" in text
    assert "| resumed | 40 | 9 | 8 | 2.50 |" in text
    found["same_bytes"] = False
    assert "OTHER BYTES" in prepared(content | {"killed": found})


@pytest.fixture
def driver():
    return dict.fromkeys(("cut", "hash", "pickle", "keep", "read_back", "parse"), 70_000.0)


def test_the_driver_limits_quick_workers(driver):
    found = plan(600.0, driver)
    assert found["driver_rate"] == pytest.approx(10_000)
    assert found["busy_workers"] == pytest.approx(10_000 / 600)
    assert found["hours"] == pytest.approx(100e6 / 10_000 / 3600)
    assert "| of the driver | 10,000 |" in planned({"plan": found})


def test_slow_workers_limit_themselves(driver):
    found = plan(2.0, driver)
    assert found["hours"] == pytest.approx(100e6 / (2.0 * 1024) / 3600)
