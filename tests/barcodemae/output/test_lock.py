"""One run at a time writes an output, and a run that was killed stands in nobody's way."""

import signal
import subprocess
import sys

import pytest

from barcodemae.errors import DataError, SettingsError
from barcodemae.output import lock
from barcodemae.output.lock import Lock, held


HOLD = """
import sys, time
from pathlib import Path
from barcodemae.output.lock import Lock
lock = Lock(Path(sys.argv[1]))
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock of out.tsv."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "out.tsv")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    yield process
    process.kill()
    process.communicate()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_second_run_is_refused_while_the_first_one_lasts(tmp_path):
    with held(tmp_path / "out.tsv"), pytest.raises(SettingsError, match="by another run"):
        Lock(tmp_path / "out.tsv")
    with held(tmp_path / "out.tsv"), held(tmp_path / "other.tsv"):
        pass
    assert names(tmp_path) == []


def test_another_process_is_refused_too_and_the_same_output_by_a_link(tmp_path, other):
    (tmp_path / "link").symlink_to("out.tsv")
    for name in ("out.tsv", "link"):
        with pytest.raises(SettingsError, match="by another run"):
            Lock(tmp_path / name)


def test_a_killed_run_does_not_block_the_next(tmp_path, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert names(tmp_path) == [".out.tsv.lock"]
    with held(tmp_path / "out.tsv"):
        pass
    assert names(tmp_path) == []


def test_an_error_frees_the_output(tmp_path):
    with pytest.raises(ValueError, match="x"), held(tmp_path / "out.tsv"):
        raise ValueError("x")
    with held(tmp_path / "out.tsv"):
        pass


def test_a_lock_that_a_finished_run_removed_meanwhile_is_made_again(tmp_path, monkeypatch):
    first = Lock(tmp_path / "out.tsv")
    take, tries = lock._lock, []

    def finish_first(descriptor):
        if not tries:
            first.release()
        tries.append(descriptor)
        return take(descriptor)

    monkeypatch.setattr(lock, "_lock", finish_first)
    second = Lock(tmp_path / "out.tsv")
    assert len(tries) == 2
    assert second.path.exists()
    second.release()


def test_parents_that_were_made_for_the_lock_go_with_it(tmp_path):
    with held(tmp_path / "a" / "b" / "out"):
        assert (tmp_path / "a" / "b").is_dir()
    assert names(tmp_path) == []
    with held(tmp_path / "a" / "out"):
        (tmp_path / "a" / "out").touch()
    assert names(tmp_path) == ["a"]


def test_a_place_without_room_for_a_lock_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="out: cannot be written"):
        Lock(tmp_path / "file" / "out")
