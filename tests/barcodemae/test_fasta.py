"""FASTA and FASTQ from the wild are read, or refused with the line."""

import gzip
import io
import random
import sys

import pytest

from barcodemae import fasta
from barcodemae.errors import DataError
from barcodemae.fasta import LONGEST, TOO_LONG, SequenceRecord, read_records, without_long_records


RECORDS = [("A;size=2;", "A;size=2; some words", "ACGT"), ("B|x", "B|x", "GGCC"), ("C", "C", "TT")]
FASTA = ">A;size=2; some words\nAC\nGT\n>B|x\nGGCC\n>C\nTT\n"


def read(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [(each.id, each.header, each.sequence) for each in read_records(path)]


@pytest.mark.parametrize(
    "content",
    [
        FASTA,
        FASTA.replace("\n", "\r\n"),
        FASTA.rstrip(),
        FASTA.replace("\n>", "\n\n>"),
        gzip.compress(FASTA.encode(), mtime=0),
    ],
    ids=["plain", "crlf", "no-last-line-end", "blank-lines", "gzip"],
)
def test_headers_and_letters_come_verbatim(tmp_path, content):
    assert read(tmp_path / "t.fasta", content) == RECORDS


def test_records_are_numbered(tmp_path):
    (tmp_path / "t.fa").write_text(FASTA)
    assert [each.number for each in read_records(tmp_path / "t.fa")] == [1, 2, 3]


def test_fastq_is_read(tmp_path):
    assert read(tmp_path / "t.fq", "@A x\nACGT\n+\nIIII\n") == [("A", "A x", "ACGT")]


def test_standard_input_is_read(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(FASTA.encode())))
    assert [each.id for each in read_records("-")] == [record[0] for record in RECORDS]


def test_a_line_of_ten_megabytes_is_a_record(tmp_path):
    ((_, _, sequence),) = read(tmp_path / "t.fa", ">A\n" + "ACGT" * 2_500_000 + "\n")
    assert len(sequence) == 10_000_000


def test_a_header_without_name_has_an_empty_id(tmp_path):
    assert read(tmp_path / "t.fa", ">\nACGT\n") == [("", "", "ACGT")]


def test_gzip_cut_at_any_byte_is_an_error(tmp_path):
    packed = gzip.compress(FASTA.encode() * 50)
    for size in range(1, len(packed)):
        with pytest.raises(DataError):
            read(tmp_path / "t.fasta.gz", packed[:size])


def test_a_cut_fastq_is_an_error(tmp_path):
    whole = "@A\nACGT\n+\nIIII\n@B\nACGT\n+\nIIII\n"
    for size in (*range(1, 14), *range(16, 29)):
        with pytest.raises(DataError):
            read(tmp_path / "t.fq", whole[:size])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "holds no sequences"),
        ("ACGT\n", "line 1: Expected '>'"),
        ("processid,dna_barcode\nA,ACGT\n", "line 1: Expected '>'"),
        (b">A\nAC\xe9T\n", "cannot be read: .* codec"),
        (FASTA.encode("utf-16"), "line 1: is UTF-16 text; save it as UTF-8"),
    ],
    ids=["empty", "letters", "table", "latin-1", "utf-16"],
)
def test_what_is_no_fasta_is_an_error_of_one_line(tmp_path, content, problem):
    with pytest.raises(DataError, match=problem) as caught:
        read(tmp_path / "t.fasta", content)
    assert "\n" not in str(caught.value)
    assert "t.fasta" in str(caught.value)


def test_a_missing_file_and_a_directory_are_errors(tmp_path):
    for path in (tmp_path, tmp_path / "none.fa"):
        with pytest.raises(DataError, match="cannot be read"):
            list(read_records(path))


def test_fastq_without_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(fasta, "MAX_RECORD_BYTES", 2000)
    with pytest.raises(DataError, match=r"t.fasta: holds a record of more than"):
        read(tmp_path / "t.fasta", b"@A\n" + b"A" * 3000)


@pytest.mark.parametrize("line", [b"A" * 3_000_000, b"ACGT\n" * 600_000], ids=["one", "many"])
def test_a_record_without_end_does_not_fill_the_memory(tmp_path, monkeypatch, line):
    monkeypatch.setattr(fasta, "MAX_RECORD_BYTES", 2000)
    first, second = read(tmp_path / "t.fasta", b">A\n" + line + b"\n>B x\nAC\nGT\n")
    assert first[0] == "A"
    assert 2000 < len(first[2]) < 600_000
    assert second == ("B", "B x", "ACGT")


def test_many_records_are_no_long_one(tmp_path, monkeypatch):
    monkeypatch.setattr(fasta, "MAX_RECORD_BYTES", 2000)
    assert len(read(tmp_path / "t.fasta", ">A\nACGT\n" * 2000)) == 2000


def test_a_cut_says_after_which_record(tmp_path):
    letters = "".join(random.Random(0).choices("ACGT", k=400_000))
    packed = gzip.compress(f">A\nAC\n>B\nGG\n>C\n{letters}\n".encode())
    with pytest.raises(DataError, match=r"t.gz: is cut off: .* after record 2"):
        read(tmp_path / "t.gz", packed[:-9])


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_headers_in_either_encoding_are_read(tmp_path, encoding):
    text = ">M\u00fcller_\u00d7 Salix \u00d7 rubens\nACGT\n" * 3 + ">B\nAC\n"
    records = read(tmp_path / "t.fa", text.encode(encoding))
    assert records == [
        ("M\u00fcller_\u00d7", "M\u00fcller_\u00d7 Salix \u00d7 rubens", "ACGT")
    ] * 3 + [("B", "B", "AC")]


def test_the_letters_of_a_record_that_is_far_too_long_are_dropped():
    records = [
        SequenceRecord(1, "A", "A", "A" * LONGEST),
        SequenceRecord(2, "B", "B", "A" * (LONGEST + 1)),
    ]
    kept, dropped = without_long_records(records)
    assert kept is records[0]
    assert (dropped.id, dropped.sequence, dropped.problem) == ("B", "", TOO_LONG)
