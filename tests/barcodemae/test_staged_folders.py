"""A folder is the old one or the new one, whatever happens."""

import errno
import fcntl
import signal
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from barcodemae import files
from barcodemae.errors import DataError, SettingsError
from barcodemae.files import (
    flush_folder,
    replace_folder,
    scratch_folder,
    staged_folder,
)


MARKER = "dataset.json"
# Writes half of what it wants and waits to be killed.
HALF_A_FOLDER = """
from barcodemae.files import staged_folder
with staged_folder(sys.argv[2], overwrite=True) as folder:
    (folder / "half").write_text("half")
    print("ready", flush=True)
    time.sleep(600)
"""


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def write(out, text, **options):
    with staged_folder(out, marker=MARKER, what="data set", **options) as staging:
        (staging / MARKER).write_text(text)


def test_the_folder_appears_whole_and_nothing_else_stays(tmp_path):
    out = tmp_path / "a" / "b" / "data"
    with staged_folder(out) as staging:
        (staging / MARKER).write_text("new")
        assert not out.exists()
    assert names(out) == [MARKER]
    assert names(out.parent) == ["data"]


def test_a_folder_is_as_readable_as_any_other(tmp_path):
    write(tmp_path / "data", "new")
    (tmp_path / "ordinary").mkdir()
    modes = [(tmp_path / name).stat().st_mode for name in ("data", "ordinary")]
    assert stat.S_IMODE(modes[0]) == stat.S_IMODE(modes[1])


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_nothing_not_even_parents(tmp_path, error):
    with pytest.raises(error), staged_folder(tmp_path / "a" / "b"):
        raise error
    assert names(tmp_path) == []


def test_an_older_folder_is_replaced_only_when_asked(tmp_path):
    out = tmp_path / "data"
    write(out, "old")
    with pytest.raises(SettingsError, match="holds a data set already; --overwrite"):
        write(out, "new")
    assert (out / MARKER).read_text() == "old"
    (out / "more").write_text("of the old one")
    write(out, "new", overwrite=True)
    assert (out / MARKER).read_text() == "new"
    assert names(out) == [MARKER]
    assert names(tmp_path) == ["data"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_while_replacing_keeps_the_old(tmp_path, error):
    out = tmp_path / "data"
    write(out, "old")
    with pytest.raises(error), staged_folder(out, overwrite=True):
        raise error
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
    assert names(tmp_path / "data") == ["thesis.tex"]


def test_what_may_not_be_replaced_is_refused_before_any_time_is_spent(tmp_path):
    write(tmp_path / "data", "old")
    with pytest.raises(SettingsError), staged_folder(tmp_path / "data"):
        pytest.fail("the block was begun")


def test_where_no_file_marks_them_every_folder_of_that_name_is_ours(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "old").write_text("x")
    with (
        pytest.raises(SettingsError, match="holds a folder already"),
        staged_folder(tmp_path / "data"),
    ):
        pass
    with staged_folder(tmp_path / "data", overwrite=True):
        pass
    assert names(tmp_path / "data") == []


def test_an_empty_folder_may_be_filled(tmp_path):
    (tmp_path / "data").mkdir()
    write(tmp_path / "data", "new")
    assert (tmp_path / "data" / MARKER).read_text() == "new"
    assert names(tmp_path) == ["data"]


def test_the_quicker_of_two_runs_stays_where_nothing_may_be_replaced(tmp_path):
    out = tmp_path / "data"

    def be_slow():
        with staged_folder(out, marker=MARKER) as slow:
            (slow / MARKER).write_text("slow")
            write(out, "quick")

    with pytest.raises(SettingsError, match="already"):
        be_slow()
    assert (out / MARKER).read_text() == "quick"
    assert names(tmp_path) == ["data"]


def test_two_runs_never_mix_their_files(tmp_path):
    out = tmp_path / "data"
    with staged_folder(out, overwrite=True) as first:
        (first / "first").touch()
        with staged_folder(out, overwrite=True) as second:
            (second / "second").touch()
        assert names(out) == ["second"]
    assert names(out) == ["first"]
    assert names(tmp_path) == ["data"]


def test_a_killed_runs_folder_is_removed_and_a_living_ones_kept(tmp_path, start):
    write(tmp_path / "data", "old")
    process = start(HALF_A_FOLDER, tmp_path / "data")
    write(tmp_path / "data", "new", overwrite=True)
    left, _ = names(tmp_path)
    assert left.startswith(f".data.{process.pid}-")
    assert names(tmp_path / left / "content") == ["half"]
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert names(tmp_path) == [left, "data"]
    write(tmp_path / "data", "newer", overwrite=True)
    assert names(tmp_path) == ["data"]


def leftover(directory, name):
    folder = directory / name
    folder.mkdir()
    (folder / "lock").touch()
    return folder


def test_only_what_is_left_of_this_very_folder_is_removed(tmp_path):
    leftover(tmp_path, ".a[1].12-0123abcd.tmp")
    others = [".a1.12-0123abcd.tmp", ".a[1].b.12-0123abcd.tmp", ".a[1].notes.tmp", ".a[1].tmp"]
    for name in others:
        leftover(tmp_path, name)
    (tmp_path / ".a[1].13-0123abcd.tmp").write_text("a file")
    (tmp_path / ".a[1].14-0123abcd.tmp" / "without_a_lock").mkdir(parents=True)
    (tmp_path / ".a[1].15-0123abcd.tmp").mkdir()  # killed before it made its lock
    write(tmp_path / "a[1]", "new")
    kept = [".a[1].13-0123abcd.tmp", ".a[1].14-0123abcd.tmp"]
    assert names(tmp_path) == sorted([*others, *kept, "a[1]"])


def test_where_a_disk_has_no_locks_nothing_of_others_is_removed(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    left = leftover(tmp_path, ".data.12-0123abcd.tmp")
    write(tmp_path / "data", "new")
    assert names(tmp_path) == [left.name, "data"]


def test_where_a_system_has_no_locks_nothing_of_others_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "sys", SimpleNamespace(platform="win32"))
    monkeypatch.delattr(files, "fcntl")
    left = leftover(tmp_path, ".data.12-0123abcd.tmp")
    write(tmp_path / "data", "new")
    assert names(tmp_path) == [left.name, "data"]


def test_a_living_run_holds_its_lock_until_its_folder_has_its_name(tmp_path):
    with scratch_folder(tmp_path / "data") as folder:
        lock = (folder.parent / "lock").open("r+")
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        replace_folder(folder, tmp_path / "data")
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    lock.close()


def test_an_older_folder_put_aside_by_a_killed_run_comes_back(tmp_path):
    write(tmp_path / "data", "old")
    (tmp_path / "data").rename(tmp_path / ".data.replaced.tmp")  # killed between the two renames
    with pytest.raises(SettingsError, match="holds a data set already"):
        write(tmp_path / "data", "new")
    assert (tmp_path / "data" / MARKER).read_text() == "old"
    assert names(tmp_path) == ["data"]


def test_a_replaced_folder_is_removed_after_a_killed_run(tmp_path):
    write(tmp_path / "data", "new")
    (tmp_path / ".data.replaced.tmp").mkdir()  # killed after both renames
    (tmp_path / ".data.replaced.tmp" / MARKER).write_text("old")
    write(tmp_path / "data", "newer", overwrite=True)
    assert (tmp_path / "data" / MARKER).read_text() == "newer"
    assert names(tmp_path) == ["data"]


def test_a_killed_replacement_does_not_stop_the_next(tmp_path):
    for name in ("data", ".data.replaced.tmp", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "whose").write_text(name)
    replace_folder(tmp_path / "new", tmp_path / "data")
    assert (tmp_path / "data" / "whose").read_text() == "new"
    assert names(tmp_path) == ["data"]


def test_a_kill_while_tidying_up_leaves_what_the_next_run_removes(tmp_path, monkeypatch):
    rmtree = files.shutil.rmtree
    removed = []

    def die_at_the_second(path, **options):
        removed.append(path)
        if len(removed) == 2:
            raise KeyboardInterrupt
        rmtree(path, **options)

    monkeypatch.setattr(files.shutil, "rmtree", die_at_the_second)
    with pytest.raises(KeyboardInterrupt), scratch_folder(tmp_path / "data") as folder:
        (folder / "half").touch()
    assert names(folder.parent) == ["lock"]
    monkeypatch.undo()
    write(tmp_path / "data", "new")
    assert names(tmp_path) == ["data"]


def test_a_folder_that_cannot_take_its_name_leaves_the_old_one_under_it(tmp_path, monkeypatch):
    write(tmp_path / "data", "old")
    rename = Path.rename

    def refuse_the_new(path, target):
        if path.name == "content":
            raise OSError(errno.EACCES, "Permission denied", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse_the_new)
    with pytest.raises(DataError, match="data: cannot be written: Permission denied"):
        write(tmp_path / "data", "new", overwrite=True)
    assert (tmp_path / "data" / MARKER).read_text() == "old"
    assert names(tmp_path) == ["data"]


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_link_or_a_file_in_the_place_of_a_folder_is_replaced_alone(tmp_path, kind):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()
    if kind == "link":
        (tmp_path / "data").symlink_to(tmp_path / "elsewhere")
    else:
        (tmp_path / "data").touch()
    (tmp_path / "new").mkdir()
    replace_folder(tmp_path / "new", tmp_path / "data")
    assert not (tmp_path / "data").is_symlink()
    assert names(tmp_path / "data") == []
    assert names(tmp_path) == ["data", "elsewhere"]
    assert names(tmp_path / "elsewhere") == ["kept"]


def test_a_link_to_a_folder_stays_one_and_the_folder_is_replaced(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").symlink_to("elsewhere")
    with staged_folder(tmp_path / "data", overwrite=True) as staging:
        (staging / "new").touch()
    assert (tmp_path / "data").is_symlink()
    assert names(tmp_path / "elsewhere") == ["new"]
    assert names(tmp_path) == ["data", "elsewhere"]


def test_all_of_a_folder_is_on_the_disk_before_it_takes_its_name(tmp_path, flushed):
    flushed.watched = tmp_path / "data"
    with staged_folder(tmp_path / "data") as staging:
        (staging / "sub").mkdir()
        (staging / "sub" / "file").write_text("x")
        (staging / "link").symlink_to("nowhere")
    out = tmp_path / "data"
    for path in (out, out / "sub", out / "sub" / "file"):
        assert flushed.inodes.pop(path.stat().st_ino) is False
    assert flushed.inodes == {tmp_path.stat().st_ino: True}  # and its name after that


def test_a_flushed_folder_is_as_it_was(tmp_path):
    (tmp_path / "read_only").write_text("x")
    (tmp_path / "read_only").chmod(0o444)
    flush_folder(tmp_path)
    assert (tmp_path / "read_only").read_text() == "x"


def test_a_parent_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot be written"):
        write(tmp_path / "file" / "data", "new")
    assert names(tmp_path) == ["file"]


def test_a_full_disk_is_said_with_the_name_of_the_folder(tmp_path):
    with (
        pytest.raises(DataError, match="data: cannot be written: No space left on device"),
        staged_folder(tmp_path / "data"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(FileNotFoundError), staged_folder(tmp_path / "data"):
        (tmp_path / "source.csv").read_text()
    assert names(tmp_path) == []


def test_a_scratch_folder_is_gone_when_its_block_ends(tmp_path):
    with scratch_folder(tmp_path / "a" / "model") as folder:
        (folder / "weights").touch()
        assert folder.parent.parent == tmp_path / "a"
    assert names(tmp_path) == []


def test_what_was_moved_out_of_a_scratch_folder_stays(tmp_path):
    with scratch_folder(tmp_path / "a" / "model") as folder:
        (folder / "weights").touch()
        (folder / "weights").rename(tmp_path / "a" / "weights")
    assert names(tmp_path / "a") == ["weights"]
