"""The history of a run: JSON that reads back, and a plot."""

import json

import pytest

from barcodemae.training.run.history import History


@pytest.fixture
def history():
    history = History()
    history.add(step=1, loss=4.0, accuracy=2.0)
    history.add(step=2, loss=3.0, accuracy=5.0)
    history.add(step=2, val_loss=3.5, val_accuracy=4.0)
    return history


def test_saved_records_read_back_in_order(history, tmp_path):
    history.save(tmp_path / "history.json")
    assert json.loads((tmp_path / "history.json").read_text()) == history.records
    assert [file.name for file in tmp_path.iterdir()] == ["history.json"]


def test_an_empty_history_is_valid_json(tmp_path):
    History().save(tmp_path / "history.json")
    assert json.loads((tmp_path / "history.json").read_text()) == []


def test_a_column_holds_the_steps_that_have_it(history):
    assert history.column("loss") == ([1, 2], [4.0, 3.0])
    assert history.column("val_accuracy") == ([2], [4.0])
    assert history.column("grad_norm") == ([], [])


def test_a_failed_save_leaves_the_old_file(history, tmp_path):
    history.save(tmp_path / "history.json")
    before = (tmp_path / "history.json").read_bytes()
    history.add(step=3, loss=object())
    with pytest.raises(TypeError):
        history.save(tmp_path / "history.json")
    assert (tmp_path / "history.json").read_bytes() == before


@pytest.mark.parametrize("records", [None, []])
def test_the_plot_is_a_picture_even_without_records(history, tmp_path, records):
    (history if records is None else History(records)).plot(tmp_path / "loss.png")
    picture = (tmp_path / "loss.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 5000


def test_the_records_given_are_not_shared(history):
    copy = History(history.records)
    copy.add(step=9)
    assert len(history.records) == 3
