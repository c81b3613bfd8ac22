"""Table of an ablation: pairs of runs, a pooled variance, a verdict."""

import sys
from pathlib import Path

import pytest

from barcodemae.errors import SettingsError
from barcodemae.eval.report.records import ResultRecord


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from ablation_table import Differences, ablation_table


VALUES = {"recipe": {0: 70.0, 1: 72.0}, "up": {0: 79.0, 1: 83.0}, "same": {0: 70.0, 1: 72.5}}


def records(ami_of_up=(40.0, 41.0)):
    """Both probes of every row and seed; the recipe and `same` cluster alike."""
    amis = {"recipe": (50.0, 51.0), "up": ami_of_up, "same": (50.0, 51.5)}
    protocols = {
        "1nn": {"references": "train", "queries": "val_unseen"},
        "zsc": {"splits": ["val", "val_unseen"]},
    }
    return [
        ResultRecord(
            model=row, dataset="d", probe=probe, metric=metric, value=value,
            low=value - 1, high=value + 1, training_seed=seed,
            counts={"training_steps": 1234}, protocol=protocols[probe],
        )
        for row, by_seed in VALUES.items()
        for seed, accuracy in by_seed.items()
        for probe, metric, value in (
            ("1nn", "accuracy", accuracy), ("zsc", "ami", amis[row][seed]),
        )
    ]  # fmt: skip


def test_differences_are_of_pairs_and_their_error_is_of_all_rows():
    found = Differences.of(VALUES)
    assert found.means == {"recipe": 0.0, "up": 10.0, "same": 0.25}
    # variances of (9, 11) and of (0, 0.5) are 2 and 0.125; two seeds
    assert found.error == pytest.approx(((2 + 0.125) / 2 / 2) ** 0.5)
    assert (found.sign("up"), found.sign("same")) == (1, 0)


@pytest.mark.parametrize("missing", [{0: 1.0}, {0: 1.0, 2: 1.0}])
def test_rows_with_other_seeds_are_refused(missing):
    with pytest.raises(SettingsError, match="need the same seeds"):
        Differences.of({**VALUES, "less": missing})


def test_one_seed_is_not_enough_for_a_verdict():
    with pytest.raises(SettingsError, match="at least two"):
        Differences.of({"recipe": {0: 1.0}, "up": {0: 2.0}})


@pytest.mark.parametrize(
    ("ami_of_up", "verdict"),
    [
        ((40.0, 41.0), "names better, clusters worse"),
        ((50.0, 51.0), "better"),
        ((90.0, 91.0), "better"),
    ],
)
def test_a_verdict_is_of_both_probes(ami_of_up, verdict):
    (line,) = [
        line for line in ablation_table(records(ami_of_up), []).splitlines() if "| up |" in line
    ]
    assert line.startswith("| up | 81.0 (80.0-82.0) | +10.0 | ")
    assert line.endswith(f"| 1,234 | - | {verdict} |")


def test_a_row_with_another_readout_has_the_speed_of_its_run():
    speed = [{"change": "up", "barcodes_per_second": 512.4, "of_recipe": 0.934}]
    renamed = [
        ResultRecord(**{**vars(record), "model": "up, centred"})
        if record.model == "same"
        else record
        for record in records()
    ]
    table = ablation_table(renamed, speed)
    assert table.count("| 512 (0.93) |") == 2
    assert "| up, centred | 71.2 (70.2-72.2) | +0.2 | 50.8 (49.8-51.8) | +0.2 |" in table
    assert "| no difference seen |" in table


def test_the_recipe_has_no_difference_and_no_verdict_and_the_protocol_is_described():
    table = ablation_table(records(), [])
    assert "| recipe | 71.0 (70.0-72.0) |  | 50.5 (49.5-51.5) |  | 1,234 | - |  |" in table
    assert "Means over 2 training seeds" in table
    assert "queries val_unseen; clustering: val + val_unseen." in table
