"""The record of a run: read as training writes it, shown without paths, plotted."""

import json

import pytest

from barcodemae.errors import DataError
from barcodemae.model_cards.run_record import SHOWN_SETTINGS, RunRecord, draw_loss, read_run
from barcodemae.training.run.finetune_settings import FinetuneConfig
from barcodemae.training.run.pretrain_settings import PretrainConfig


@pytest.fixture
def run_folder(tmp_path):
    PretrainConfig(data=tmp_path / "secret" / "coi", output=tmp_path / "out").save(
        tmp_path / "settings.json"
    )
    history = [
        {"step": 20, "loss": 8.0, "seconds": 60.0},
        {"step": 40, "loss": 7.0, "seconds": 130.0},
        {"step": 40, "val_loss": 7.25},
    ]
    (tmp_path / "history.json").write_text(json.dumps(history))
    return tmp_path


def test_settings_are_read_by_the_names_that_training_writes(run_folder):
    settings = read_run(run_folder).settings
    known = set(json.loads((run_folder / "settings.json").read_text()))
    assert set(SHOWN_SETTINGS) <= known | set(FinetuneConfig.__dataclass_fields__)
    assert settings["epochs"] == "35"
    assert settings["weight decay"] == "1e-05"
    assert settings["trained on"] == "pretrain, other_heldout"
    assert "steps asked for" not in settings


def test_paths_of_the_machine_are_not_shown(run_folder):
    settings = read_run(run_folder).settings
    assert settings["data set"] == "coi"
    assert not [value for value in settings.values() if "secret" in value]


def test_a_number_of_steps_replaces_epochs(tmp_path):
    PretrainConfig(data=tmp_path, output=tmp_path, max_steps=9).save(tmp_path / "settings.json")
    settings = read_run(tmp_path).settings
    assert settings["steps asked for"] == "9"
    assert "epochs" not in settings


def test_duration_and_last_values_come_from_the_history(run_folder):
    run = read_run(run_folder)
    assert (run.last("step"), run.last("val_loss"), run.last("absent")) == (40, 7.25, None)
    assert run.duration == "2 min"
    assert RunRecord(history=[{"step": 1, "seconds": 5400 * 2}]).duration == "3.0 h"
    assert RunRecord(history=[{"step": 1, "seconds": 5}]).duration == "5 s"


def test_a_folder_without_a_record_has_an_empty_one(tmp_path):
    assert read_run(tmp_path) == RunRecord()


@pytest.mark.parametrize(
    ("name", "content"),
    [("settings.json", "[]"), ("settings.json", "{"), ("history.json", "{}"),
     ("history.json", "[1]"), ("history.json", '[{"loss": 1}]')],
)  # fmt: skip
def test_a_file_of_something_else_is_refused_by_name(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=name):
        read_run(tmp_path)


def test_the_same_history_is_drawn_as_the_same_picture(run_folder, tmp_path):
    history = read_run(run_folder).history
    pictures = [tmp_path / "a" / "loss.png", tmp_path / "b" / "loss.png"]
    assert all(draw_loss(history, path, "loss") for path in pictures)
    first, second = (path.read_bytes() for path in pictures)
    assert first == second
    assert first.startswith(b"\x89PNG")


def test_without_losses_nothing_is_drawn(tmp_path):
    assert not draw_loss([{"step": 1, "seconds": 2.0}], tmp_path / "loss.png", "loss")
    assert not (tmp_path / "loss.png").exists()


def test_earlier_stages_count_towards_the_duration(run_folder):
    alone = read_run(run_folder).hours
    for name in ("first_stage", "second_stage"):
        stage = run_folder / name
        stage.mkdir()
        (stage / "history.json").write_text('[{"step": 7, "seconds": 7200.0}]')
    assert read_run(run_folder).hours == pytest.approx(alone + 4)
