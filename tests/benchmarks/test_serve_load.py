import json
import subprocess
import sys
from pathlib import Path

from barcodemae.demonstration import QUERIES


BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "serve_load.py"


def test_no_answer_is_lost_or_mixed_up_when_a_worker_dies_and_when_the_server_ends(tmp_path):
    command = [sys.executable, str(BENCHMARK), "--library", "demo", "--queries", str(QUERIES)]
    command += ["--clients", "6", "--workers", "1", "--most", "2", "--seconds", "6"]
    subprocess.run([*command, "--json", str(tmp_path / "found.json")], check=True)
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["differ"], found["broken_off"], found["exit_code"]) == (0, 0, 0)
    assert found["right"] > 0
    assert found["ended_in_order"]
