"""`barcodemae audit` writes its report, counts what it found, and refuses what it cannot do."""

import csv
import json
import random

import pyarrow as pa
import pyarrow.parquet
import pytest

from barcodemae.cli import main


@pytest.fixture
def data(tmp_path):
    """Three genera of four records each; one record has a label of another genus."""
    generator = random.Random(0)
    rows = []
    for genus in range(3):
        root = "".join(generator.choices("ACGT", (30, 12, 18, 40), k=240))
        rows += [
            {
                "processid": f"P{genus}{copy}",
                "family": f"Family{genus}",
                "genus": f"Genus{genus}",
                "species": f"Genus{genus} alba",
                "dna_barcode": root[:copy] + "A" + root[copy + 1 :],
                "split": "train",
            }
            for copy in range(4)
        ]
    rows[0]["dna_barcode"] = rows[5]["dna_barcode"]
    folder = tmp_path / "data"
    folder.mkdir()
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), folder / "part.parquet")
    return folder


def test_the_report_is_written_and_its_counts_are_said(data, tmp_path, capsys):
    report = tmp_path / "report"
    assert main(["audit", str(data), "-m", "kmer:4", "-o", str(report)]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(report)
    names = {"audit.tsv", "audit.json", "report.html", "flagged.tsv"}
    assert {file.name for file in report.iterdir()} == names
    with (report / "audit.tsv").open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    count = json.loads((report / "audit.json").read_text())["findings"]
    assert len(rows) == count
    assert f"12 records, {count} findings" in said.err
    assert any("P00" in row["ids"] or "P11" in row["ids"] for row in rows)


def test_a_clean_data_set_can_be_audited_again(data, tmp_path):
    arguments = ["audit", str(data), "-m", "kmer:4", "-o", str(tmp_path / "one")]
    assert main([*arguments, "--clean", str(tmp_path / "clean")]) == 0
    assert (tmp_path / "clean" / "dropped.tsv").is_file()
    again = ["audit", str(tmp_path / "clean"), "-m", "kmer:4", "-o", str(tmp_path / "two")]
    assert main(again) == 0


def test_an_older_report_is_not_replaced_unasked(data, tmp_path, capsys):
    arguments = ["audit", str(data), "-m", "kmer:4", "-o", str(tmp_path / "report")]
    assert main(arguments) == 0
    assert main(arguments) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*arguments, "--overwrite"]) == 0


def test_a_clean_score_that_is_none_is_refused(data, tmp_path, capsys):
    arguments = ["audit", str(data), "-o", str(tmp_path / "report"), "--clean-score", "2"]
    assert main([*arguments, "--clean", str(tmp_path / "clean")]) == 2
    assert "--clean-score must lie between 0 and 1" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()
