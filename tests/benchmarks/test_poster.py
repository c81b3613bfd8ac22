"""The poster's comparison: equal cost, slices in turn, continued without doing anything twice."""

import json
import sys
from pathlib import Path

import pytest


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import poster
from gpu_data import write_toy_data


TINY = {
    "hidden_size": 24,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "batch_size": 8,
    "compile": False,
    "log_every": 1,
}
FLOP = {"BarcodeBERT": 4.0, "BarcodeMAE w/MASK": 2.0, "BarcodeMAE": 1.0}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_data(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def counted(tmp_path):
    """A folder in which what a step costs has been counted: slices of 1, 2 and 4 steps."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "flop.json").write_text(json.dumps({"horizon": 4.0 * poster.SLICES, "step": FLOP}))
    return out


def run(data, out, until):
    settings = json.dumps(TINY)
    poster.main(data, out, out / "poster.json", seeds=1, until=until, threads=1, settings=settings)
    return json.loads((out / "poster.json").read_text())


def test_the_three_models_cost_the_same_and_stop_together(data, counted):
    records = run(data, counted, 2 / poster.SLICES)
    steps = {model: [] for model in FLOP}
    for record in records:
        steps[record["model"]].append(record["counts"]["training_steps"])
    assert steps == {
        "BarcodeBERT": [0, 1, 2],
        "BarcodeMAE w/MASK": [0, 2, 4],
        "BarcodeMAE": [0, 4, 8],
    }
    shares = {record["protocol"]["share_of_horizon"] for record in records}
    assert shares == {0.0, 1 / poster.SLICES, 2 / poster.SLICES}


def test_going_on_repeats_nothing(data, counted):
    first = run(data, counted, 1 / poster.SLICES)
    second = run(data, counted, 2 / poster.SLICES)
    kept = [r for r in second if r["protocol"]["share_of_horizon"] <= 1 / poster.SLICES]
    assert kept == first
    assert len(second) == len(first) + 3


def test_all_three_have_the_same_settings_but_for_what_they_are(tmp_path):
    plans = [poster.Plan(model, 0, 10, 1.0) for model in poster.MODELS]
    settings = [plan.config(tmp_path, tmp_path, {}).as_json() for plan in plans]
    differing = {key for key in settings[0] if len({str(one[key]) for one in settings}) > 1}
    assert {key for key in differing if not key.startswith("decoder_")} == {
        "encoder_sees_mask",
        "output",
    }
    assert {one["schedule"] for one in settings} == {"constant"}
    assert all(one["frame"] for one in settings)
