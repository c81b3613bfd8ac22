"""The table of the poster's comparison."""

import sys
from pathlib import Path

import pytest

from barcodemae.errors import SettingsError
from barcodemae.eval.report.records import ResultRecord


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from poster_table import NOTHING, apart, curve_table, difference_table, plot_curves


def record(model, share, value, seed=0, rate=1e-3, **changes):
    return ResultRecord(
        model=model, dataset="d", probe="curve", metric="accuracy", value=value, training_seed=seed,
        protocol={"share_of_horizon": share, "queries": "val_unseen", "dtype": "float32",
                  "learning_rate": rate},
        counts={"barcodes_seen": round(share * 1e6), "references": 6000,
                "training_gigaflop": round(share * 1e5), "training_steps": round(share * 1e4)},
        **changes,
    )  # fmt: skip


def test_models_are_compared_at_equal_cost_and_seeds_are_averaged():
    records = [record("A", 0.1, 50.0), record("A", 0.1, 52.0, seed=1), record("B", 0.2, 60.0)]
    lines = curve_table(records).splitlines()
    assert lines[0] == "| model | 10.0% | 20.0% |"
    assert lines[2] == "| A, rate 0.001 | 51.0; 100 | - |"
    assert lines[3] == "| B, rate 0.001 | - | 60.0; 200 |"
    assert "; GFLOP of a step: A 10, B 10; d " in lines[-1]
    assert lines[-1].endswith("training seeds: rate 0.001 2 to 10.0%, 1 to 20.0%")


def test_a_number_stands_with_its_interval():
    (line,) = curve_table([record("A", 0.1, 50.0, low=48.0, high=52.5)]).splitlines()[2:3]
    assert line == "| A, rate 0.001 | 50.0 (48.0-52.5); 100 |"


def test_curves_are_drawn_with_a_name_at_each(tmp_path):
    records = [
        record(model, share, 50 + 10 * share, low=40.0, high=60.0)
        for model in ("BarcodeBERT", "BarcodeMAE")
        for share in (0.0, 0.5, 1.0)
    ]
    plot_curves(records, tmp_path / "curves.svg")
    drawn = (tmp_path / "curves.svg").read_text()
    assert "TFLOP" in drawn
    assert "BarcodeBERT" in drawn
    with pytest.raises(SettingsError, match="no record"):
        plot_curves([], tmp_path / "none.svg")


def test_each_learning_rate_has_rows_and_a_panel_of_its_own(tmp_path):
    records = [record("A", 0.1, 50.0, rate=rate) for rate in (1e-3, 3e-4)]
    rows = curve_table(records).splitlines()[2:4]
    assert [row.split(" | ")[0] for row in rows] == ["| A, rate 0.001", "| A, rate 0.0003"]
    plot_curves(records, tmp_path / "curves.svg")
    assert "learning rate 0.0003" in (tmp_path / "curves.svg").read_text()


def test_before_anything_is_measured_the_page_says_so():
    assert curve_table([]) == NOTHING


def test_curves_of_two_data_sets_never_share_a_table():
    with pytest.raises(SettingsError, match="2 data sets"):
        curve_table([record("A", 0.1, 50.0), record("B", 0.1, 50.0, dataset_hash="other")])


def finished(model, value, seed, probe="1nn", metric="accuracy", trained="rate 1"):
    return ResultRecord(
        model=f"{model}, {trained}", dataset="d", probe=probe, metric=metric, value=value,
        training_seed=seed,
    )  # fmt: skip


def test_models_are_subtracted_seed_by_seed_and_only_if_trained_alike():
    records = [
        *(finished("BarcodeBERT", value, seed) for seed, value in enumerate((50.0, 60.0, 70.0))),
        *(finished("BarcodeMAE", value, seed) for seed, value in enumerate((52.0, 61.0, 73.0))),
        finished("BarcodeMAE", 30.0, 0, trained="rate 2"),
    ]
    lines = difference_table(records).splitlines()
    assert lines[2:] == ["| rate 1 | BarcodeMAE - BarcodeBERT | 3 | +2.0 (-0.5 to 4.5) | - | - |"]


def test_repeats_of_a_probe_are_averaged_and_one_seed_has_no_interval():
    ami = {"probe": "zsc", "metric": "ami", "seed": 0}
    records = [
        finished("BarcodeBERT", 50.0, **ami),
        finished("BarcodeBERT", 52.0, **ami),
        finished("BarcodeMAE w/MASK", 50.5, **ami),
    ]
    (line,) = difference_table(records).splitlines()[2:]
    assert line == "| rate 1 | BarcodeMAE w/MASK - BarcodeBERT | 1 | - | -0.5 | - |"


def test_names_that_would_touch_are_moved_up_and_others_stay():
    assert apart([40.0, 41.0, 41.5, 60.0], gap=2.5) == [40.0, 42.5, 45.0, 60.0]
