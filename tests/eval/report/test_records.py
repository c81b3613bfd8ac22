import json

import pytest

from barcodemae.errors import DataError
from barcodemae.eval.report.records import (
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
        ("{}", "is not a list"),
        ("[1]", "record 1 is not an object"),
        ('[{"model": "m", "dataset": "d", "probe": "p"}]', "record 1 lacks metric, value"),
        (
            '[{"model": "m", "dataset": "d", "probe": "p", "metric": "a", "value": "high"}]',
            "value 'high' is not a number",
        ),
    ],
)
def test_broken_files_are_refused_with_the_entry(tmp_path, text, words):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(DataError, match=words):
        read_records(tmp_path / "r.json")


def test_nan_never_becomes_a_result(tmp_path):
    broken = ResultRecord(model="m", dataset="d", probe="p", metric="a", value=float("nan"))
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_records(tmp_path / "r.json", [broken])
    assert list(tmp_path.iterdir()) == []
