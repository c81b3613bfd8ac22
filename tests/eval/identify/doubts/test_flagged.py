"""Doubts are kept in a library, found again by ids, and refused where they are of others."""

import pytest

from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.identify.doubts.flagged import (
    AuditDoubt,
    Doubt,
    located,
    merged,
    read_audit_doubts,
    read_doubts,
    write_audit_doubts,
    write_doubts,
)


IDS = ["a", "b\tc", '"d']


def test_doubts_come_back_as_they_were_written(tmp_path):
    doubts = [Doubt(0, "stop_codon", 1.0, "one"), Doubt(2, "wrong_genus", 0.91, 'in "Aus"')]
    found = write_doubts(tmp_path, doubts, IDS)
    assert read_doubts(tmp_path, 3) == doubts
    assert found["references"] == 2
    assert found["kinds"] == {"stop_codon": 1, "wrong_genus": 1}


def test_libraries_with_other_doubts_are_known_apart(tmp_path):
    one, other = (
        write_doubts(tmp_path, [Doubt(row, "stop_codon", 1.0, "")], IDS)["hash"] for row in (0, 1)
    )
    assert one != other


def test_an_audit_finds_its_records_by_their_ids_whatever_is_in_them(tmp_path):
    doubts = [AuditDoubt(name, "wrong_genus", 0.9, "why") for name in (*IDS[1:], "gone")]
    write_audit_doubts(tmp_path / "flagged.tsv", doubts)
    found, num_absent = located(tmp_path, read_audit_doubts(tmp_path), IDS)
    assert [doubt.row for doubt in found] == [1, 2]
    assert num_absent == 1


def test_all_references_that_share_an_id_are_meant():
    found, _ = located("report", [AuditDoubt("a", "chimera", 0.9, "")], ["a", "b", "a"])
    assert [doubt.row for doubt in found] == [0, 2]


def test_findings_of_other_references_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="none of its 1 records is in the library"):
        located(tmp_path, [AuditDoubt("x", "chimera", 0.9, "")], IDS)


def test_an_audit_without_findings_doubts_nothing(tmp_path):
    assert located(tmp_path, [], IDS) == ([], 0)


def test_the_surest_doubt_of_a_kind_is_kept():
    doubts = [Doubt(1, "chimera", 0.6, "less"), Doubt(1, "chimera", 0.9, "more")]
    assert merged(doubts) == doubts[1:]


@pytest.mark.parametrize("cells", ["7\ta\tchimera\t0.9\t", "x\ta\tchimera\t0.9\t"])
def test_a_row_that_is_not_in_the_library_is_damage(tmp_path, cells):
    (tmp_path / "flagged.tsv").write_text(f"row\tid\tkind\tscore\tevidence\n{cells}\n")
    with pytest.raises(DataError, match="no row of the library"):
        read_doubts(tmp_path, 3)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("id\tkind\na\tchimera\n", "needs the columns id, kind, score, evidence"),
        ("id\tkind\tscore\tevidence\na\tchimera\t1.5\t\n", "score of a is '1.5'"),
        ("id\tkind\tscore\tevidence\na\tchimera\n", "line 2 lacks a cell"),
    ],
)
def test_a_table_that_is_no_list_of_findings_is_refused(tmp_path, text, why):
    (tmp_path / "flagged.tsv").write_text(text)
    with pytest.raises(DataError, match=why):
        read_audit_doubts(tmp_path)


def test_a_report_that_is_not_there_is_refused_with_the_command_that_makes_one(tmp_path):
    with pytest.raises(DataError, match="barcodemae audit"):
        read_audit_doubts(tmp_path / "none")
