"""A folder is the old one or the new one, whatever happens."""

import fcntl

import pytest

from barcodemae.errors import DataError, SettingsError
from barcodemae.training.data.staging import staged_directory


MARKER = "dataset.json"


def write(out, text, **options):
    with staged_directory(out, marker=MARKER, **options) as staging:
        (staging / MARKER).write_text(text)


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_the_folder_appears_whole_and_nothing_else_stays(tmp_path):
    out = tmp_path / "a" / "b" / "data"
    with staged_directory(out, marker=MARKER) as staging:
        (staging / MARKER).write_text("new")
        assert not out.exists()
    assert names(out) == [MARKER]
    assert names(out.parent) == ["data"]


def test_a_failure_leaves_nothing_not_even_parents(tmp_path):
    with pytest.raises(RuntimeError), staged_directory(tmp_path / "a" / "b", marker=MARKER):
        raise RuntimeError
    assert names(tmp_path) == []


def test_an_existing_data_set_is_replaced_only_when_asked(tmp_path):
    out = tmp_path / "data"
    write(out, "old")
    with pytest.raises(SettingsError, match="holds a data set already; --overwrite"):
        write(out, "new")
    assert (out / MARKER).read_text() == "old"
    write(out, "new", overwrite=True)
    assert (out / MARKER).read_text() == "new"
    assert names(tmp_path) == ["data"]


def test_a_failure_while_replacing_keeps_the_old(tmp_path):
    out = tmp_path / "data"
    write(out, "old")
    with pytest.raises(RuntimeError), staged_directory(out, marker=MARKER, overwrite=True):
        raise RuntimeError
    assert (out / MARKER).read_text() == "old"
    assert names(tmp_path) == ["data"]


def test_a_folder_of_somebody_else_is_never_replaced(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.tex").write_text("x")
    with pytest.raises(SettingsError, match="is not a data set of ours"):
        write(tmp_path / "data", "new", overwrite=True)
    (tmp_path / "file").write_text("x")
    with pytest.raises(SettingsError, match="is not a data set of ours"):
        write(tmp_path / "file", "new", overwrite=True)


def test_an_empty_folder_may_be_filled(tmp_path):
    (tmp_path / "data").mkdir()
    write(tmp_path / "data", "new")
    assert (tmp_path / "data" / MARKER).read_text() == "new"


def test_a_dead_runs_folder_is_removed_and_a_living_ones_kept(tmp_path):
    dead, living = tmp_path / ".data.new-dead", tmp_path / ".data.new-living"
    for leftover in (dead, living, tmp_path / ".other.new-x"):
        leftover.mkdir()
        (leftover / ".lock").touch()
    with (living / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        write(tmp_path / "data", "new")
    assert names(tmp_path) == [".data.new-living", ".other.new-x", "data"]


def test_an_old_data_set_put_aside_by_a_killed_run_comes_back(tmp_path):
    write(tmp_path / "data", "old")
    (tmp_path / "data").rename(tmp_path / ".data.old")  # killed between the two renames
    with pytest.raises(SettingsError, match="holds a data set already"):
        write(tmp_path / "data", "new")
    assert (tmp_path / "data" / MARKER).read_text() == "old"


def test_a_replaced_data_set_is_removed_after_a_killed_run(tmp_path):
    write(tmp_path / "data", "new")
    (tmp_path / ".data.old").mkdir()  # killed after both renames
    write(tmp_path / "data", "newer", overwrite=True)
    assert names(tmp_path) == ["data"]


def test_a_parent_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot be written"):
        write(tmp_path / "file" / "data", "new")
