import bz2
import gzip
import io
import sys

import pytest

from barcodemae.errors import DataError
from barcodemae.fasta import read_records
from barcodemae.raw_fasta import KEPT_LETTERS, read_any_records


def read(path):
    return [
        (record.number, record.id, record.sequence.strip()) for record in read_any_records(path)
    ]


@pytest.fixture
def write(tmp_path):
    def write(content, name="in.fasta"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


def test_well_formed_files_are_read_as_by_the_strict_reader(write):
    path = write(b">a;size=3|x words\nACGT\n\nAC\n>b\r\nGGTT\r\n>\nTT\n")
    strict = [(r.id, r.header, r.sequence) for r in read_records(path)]
    found = [(r.id, r.header, "".join(r.sequence.split())) for r in read_any_records(path)]
    assert found == strict


def test_bytes_that_are_no_text_come_back_as_they_were(write):
    path = write(b">id\xff\xfe x\nAC\x80GT\n>b\nAC\n")
    first, second = read_any_records(path)
    assert first.id.encode("utf-8", "surrogateescape") == b"id\xff\xfe"
    assert first.sequence.encode("utf-8", "surrogateescape") == b"AC\x80GT\n"
    assert (second.number, second.id) == (2, "b")


def test_what_stands_before_the_first_header_is_a_record_too(write):
    assert read(write(b"stray words\n>a\nACGT\n")) == [(1, "", "stray words"), (2, "a", "ACGT")]


@pytest.mark.parametrize(("pack", "name"), [(gzip.compress, "a.gz"), (bz2.compress, "a.bz2")])
def test_compressed_files_are_unpacked(write, pack, name):
    assert read(write(pack(b">a\nACGT\n"), name)) == [(1, "a", "ACGT")]


@pytest.mark.parametrize("content", [b">a\nAC\n", b"@a\nAC\n+\nII\n", gzip.compress(b">a\nAC\n")])
def test_standard_input_is_read_whatever_is_in_it(content, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert read("-") == [(1, "a", "AC")]


def test_a_broken_fastq_record_is_named(write):
    path = write(b"@a\nACGT\n+\nIIII\n@b\nACGT\nIIII\n")
    with pytest.raises(DataError, match="record 2: is not FASTQ"):
        read(path)


def test_a_cut_off_archive_is_an_error_after_the_last_record(write):
    packed = gzip.compress(b"".join(b">r%d\nACGT\n" % i for i in range(50_000)))
    with pytest.raises(DataError, match="cannot be read after record"):
        read(write(packed[: len(packed) // 2], "a.gz"))


@pytest.mark.parametrize("content", [b"", b"\n\n  \n"])
def test_a_file_with_nothing_in_it_is_an_error(write, content):
    with pytest.raises(DataError, match="holds no sequences"):
        read(write(content))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        read(tmp_path / "nowhere.fasta")


def test_an_endless_record_is_not_kept_whole(write):
    (record,) = read_any_records(write(b">a\n" + b"ACGT\n" * 400_000))
    assert KEPT_LETTERS <= len(record.sequence) < KEPT_LETTERS + 10
