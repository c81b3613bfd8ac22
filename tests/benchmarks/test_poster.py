"""The poster's comparison: equal cost, slices in turn, continued without doing anything twice."""

import json

import poster
import pytest


@pytest.fixture
def run(data, counted, tiny):
    """The program, up to a share of the horizon; its records."""

    def run(until):
        file = counted / "poster.json"
        poster.main(data, counted, file, seed=0, until=until, threads=1, settings=tiny)
        return json.loads(file.read_text())

    return run


def test_the_three_models_cost_the_same_and_stop_together(run):
    records = run(2 / poster.SLICES)
    steps = {model: [] for model in poster.MODELS}
    for record in records:
        steps[record["model"]].append(record["counts"]["training_steps"])
    assert steps == {
        "BarcodeBERT": [0, 1, 2],
        "BarcodeMAE w/MASK": [0, 2, 4],
        "BarcodeMAE": [0, 4, 8],
    }
    shares = {record["protocol"]["share_of_horizon"] for record in records}
    assert shares == {0.0, 1 / poster.SLICES, 2 / poster.SLICES}


def test_going_on_repeats_nothing(run):
    first = run(1 / poster.SLICES)
    second = run(2 / poster.SLICES)
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
