"""Tables in the pages are what the results files say."""

import json
import subprocess
import sys
from pathlib import Path


ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "benchmarks" / "results_page.py"
sys.path.insert(0, str(SCRIPT.parent))

from results_page import PAGES, fill  # noqa: E402


RECORD = {
    "model": "M",
    "dataset": "d",
    "probe": "1nn",
    "metric": "accuracy",
    "value": 81.25,
    "low": 80.0,
    "high": 82.5,
}


def test_the_committed_pages_are_up_to_date():
    result = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_every_table_of_the_pages_has_an_end():
    for page in PAGES:
        text = (ROOT / page).read_text()
        assert text.count("<!-- end -->") == text.count("<!-- table:") + text.count("<!-- changes:")


def test_tables_follow_their_files(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([RECORD]))
    page = (
        "before\n<!-- table: a.json -->\nold\n<!-- end -->\n"
        "<!-- changes: *.json -->\n<!-- end -->\n"
    )
    filled = fill(page, tmp_path)
    assert "old" not in filled
    assert filled.startswith("before\n<!-- table: a.json -->\n\n| architecture | model |")
    assert "81.2 (80.0-82.5)" in filled
    assert "| M | 81.2 (80.0-82.5) |" in filled
    assert fill(filled, tmp_path) == filled
