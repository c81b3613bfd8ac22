"""The tables of docs/identify_measured.md are what the results files say."""

import json
import subprocess
import sys
from pathlib import Path


ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "identify_page.py"
sys.path.insert(0, str(SCRIPT.parent))

from identify_page import KINDS, PAGES, fill  # noqa: E402


def filled(tmp_path, kind, content):
    (tmp_path / "x.json").write_text(json.dumps(content))
    return fill(f"<!-- {kind}: x.json -->\nold\n<!-- end -->\n", tmp_path)


def test_the_committed_pages_are_up_to_date():
    result = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_pages_have_a_part_of_every_kind_and_name_its_file():
    text = "".join(page.read_text() for page in PAGES)
    starts = {kind: text.count(f"<!-- {kind}: results/") for kind in KINDS}
    assert min(starts.values()) > 0
    assert text.count("<!-- end -->") == sum(starts.values())


def test_what_is_not_measured_names_its_command(tmp_path):
    text = fill("<!-- resumed: none.json -->\n<!-- end -->\n", tmp_path)
    assert "Not measured yet with these weights: `python benchmarks/identify_resume.py" in text


def test_sizes_and_continued_runs_are_listed(tmp_path):
    row = {"references": 34000, "engine": "exact", "queries_per_second": 500.0}
    row |= {"queries": 2048, "threads": 2, "command": "c"}
    text = filled(tmp_path, "scale", [row])
    assert "2,048 queries, 2 threads: `c`." in text
    assert "| 34,000 | exact | 500.0 | - |" in text
    run = {"killed_at": 300, "seconds": 9.0, "memory_mib_by_tenth_of_time": list(range(10))}
    outcome = {
        "is_same": True,
        "records": 1000,
        "length_bp": 100,
        "rows": 990,
        "rejected": 10,
        "command": "c",
        "runs": [run, run | {"killed_at": None}],
    }
    text = filled(tmp_path, "resumed", outcome)
    assert "1,000 records of 100 bp, 990 rows and 10 rejected" in text
    assert "| killed | 300 | 9 | 4 | 9 |" in text
    assert "is the same as the uninterrupted" in text
    assert "is NOT the same as" in filled(tmp_path, "resumed", outcome | {"is_same": False})


def test_scores_of_libraries_and_of_engines_stand_beside_each_other(tmp_path):
    def record(model, metric, value):
        counts = {"queries": 8, "compared": 7, "timed": 6, "references": 1500}
        return {"model": model, "metric": metric, "value": value, "counts": counts, "command": "c"}

    names = ("default identify, all references", "default identify, distilled to 0.5")
    records = [record(name, "references", 4000 - row) for row, name in enumerate(names)]
    text = filled(tmp_path, "distilled", records)
    assert "| percent | all references | distilled to 0.5 |" in text
    assert "| references | 4,000 | 3,999 |" in text
    records = [record("torch", "queries_per_second", 70.0), record("onnx", "same_names", 100.0)]
    text = filled(tmp_path, "engines", records)
    assert "8 queries, 7 references compared, 6 queries timed with 1,500 references: `c`." in text
    assert "| same names (%) | - | 100.0 |" in text
