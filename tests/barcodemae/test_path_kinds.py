"""A path is told by what lies there, whatever it is called."""

import gzip

import pytest

from barcodemae.path_kinds import Kind, kind_of


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b">one\nACGT\n", Kind.SEQUENCES),
        (b"@one\nACGT\n+\nIIII\n", Kind.SEQUENCES),
        (b"processid\tgenus\nA\tApis\n", Kind.TABLE),
        (b"processid,genus\nA,Apis\n", Kind.TABLE),
        (b"PAR1\x15\x04", Kind.PARQUET),
        (b"\x89PNG\0,\t", Kind.FILE),
        (b"a note", Kind.FILE),
        (b"", Kind.FILE),
    ],
)
def test_a_file_is_told_by_its_first_bytes(tmp_path, content, kind):
    path = tmp_path / "x"
    path.write_bytes(content)
    assert kind_of(path) is kind


def test_a_compressed_file_is_told_by_what_is_in_it(tmp_path):
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(b">one\nACGT\n"))
    assert kind_of(path) is Kind.SEQUENCES


def test_a_file_that_cannot_be_unpacked_is_a_file(tmp_path):
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(b">one\nACGT\n")[:6])
    assert kind_of(path) is Kind.FILE


@pytest.mark.parametrize(
    ("mark", "kind"),
    [
        ("library.json", Kind.LIBRARY),
        ("config.json", Kind.MODEL),
        ("dataset.json", Kind.DATASET),
        ("train.parquet", Kind.DATASET),
        ("notes.txt", Kind.FOLDER),
    ],
)
def test_a_folder_is_told_by_a_file_that_only_its_kind_has(tmp_path, mark, kind):
    (tmp_path / mark).touch()
    assert kind_of(tmp_path) is kind


def test_what_is_not_there_is_said_so(tmp_path):
    assert kind_of(tmp_path / "nowhere") is Kind.MISSING
