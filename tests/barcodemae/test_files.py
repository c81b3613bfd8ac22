"""A file is the old one or the new one, whatever happens."""

import errno
import os
import signal
import subprocess
from pathlib import Path

import pytest

from barcodemae import files
from barcodemae.errors import DataError
from barcodemae.files import (
    flush,
    is_written_through,
    whole_file,
    write_json,
    write_text,
)


# Writes half of what it wants and waits to be killed.
HALF_A_FILE = """
import signal
from barcodemae.files import whole_file
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs begin by ignoring it
with whole_file(sys.argv[2]) as file, file.open("w") as stream:
    print("half", file=stream, flush=True)
    print("ready", flush=True)
    time.sleep(600)
"""


def names(directory):
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def file(tmp_path):
    """A file that was there before."""
    path = tmp_path / "out.tsv"
    path.write_text("old")
    return path


def test_a_file_appears_when_the_block_ends_and_nothing_else_stays(tmp_path):
    with whole_file(tmp_path / "out.tsv") as hidden:
        hidden.write_text("new")
        assert not (tmp_path / "out.tsv").exists()
    assert (tmp_path / "out.tsv").read_text() == "new"
    assert names(tmp_path) == ["out.tsv"]


def test_a_hidden_file_says_whose_it_is_and_keeps_the_suffix(tmp_path):
    with whole_file(str(tmp_path / "a.b.png")) as hidden:
        hidden.touch()
        assert hidden.parent == tmp_path
        assert hidden.name.startswith(f".a.b.{os.getpid()}-")
        assert hidden.suffix == ".png"


def test_a_name_without_a_folder_is_written_where_we_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_text("out", "new")
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(file, error):
    def fail():
        with whole_file(file) as hidden:
            hidden.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert file.read_text() == "old"
    assert names(file.parent) == [file.name]


def test_a_killed_process_leaves_the_old_file(file, start):
    process = start(HALF_A_FILE, file)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert file.read_text() == "old"
    write_text(file, "new")
    assert file.read_text() == "new"


def test_two_that_write_the_same_file_never_mix_and_the_last_to_finish_wins(file, start):
    process = start(HALF_A_FILE, file)
    with whole_file(file) as first:
        first.write_text("first")
        with whole_file(file) as second:
            second.write_text("second")
        assert file.read_text() == "second"
    assert file.read_text() == "first"
    process.send_signal(signal.SIGINT)
    process.wait()
    assert file.read_text() == "first"
    assert names(file.parent) == [file.name]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS])
def test_a_disk_that_refuses_is_said_with_the_name_of_the_file(file, number):
    def fail():
        with whole_file(file) as hidden:
            hidden.write_text("half")
            raise OSError(number, "as a library says it")

    with pytest.raises(DataError) as caught:
        fail()
    assert str(caught.value) == f"{file}: cannot be written: {os.strerror(number)}"
    assert file.read_text() == "old"
    assert names(file.parent) == [file.name]


def test_an_error_about_another_file_is_left_as_it_is(file):
    with pytest.raises(FileNotFoundError, match="queries"), whole_file(file):
        (file.parent / "queries.fasta").read_text()
    with pytest.raises(BrokenPipeError), whole_file(file):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


@pytest.mark.parametrize("name", ["no/out.tsv", "out.tsv/out.tsv"])
def test_a_folder_that_is_not_there_is_said_with_the_name_of_the_file(file, name):
    with pytest.raises(DataError, match=rf"{name}: cannot be written: No"):
        write_text(file.parent / name, "new")
    assert names(file.parent) == [file.name]


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(DataError, match="is a folder"):
        write_text(tmp_path, "new")
    assert names(tmp_path) == []


def test_a_link_stays_one_and_what_it_leads_to_is_replaced(file):
    link = file.with_name("link.tsv")
    link.symlink_to(file.name)
    write_text(link, "new")
    assert link.is_symlink()
    assert file.read_text() == "new"
    assert names(file.parent) == ["link.tsv", "out.tsv"]


def test_a_link_to_nothing_makes_what_it_leads_to(tmp_path):
    (tmp_path / "link.tsv").symlink_to("out.tsv")
    write_text(tmp_path / "link.tsv", "new")
    assert (tmp_path / "link.tsv").is_symlink()
    assert (tmp_path / "out.tsv").read_text() == "new"


def test_a_link_into_the_cache_of_the_hub_is_replaced_as_others_share_the_file(tmp_path):
    (tmp_path / "blobs").mkdir()
    shared = tmp_path / "blobs" / "0123"
    shared.write_text("old")
    (tmp_path / "README.md").symlink_to(shared)
    write_text(tmp_path / "README.md", "new")
    assert not (tmp_path / "README.md").is_symlink()
    assert shared.read_text() == "old"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_text(pipe, "new")
    assert os.read(reader, 10) == b"new"
    os.close(reader)
    assert names(tmp_path) == ["pipe"]


def test_a_device_is_not_replaced_even_where_it_leads_to_a_file(file, monkeypatch):
    link = file.with_name("link")
    link.symlink_to(file)
    monkeypatch.setattr(files, "DEVICES", (file.parent,))
    for name in (file, link):
        with whole_file(name) as path:
            assert path == name


def test_the_standard_output_is_a_device_even_where_it_is_a_file(tmp_path):
    link = tmp_path / "link"
    link.symlink_to("/dev/stdout")
    for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", link):
        assert is_written_through(Path(name))
    for name in (tmp_path, tmp_path / "missing", "/dev"):
        assert not is_written_through(Path(name))


def test_a_file_is_on_the_disk_before_it_takes_its_name(tmp_path, flushed):
    flushed.watched = tmp_path / "out.tsv"
    write_text(tmp_path / "out.tsv", "new")
    assert flushed.inodes == {flushed.watched.stat().st_ino: False}


def test_a_disk_that_cannot_flush_is_written_to_all_the_same(file, monkeypatch):
    def refuse(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "fsync", refuse)
    for number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF):
        write_text(file, str(number))
        assert file.read_text() == str(number)
    number = errno.EIO
    with pytest.raises(OSError, match="Input/output error"):
        write_text(file, "new")
    assert names(file.parent) == [file.name]


def test_what_may_not_be_opened_for_flushing_is_left_to_the_system(file, monkeypatch):
    def refuse(path, flags):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(files.os, "open", refuse)
    flush(file)


def test_text_is_utf_8_and_letters_that_were_not_go_back_as_they_came(file):
    write_text(file, b"Caf\xc3\xa9 \xff\n".decode("utf-8", "surrogateescape"))
    assert file.read_bytes() == b"Caf\xc3\xa9 \xff\n"


def test_json_is_laid_out_as_transformers_does(file):
    write_json(file, {"a": [1, 0.5], "b": None})
    assert file.read_text() == '{\n  "a": [\n    1,\n    0.5\n  ],\n  "b": null\n}\n'
    write_json(file, {"a": 1}, indent=1)
    assert file.read_text() == '{\n "a": 1\n}\n'


def test_what_is_not_json_leaves_the_old_file(file):
    with pytest.raises(TypeError):
        write_json(file, {"a": object()})
    assert file.read_text() == "old"
    assert names(file.parent) == [file.name]


def test_this_module_needs_nothing_but_python_and_the_errors(python_alone):
    code = """
import barcodemae.files
rooms = {name for name in sys.modules if name.split(".")[0] not in sys.stdlib_module_names}
print(*sorted(rooms - {"__main__"}))
"""
    done = subprocess.run(python_alone(code), capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["barcodemae", "barcodemae.errors", "barcodemae.files"]
