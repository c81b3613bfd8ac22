"""Finished runs of the poster's comparison: where they begin, how they end, what is kept."""

import json

import poster
import poster_finished
import pytest

from barcodemae.errors import SettingsError
from barcodemae.eval.report.records import ResultRecord, read_records


SHARE = 4 / poster.SLICES  # of the horizon: four slices, of which the last is the cooldown


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


@pytest.fixture
def train(data, counted, tiny):
    """The runs, up to a number of slices."""

    def train(slices):
        until = slices / poster.SLICES
        file = counted / "poster.json"
        poster.main(data, counted, file, seed=0, until=until, threads=1, settings=tiny)

    return train


@pytest.fixture
def finish(data, counted, tiny):
    """The program; records of the probes, and of the masking study."""

    def finish():
        files = counted / "probed.json", counted / "studied.json"
        poster_finished.main(data, counted, *files, seed=0, share=SHARE, threads=1, settings=tiny)
        return [read_records(file) for file in files]

    return finish


def test_each_model_ends_at_the_share_of_the_horizon_with_a_rate_near_zero(train, finish, measured):
    train(3)
    probed, studied = finish()
    names = [f"{model}, rate 0.001, 0.125 horizons" for model in poster.MODELS]
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
    train(4)  # the run itself can still go on


def test_a_run_that_stands_elsewhere_is_named_with_what_to_do(train, finish, measured):
    train(2)
    with pytest.raises(
        SettingsError, match=r"barcodebert-seed0: stands at step 2, .* --until 0\.09"
    ):
        finish()
    assert not measured
