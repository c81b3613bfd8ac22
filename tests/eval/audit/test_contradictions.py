"""Names that contradict each other are found, with the majority; species get their grades."""

import numpy as np
import pytest

from barcodemae.eval.audit.clusters import groups_of
from barcodemae.eval.audit.contradictions import looks_alike
from barcodemae.eval.audit.grades import completeness, grade_of


def finding_of(found, kind):
    (finding,) = [item for item in found.findings if item.kind == kind]
    return finding


def grades_of(found):
    return {item.species: item for item in found.grades}


def test_one_barcode_under_two_species_names_blames_the_rarer(audited, rows):
    for row in (0, 1, 2, 4):
        rows[row]["dna_barcode"] = rows[0]["dna_barcode"]
    finding = finding_of(audited(rows), "one_barcode_several_names")
    assert finding.rows == (4,)
    assert "Aedes nigra (3), Aedes occidentalis (1)" in finding.evidence


def test_a_bin_with_two_names_tells_the_majority(audited, rows):
    rows[4]["dna_bin"] = rows[0]["dna_bin"]
    finding = finding_of(audited(rows), "bin_several_names")
    assert finding.rows == (4,)
    assert "majority Aedes nigra, 80%" in finding.evidence


def test_a_name_in_two_bins_is_found(audited, rows):
    rows[3]["dna_bin"] = "BOLD:ZZ1"
    finding = finding_of(audited(rows), "name_several_bins")
    assert finding.rows == (3,)


def test_a_name_in_distant_clusters_says_how_far_and_beside_whom(audited, rows):
    for row in (50, 51):  # two records of another family under the first name
        for rank in ("order", "family", "genus", "species"):
            rows[row][rank] = rows[0][rank]
    finding = finding_of(audited(rows), "name_in_distant_clusters")
    assert finding.rows == (50, 51)
    assert "4 + 2 records" in finding.evidence
    assert rows[48]["species"] in finding.evidence


def test_two_names_of_one_mixed_cluster_are_like_synonyms(audited, rows):
    for row in range(4):
        for other in (row, row + 4):
            rows[other]["dna_barcode"] = rows[0]["dna_barcode"]
    finding = finding_of(audited(rows), "synonym_like")
    assert "Aedes nigra (4) and Aedes occidentalis (4)" in finding.evidence


def test_a_genus_in_two_families_is_found(audited, rows):
    rows[0]["family"] = "Family1"
    finding = finding_of(audited(rows), "several_parents")
    assert finding.rows == (0,)
    assert "Aedes: Family0 (7), Family1 (1)" in finding.evidence


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("Aedes aegypti", "Aedes aegipti", True),
        ("Aedes aegypti", "Stegomyia aegypti", True),
        ("Aedes aegypti", "Aedes vexans", False),
        ("Aa bb", "Aa bc", False),
    ],
)
def test_names_that_differ_by_a_slip_or_the_genus_look_alike(one, other, alike):
    assert looks_alike(one, other) is alike


@pytest.mark.parametrize(
    ("records", "units", "shared", "grade"),
    [
        (11, 1, False, "A"),
        (10, 1, False, "B"),
        (3, 2, False, "C"),
        (2, 1, False, "D"),
        (20, 1, True, "E"),
    ],
)
def test_grades_follow_records_and_units(records, units, shared, grade):
    assert grade_of(records, units, is_shared=shared) == grade


def test_two_species_in_one_bin_are_graded_e_and_name_each_other(audited, rows):
    rows[4]["dna_bin"] = rows[0]["dna_bin"]
    grades = grades_of(audited(rows))
    assert grades["Aedes nigra"].grade == grades["Aedes occidentalis"].grade == "E"
    assert grades["Aedes nigra"].shared_with == "Aedes occidentalis"
    assert grades["Culex nigra"].grade == "B"


def test_without_bins_clusters_of_letters_are_units(audited, rows):
    for row in rows:
        row["dna_bin"] = None
    for row in range(4):
        rows[row + 4]["dna_barcode"] = rows[row]["dna_barcode"]
    assert grades_of(audited(rows))["Aedes nigra"].grade == "E"


def test_completeness_counts_what_is_missing(audited, rows):
    rows[0]["species"], rows[1]["dna_bin"] = None, None
    found = audited(rows)
    row = completeness(found.records, found.grades)[0]
    assert (row["rank"], row["name"], row["records"], row["species"]) == ("order", "Order0", 48, 12)
    assert (row["without_species"], row["without_bin"], row["B"]) == (1, 1, 12)


def test_groups_hold_every_row_once():
    keys = np.array([3, 1, 3, 2])
    assert [group.tolist() for group in groups_of(keys, np.arange(4))] == [[1], [3], [0, 2]]
