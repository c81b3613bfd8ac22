"""One run at a time in a folder; a run that fails leaves it as it was."""

import dataclasses

import pytest

from barcodemae.errors import DataError, SettingsError
from barcodemae.output.lock import held
from barcodemae.training.pretrain import pretrain
from barcodemae.training.run.claim import run_folder


def test_a_second_run_in_one_folder_is_refused(settings):
    config = settings()
    with held(config.output), pytest.raises(SettingsError, match="is being written by another run"):
        pretrain(config)
    assert not config.output.exists()


def test_of_several_processes_the_first_holds_the_folder(settings, monkeypatch):
    config = settings()
    with run_folder(config):
        monkeypatch.setenv("RANK", "1")
        with run_folder(config):
            pass


def test_a_run_that_cannot_begin_leaves_nothing(settings):
    config = settings("new", train_splits="nothing_of_that_name")
    with pytest.raises(DataError):
        pretrain(config)
    assert not config.output.exists()
    assert [path.name for path in config.output.parent.iterdir()] == []


def test_a_run_that_cannot_begin_leaves_what_was_there(settings):
    config = settings(train_splits="nothing_of_that_name")
    config.output.mkdir()
    (config.output / "notes.txt").write_text("mine")
    with pytest.raises(DataError):
        pretrain(config)
    assert (config.output / "notes.txt").read_text() == "mine"


def test_an_interrupted_run_says_how_to_go_on(settings, cut_off):
    config = settings()
    error = cut_off(config, 5)
    assert error.__notes__ == ["the same command with --resume goes on after step 5"]


def test_the_folder_of_the_data_is_no_folder_for_a_run(settings):
    config = settings()
    with pytest.raises(SettingsError, match="is the input itself"):
        pretrain(dataclasses.replace(config, output=config.data))


def test_damaged_settings_are_one_line(settings):
    config = settings(max_steps=2)
    pretrain(config)
    (config.output / "settings.json").write_text("{")
    with pytest.raises(DataError, match=r"settings\.json: is not JSON"):
        pretrain(config, resume=True)


def test_a_finished_run_is_not_made_longer_and_says_what_to_do_instead(settings):
    pretrain(settings(max_steps=2))
    with pytest.raises(SettingsError) as caught:
        pretrain(settings(max_steps=4), resume=True)
    assert "max_steps was 2, is now 4 (the learning rate rises and falls once" in str(caught.value)
    assert "--initial-weights" in str(caught.value)
