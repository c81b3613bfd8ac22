import dataclasses
import json

import pytest

from barcodemae.errors import DataError
from barcodemae.eval.report.records import (
    CHECKS,
    ResultRecord,
    read_all_records,
    read_records,
    write_records,
)


RECORD = ResultRecord(
    model="m", dataset="coi", probe="1nn", metric="accuracy", value=76.75, low=74.0, high=79.0,
    protocol={"rank": "genus"}, counts={"queries": 10},
)  # fmt: skip


def test_records_survive_a_round_trip(tmp_path):
    write_records(tmp_path / "r.json", [RECORD])
    assert read_records(tmp_path / "r.json") == [RECORD]
    assert read_all_records([tmp_path / "r.json"] * 2) == [RECORD, RECORD]
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


def test_five_fields_are_enough_and_unknown_ones_are_ignored(tmp_path):
    entry = {"model": "m", "dataset": "d", "probe": "zsc", "metric": "ami", "value": 80, "new": 1}
    (tmp_path / "r.json").write_text(json.dumps([entry]))
    assert read_records(tmp_path / "r.json")[0].value == 80


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("{}", "is not a list"),
        ("[1]", "record 1 is not an object"),
        ('[{"model": "m", "dataset": "d", "probe": "p"}]', "record 1 lacks metric, value"),
    ],
)
def test_broken_files_are_refused_with_the_entry(tmp_path, text, words):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(DataError, match=words):
        read_records(tmp_path / "r.json")


@pytest.mark.parametrize("entry", ["value", "low", "high", "seconds"])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "true", '"90"', "[]"])
def test_values_that_are_not_finite_are_refused_by_file_and_record(tmp_path, entry, value):
    written = [dataclasses.asdict(RECORD), dataclasses.asdict(RECORD) | {entry: "HERE"}]
    (tmp_path / "r.json").write_text(json.dumps(written).replace('"HERE"', value))
    with pytest.raises(
        DataError, match=rf"r\.json: record 2: {entry} .* is not a finite"
    ) as caught:
        read_records(tmp_path / "r.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "value", "words"),
    [
        ("value", "null", "value null is not a finite number"),
        ("value", "9" * 400, r"value 9{60} is not a finite number"),
        ("model", "7", "model 7 is not text"),
        ("weights", "null", "weights null is not text"),
        ("revision", "1", "revision 1 is not text or null"),
        ("seed", "1.5", "seed 1.5 is not a whole number or null"),
        ("seed", "true", "seed true is not a whole number or null"),
        ("training_seed", "[]", r"training_seed \[\] is not a whole number"),
        ("protocol", "[]", r"protocol \[\] is not an object"),
        ("protocol", '{"rate": [NaN]}', "protocol .* is not an object of finite values"),
        ("counts", '{"queries": Infinity}', "counts .* is not an object of finite values"),
    ],
)
def test_a_field_of_the_wrong_type_is_refused_by_name(tmp_path, entry, value, words):
    written = [dataclasses.asdict(RECORD) | {entry: "HERE"}]
    (tmp_path / "r.json").write_text(json.dumps(written).replace('"HERE"', value))
    with pytest.raises(DataError, match=f"record 1: {words}"):
        read_records(tmp_path / "r.json")


def test_every_field_of_a_record_is_checked():
    assert set(CHECKS) == {field.name for field in dataclasses.fields(ResultRecord)}


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"absent\.json: cannot be read"):
        read_records(tmp_path / "absent.json")


def test_nan_never_becomes_a_result(tmp_path):
    broken = ResultRecord(model="m", dataset="d", probe="p", metric="a", value=float("nan"))
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_records(tmp_path / "r.json", [broken])
    assert list(tmp_path.iterdir()) == []
