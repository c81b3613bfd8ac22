"""The table of the poster's comparison."""

import sys
from pathlib import Path

import pytest

from barcodemae.errors import SettingsError
from barcodemae.eval.report.records import ResultRecord


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from poster_table import NOTHING, curve_table


def record(model, share, value, seed=0, **changes):
    return ResultRecord(
        model=model, dataset="d", probe="curve", metric="accuracy", value=value, training_seed=seed,
        protocol={"share_of_horizon": share, "queries": "val_unseen", "dtype": "float32"},
        counts={"barcodes_seen": round(share * 1e6), "references": 6000},
        **changes,
    )  # fmt: skip


def test_models_are_compared_at_equal_cost_and_seeds_are_averaged():
    records = [record("A", 0.1, 50.0), record("A", 0.1, 52.0, seed=1), record("B", 0.2, 60.0)]
    lines = curve_table(records).splitlines()
    assert lines[0] == "| model | 10.0% | 20.0% |"
    assert lines[2] == "| A | 51.0 (100) | - |"
    assert lines[3] == "| B | - | 60.0 (200) |"
    assert lines[-1].endswith("queries val_unseen; 2 training seed(s)")


def test_before_anything_is_measured_the_page_says_so():
    assert curve_table([]) == NOTHING


def test_curves_of_two_data_sets_never_share_a_table():
    with pytest.raises(SettingsError, match="2 data sets"):
        curve_table([record("A", 0.1, 50.0), record("B", 0.1, 50.0, dataset_hash="other")])
