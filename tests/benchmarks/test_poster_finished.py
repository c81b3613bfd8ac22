"""Finished runs of the poster's comparison: where they begin, how they end, what is kept."""

import json
import sys
from pathlib import Path

import pytest

from barcodemae.errors import SettingsError
from barcodemae.eval.report.records import ResultRecord, read_records


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import poster
import poster_finished
from gpu_data import write_toy_data


TINY = json.dumps({
    "hidden_size": 24,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "batch_size": 8,
    "compile": False,
    "log_every": 1,
})  # fmt: skip
FLOP = {"BarcodeBERT": 4.0, "BarcodeMAE w/MASK": 2.0, "BarcodeMAE": 1.0}
SHARE = 4 / poster.SLICES  # of the horizon: four slices, of which the last is the cooldown


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_data(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def out(tmp_path):
    """A folder in which what a step costs has been counted: slices of 1, 2 and 4 steps."""
    (tmp_path / "flop.json").write_text(json.dumps({"horizon": 4.0 * poster.SLICES, "step": FLOP}))
    return tmp_path


@pytest.fixture
def measured(monkeypatch):
    """Names and folders of the encoders that were measured, by a probe that costs nothing."""
    asked = []

    def measure(label, encoder, data, command):
        asked.append((label, encoder))
        one = ResultRecord(model=label, dataset=data.name, probe="1nn", metric="accuracy", value=1)
        return [one], [one]

    monkeypatch.setattr(poster_finished, "measure", measure)
    return asked


def train(data, out, slices):
    until = slices / poster.SLICES
    poster.main(data, out, out / "p.json", seeds=1, until=until, threads=1, settings=TINY)


def finish(data, out):
    files = out / "probed.json", out / "studied.json"
    poster_finished.main(data, out, *files, seed=0, share=SHARE, threads=1, settings=TINY)
    return [read_records(file) for file in files]


def test_each_model_ends_at_the_share_of_the_horizon_with_a_rate_near_zero(data, out, measured):
    train(data, out, 3)
    probed, studied = finish(data, out)
    names = [f"{model}, rate 0.001, 0.125 horizons" for model in FLOP]
    assert [record.model for record in probed] == names
    assert [record.counts["training_steps"] for record in studied] == [4, 8, 16]
    assert {record.training_seed for record in probed} == {0}
    for label, encoder in measured:
        history = json.loads((encoder.parent / "history.json").read_text())
        rates = {row["step"]: row["learning_rate"] for row in history if "learning_rate" in row}
        last = max(rates)
        cooldown = [rates[step] for step in range(last * 3 // 4 + 1, last + 1)]
        assert cooldown == sorted(cooldown, reverse=True), label
        assert cooldown[-1] == pytest.approx(max(rates.values()) / len(cooldown))
    train(data, out, 4)  # the run itself can still go on


def test_a_run_that_stands_elsewhere_is_named_with_what_to_do(data, out, measured):
    train(data, out, 2)
    with pytest.raises(
        SettingsError, match=r"barcodebert-seed0: stands at step 2, .* --until 0\.09"
    ):
        finish(data, out)
    assert not measured
