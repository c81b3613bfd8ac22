import pytest

from barcodemae.errors import DataError
from barcodemae.stored import json_objects
from barcodemae.stored.json_objects import check_number, read_object


def test_an_object_is_read(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": [1, 2.5, "\u00e9"]}', encoding="utf-8")
    assert read_object(path) == {"a": [1, 2.5, "\u00e9"]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not JSON"),
        (b'{"a": 1', "is not JSON"),
        (b'{"a": NaN}', "NaN is not a number"),
        (b'{"a": -Infinity}', "-Infinity is not a number"),
        (b"[1]", "holds no JSON object"),
        (b"null", "holds no JSON object"),
        (b'{"a": "\xff"}', "is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_none_is_said_in_one_line(tmp_path, content, words):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read_object(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_or_too_large_is_not_read(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="No such file"):
        read_object(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("{}")
    monkeypatch.setattr(json_objects, "MAX_BYTES", 1)
    with pytest.raises(DataError, match="is larger than"):
        read_object(tmp_path / "a.json")


@pytest.mark.parametrize("value", ["3", True, None, [], 2.5, 0, 11, float("nan"), 10**400, -3])
def test_a_number_has_a_type_and_a_range(tmp_path, value):
    with pytest.raises(DataError, match="layers must be a whole number from 1 to 10, not"):
        check_number(tmp_path, "layers", value, 1, 10)


def test_a_number_within_its_range_passes(tmp_path):
    check_number(tmp_path, "layers", 10, 1, 10)
    check_number(tmp_path, "rate", 0.5, 0, 1, whole=False)
    check_number(tmp_path, "rate", 1, 0, 1, whole=False)
    for value in (float("nan"), float("inf"), "0.5"):
        with pytest.raises(DataError, match="rate must be a number"):
            check_number(tmp_path, "rate", value, 0, 1, whole=False)
