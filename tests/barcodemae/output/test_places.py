import os

import pytest

from barcodemae.errors import SettingsError
from barcodemae.output.places import check_file, check_folder, claimed


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.fasta"
    path.write_text(">a\nACGT\n")
    return path


def test_a_place_that_is_free_is_left_as_it_is(tmp_path, source):
    check_file(tmp_path / "out.tsv", [source, "-", "hf://datasets/a/b", "simulate"])
    check_folder(tmp_path / "new" / "out", [source])
    assert [path.name for path in tmp_path.iterdir()] == ["in.fasta"]


@pytest.mark.parametrize("how", ["itself", "link", "hard link", "another way", "member"])
def test_an_input_is_never_the_output_by_whatever_name(tmp_path, source, how):
    output = {"itself": source, "another way": tmp_path / "x" / ".." / "in.fasta"}.get(
        how, tmp_path / "other"
    )
    (tmp_path / "x").mkdir()
    if how == "link":
        output.symlink_to(source)
    elif how == "hard link":
        output.hardlink_to(source)
    given = f"{source}::table.csv" if how == "member" else source
    with pytest.raises(SettingsError, match="is the input itself"):
        check_file(source if how == "member" else output, [given])


def test_a_file_inside_an_input_folder_is_refused(tmp_path):
    (tmp_path / "lib").mkdir()
    with pytest.raises(SettingsError, match="lies in the input"):
        check_file(tmp_path / "lib" / "library.json", [tmp_path / "lib"])


def test_a_folder_that_is_or_holds_an_input_is_refused(tmp_path, source):
    inner = tmp_path / "data" / "inner"
    inner.mkdir(parents=True)
    for output, given, words in (
        (inner, inner, "is the input itself"),
        (tmp_path, source, "holds the input"),
        (tmp_path / "data", inner, "holds the input"),
    ):
        with pytest.raises(SettingsError, match=words):
            check_folder(output, [given])
    check_folder(inner / "new", [inner])


def test_what_is_no_place_for_an_output_is_said(tmp_path, source):
    for check, output, words in (
        (check_file, tmp_path, "is a folder"),
        (check_file, tmp_path / "no" / "out.tsv", "does not exist"),
        (check_file, source / "out.tsv", "does not exist"),
        (check_folder, source, "is a file"),
        (check_folder, source / "out", "in.fasta is a file"),
    ):
        with pytest.raises(SettingsError, match=words):
            check(output)


def test_where_nothing_may_be_written_is_said_before(tmp_path, source, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for check in (check_file, check_folder):
        with pytest.raises(SettingsError, match="permission denied"):
            check(tmp_path / "out")


def test_a_stream_or_a_device_needs_no_place(tmp_path, source):
    os.mkfifo(tmp_path / "pipe")
    for output in ("-", "/dev/stdout", "/dev/null", tmp_path / "pipe"):
        check_file(output, [source])
        with claimed(output):
            pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.fasta", "pipe"]


def test_a_claim_holds_all_its_outputs(tmp_path, source):
    first, second = tmp_path / "a.tsv", tmp_path / "b.tsv"
    with (
        claimed(first, second, inputs=[source]),
        pytest.raises(SettingsError, match=r"b\.tsv is being written by another run"),
        claimed(tmp_path / "c.tsv", second),
    ):
        pass
    with claimed(first, second):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["in.fasta"]


def test_two_outputs_are_never_one_file(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "out")
    with (
        pytest.raises(SettingsError, match="link is named for two outputs"),
        claimed(tmp_path / "out", "-", tmp_path / "link"),
    ):
        pass
