"""Every kind of file gives its records, in order and with none left out."""

import gzip
import io
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from barcodemae import cli
from barcodemae.calls.queries import read_queries
from barcodemae.errors import DataError


ROWS = [("A1", "ACGTACGTAC"), ("B2", "GGCCGGCCGG"), ("C3", "TTTTTTTTTT")]


def pairs(path):
    return [(record.id, record.sequence) for record in read_queries(str(path))]


@pytest.mark.parametrize(
    ("name", "between", "header"),
    [
        *(("a.csv", ",", "processid,nuc"), ("a.csv", ";", "sample;seq")),
        *(("a.tsv", "\t", "asv\tsequence"), ("a.txt", "\t", "accession\tdna")),
    ],
)
def test_a_table_gives_a_record_for_every_row(tmp_path, name, between, header):
    path = tmp_path / name
    path.write_text("\n".join([header, *(between.join(row) for row in ROWS)]) + "\n")
    assert pairs(path) == ROWS
    assert [record.number for record in read_queries(str(path))] == [1, 2, 3]
    packed = tmp_path / "packed.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert pairs(packed) == ROWS


def test_comments_before_a_table_are_no_records(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("# LIMS 3.1\n# on Monday\nid\tsequence\nA1\tACGT\n")
    assert pairs(path) == [("A1", "ACGT")]


def test_a_row_without_an_id_is_called_by_its_place(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("id\tsequence\nA1\tACGT\n\tACGG\n")
    assert pairs(path) == [("A1", "ACGT"), ("a:3", "ACGG")]


def test_a_parquet_file_gives_a_record_for_every_row(tmp_path):
    table = pa.table({"id": [name for name, _ in ROWS], "sequence": [text for _, text in ROWS]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert pairs(tmp_path / "a.parquet") == ROWS


def test_rows_that_cannot_be_used_are_records_with_their_problem(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text(
        "processid\tnuc\tmarker_code\n"
        "A1\tACGT\tCOI-5P\nB2\tACGT\t16S\nC3\tACGT\tCOI-5P\textra\nD4\t\tCOI-5P\n"
    )
    found = list(read_queries(str(path)))
    assert [record.number for record in found] == [1, 2, 3, 4]
    assert [(record.id, record.sequence, bool(record.problem)) for record in found] == [
        *(("A1", "ACGT", False), ("B2", "", True), ("", "", True), ("D4", "", False))
    ]
    assert "16S" in found[1].problem
    assert "4 fields" in found[2].problem


def test_a_table_gets_the_names_that_its_sequences_get_in_fasta(lineages, lib, tmp_path):
    rows = [(name, text) for name, text, _ in lineages[::5]]
    fasta, table = tmp_path / "a.fasta", tmp_path / "a.csv"
    fasta.write_text("".join(f">{name}\n{text}\n" for name, text in rows))
    table.write_text("sample,sequence\n" + "".join(f"{name},{text}\n" for name, text in rows))
    for source in (fasta, table):
        command = ["identify", str(source), "-r", str(lib), "-m", "kmer:4"]
        assert cli.main([*command, "-o", f"{source}.names"]) == 0
    of_fasta, of_table = (Path(f"{source}.names").read_text() for source in (fasta, table))
    assert of_table == of_fasta
    assert len(of_table.splitlines()) == len(rows) + 1


def test_a_table_without_sequences_is_one_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,length\nA,3\n")
    with pytest.raises(DataError, match=r"a.csv, line 1: no column of barcodes .*has: id, length"):
        list(read_queries(str(path)))


def test_a_table_on_standard_input_is_told_to_be_one(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"id,seq\nA,ACGT\n")))
    with pytest.raises(DataError, match=r"is a table, not FASTA or FASTQ: .* from a file"):
        list(read_queries("-"))


def test_fasta_is_read_as_before(tmp_path):
    path = tmp_path / "a.fasta"
    path.write_text("".join(f">{name} x\n{text}\n" for name, text in ROWS))
    assert pairs(path) == ROWS


def test_a_file_of_fasta_brings_no_reader_of_tables(tmp_path):
    path = tmp_path / "a.fasta"
    path.write_text(">a\nACGT\n")
    code = (
        "import sys; from barcodemae.calls.queries import read_queries; "
        "list(read_queries(sys.argv[1])); "
        "print(any('training.data' in name for name in sys.modules))"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
