"""Results files become tables; what is not a record never does."""

import dataclasses
import json

import pytest

from barcodemae.errors import DataError
from barcodemae.eval.report.records import ResultRecord, write_records
from barcodemae.model_cards.results import Measurement, read_results, tabulate


OURS = "0123456789abcdef"


def measure(model="tiny", probe="1nn", metric="accuracy", value=50.0, **further):
    return Measurement(
        model=model,
        dataset="simulated",
        probe=probe,
        metric=metric,
        value=value,
        **{"weights": OURS, "protocol": {"rank": "genus"}, **further},
    )


def test_what_the_probes_write_is_read(tmp_path):
    record = ResultRecord(
        model="tiny", dataset="simulated", probe="1nn", metric="accuracy", value=61.5, low=60.0,
        high=63.0, weights=OURS, dataset_hash="d", protocol={"rank": "genus"}, seed=3,
        command="barcodemae probe",
    )  # fmt: skip
    write_records(tmp_path / "results.json", [record])
    (found,) = read_results([tmp_path / "results.json"])
    for field in dataclasses.fields(Measurement):
        assert getattr(found, field.name) == getattr(record, field.name)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[", "is not JSON"),
        ("{}", "is not a list"),
        ("[7]", "record 1 is not an object"),
        ('[{"model": "a", "dataset": "d", "probe": "1nn"}]', "record 1: metric is missing"),
        (json.dumps([{**dataclasses.asdict(measure()), "value": None}]), "value None"),
        (json.dumps([{**dataclasses.asdict(measure()), "value": True}]), "value True"),
        (json.dumps([{**dataclasses.asdict(measure()), "value": float("nan")}]), "value nan"),
        (json.dumps([{**dataclasses.asdict(measure()), "low": "1"}]), "low '1'"),
        (json.dumps([{**dataclasses.asdict(measure()), "protocol": []}]), "protocol is not"),
    ],
)
def test_a_file_of_something_else_is_refused_by_name(tmp_path, content, said):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(DataError, match=rf"results\.json.*{said}"):
        read_results([tmp_path / "results.json"])


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"absent\.json: cannot be read"):
        read_results([tmp_path / "absent.json"])


def test_numbers_of_other_weights_alone_make_no_table():
    assert tabulate([measure(weights="fedcba9876543210"), measure(weights="")], {OURS}) == []
    assert tabulate([measure(weights="")], {OURS}) == []


def test_rivals_stand_beside_the_model_only_under_its_own_protocol():
    rivals = [
        measure("kmer:6", value=70.0, weights="kmer:6"),
        measure("vsearch", value=80.0, weights="vsearch",
                protocol={"rank": "genus", "similarity": "alignment"}),
        measure("other rank", weights="x", protocol={"rank": "species"}),
        measure("other data", weights="x", dataset_hash="else"),
        measure("other probe", weights="x", probe="linear"),
    ]  # fmt: skip
    (table,) = tabulate([*rivals, measure()], {OURS})
    assert [(row.model, row.is_subject) for row in table.rows] == [
        ("tiny", True),
        ("kmer:6", False),
        ("vsearch", False),
    ]
    assert [str(row.cells[0]) for row in table.rows] == ["50.0", "70.0", "80.0"]


def test_seeds_are_averaged_and_one_measured_twice_counts_once():
    runs = [
        measure(value=40.0, seed=0),
        measure(value=60.0, seed=1),
        measure(value=50.0, seed=0, low=49.0, high=51.0),
    ]
    (table,) = tabulate(runs, {OURS})
    assert str(table.rows[0].cells[0]) == "55.0 (mean of 2 seeds)"


def test_one_measurement_keeps_its_interval_and_a_gap_stays_empty():
    found = [
        measure(value=50.0, low=48.04, high=52.0),
        measure(metric="macro_f1", value=33.333),
        measure("kmer:6", weights="kmer:6"),
    ]
    (table,) = tabulate(found, {OURS})
    assert table.columns == ["accuracy (%)", "macro F1 (%)"]
    assert [str(cell) for cell in table.rows[0].cells] == ["50.0 [48.0, 52.0]", "33.3"]
    assert table.rows[1].cells[1] is None


def test_unknown_probes_and_metrics_are_left_to_other_pages():
    assert tabulate([measure(probe="mask-study"), measure(metric="elegance")], {OURS}) == []
