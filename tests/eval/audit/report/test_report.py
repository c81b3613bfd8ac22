"""What an audit writes: rows that no name can break, a page that no name can script, clean data."""

import json

import pyarrow.parquet as pq
import pytest

from barcodemae.errors import DataError
from barcodemae.eval.audit.doctor import audit_reference
from barcodemae.eval.audit.findings import Finding
from barcodemae.eval.audit.report.cleaning import DROPPED, spoiled, write_clean
from barcodemae.eval.audit.report.page import as_script, write_page
from barcodemae.eval.audit.report.pictures import tree_of
from barcodemae.eval.audit.report.tables import COLUMNS, write_audit_json, write_tsv


HOSTILE = "</script><script>alert('x')</script>"


@pytest.fixture
def found(audited, rows):
    for rank in ("order", "family", "genus", "species"):
        rows[0][rank] = rows[53][rank]
    rows[0]["processid"] = HOSTILE
    rows[1]["processid"] = "a\tb\nc"
    rows[1]["dna_barcode"] = rows[1]["dna_barcode"][:100]
    return audited(rows)


def test_the_table_has_one_line_for_each_finding_whatever_ids_hold(found, tmp_path):
    write_tsv(tmp_path / "audit.tsv", found)
    lines = (tmp_path / "audit.tsv").read_text().splitlines()
    assert len(lines) == len(found.findings) + 1
    assert {line.count("\t") for line in lines} == {len(COLUMNS) - 1}


def test_the_json_holds_findings_grades_and_completeness(found, tmp_path):
    write_audit_json(tmp_path / "audit.json", found)
    content = json.loads((tmp_path / "audit.json").read_text())
    assert content["findings"] == len(content["list"]) == len(found.findings)
    assert sum(content["grades"].values()) == len(content["species_grades"]) == 24
    assert content["completeness"][0]["rank"] == "order"


def test_no_name_can_end_the_data_of_the_page(found, tmp_path):
    write_page(tmp_path / "report.html", found)
    text = (tmp_path / "report.html").read_text()
    assert HOSTILE not in text
    assert text.count("</script>") == 2
    data = text.split('id="data">')[1].split("</script>")[0]
    assert HOSTILE in {row["ids"] for row in json.loads(data)["list"]}


def test_the_page_fetches_nothing(found, tmp_path):
    write_page(tmp_path / "report.html", found)
    text = (tmp_path / "report.html").read_text()
    assert "src=" not in text
    assert text.replace("http://www.w3.org/2000/svg", "").count("http") == 0


def test_data_in_the_page_reads_back_as_it_was():
    content = {"a": "<&>\u2028 \u00e9"}
    assert json.loads(as_script(content)) == content
    assert "<" not in as_script(content)


def test_a_tree_joins_all_its_leaves_and_marks_the_suspect(found):
    (finding,) = [item for item in found.findings if item.kind.startswith("wrong_")]
    tree = tree_of(found, finding)
    assert len(tree["joins"]) == len(tree["leaves"]) - 1
    assert [leaf[0] for leaf in tree["leaves"] if leaf[3] == "suspect"] == [HOSTILE]
    assert {leaf[3] for leaf in tree["leaves"]} == {"suspect", "kin", "other"}


def test_only_findings_that_spoil_and_are_certain_drop_a_record():
    findings = [
        Finding("wrong_genus", (1,), 0.95, ""),
        Finding("wrong_genus", (2,), 0.80, ""),
        Finding("no_name", (3,), 1.0, ""),
    ]
    assert set(spoiled(findings, 0.9)) == {1}


def test_cleaning_drops_what_it_says_and_changes_nothing_else(write, rows, framed_counts, tmp_path):
    rows[3]["dna_barcode"] = rows[3]["dna_barcode"][::-1]
    rows.append(rows[3] | {"split": "val"})  # the same id in a partition that is not audited
    dataset, target = write(rows), tmp_path / "clean"
    target.mkdir()
    found = audit_reference(dataset, framed_counts, ("train",))
    write_clean(dataset, target, found.records, spoiled(found.findings, 0.9))
    kept = pq.read_table(target / "part.parquet").to_pylist()
    assert kept == [row for place, row in enumerate(rows) if place != 3]
    lines = (target / DROPPED).read_text().splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("R0003\ttrain\tnot_barcode\t1.0000")


def test_cleaning_refuses_to_guess_which_of_two_rows_is_meant(write, rows, framed_counts, tmp_path):
    rows[3]["dna_barcode"] = rows[3]["dna_barcode"][::-1]
    rows[4]["processid"] = rows[3]["processid"]
    dataset, target = write(rows), tmp_path / "clean"
    target.mkdir()
    found = audit_reference(dataset, framed_counts, ("train",))
    with pytest.raises(DataError, match="make ids unique"):
        write_clean(dataset, target, found.records, spoiled(found.findings, 0.9))
