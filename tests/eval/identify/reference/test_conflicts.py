import numpy as np
import pyarrow as pa

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.reference.conflicts import find_conflicts


def lineage(*rows):
    columns = {rank: [row.get(rank) for row in rows] for rank in (*RANKS, "dna_bin")}
    return pa.table({"id": [f"R{number}" for number in range(len(rows))]} | columns)


def test_one_barcode_under_two_species_is_a_conflict():
    table = lineage({"genus": "Aus", "species": "Aus bus"}, {"genus": "Aus", "species": "Aus cus"})
    (found,) = find_conflicts(table, np.array([5, 5], np.uint64))
    assert found.kind == "one barcode, several species names"
    assert (found.ids, found.names) == ("R0,R1", "Aus bus (1), Aus cus (1)")


def test_a_class_under_two_phyla_is_a_conflict_and_the_rare_one_is_listed():
    rows = [{"phylum": "Mollusca", "class": "Bivalvia"}] * 3
    rows.append({"phylum": "Arthropoda", "class": "Bivalvia"})
    (found,) = find_conflicts(lineage(*rows), np.arange(4, dtype=np.uint64))
    assert (found.kind, found.ids) == ("one class, several phylum names", "R3")


def test_an_unknown_name_contradicts_nothing():
    table = lineage({"genus": "Aus", "species": "Aus bus"}, {"genus": "Aus"})
    assert find_conflicts(table, np.array([5, 5], np.uint64)) == []


def test_a_bin_under_two_species_doubts_the_rarer_name():
    rows = [{"species": "Aus bus", "dna_bin": "B1"}] * 2
    rows.append({"species": "Aus cus", "dna_bin": "B1"})
    (found,) = find_conflicts(lineage(*rows), np.arange(3, dtype=np.uint64))
    assert (found.kind, found.ids) == ("one BIN, several species names", "R2")
    (doubt,) = found.doubts()
    assert (doubt.row, doubt.kind) == (2, "bin_several_names")
    assert "Aus bus (2), Aus cus (1)" in doubt.evidence


def test_without_a_majority_all_names_are_doubted_but_not_what_has_none():
    rows = [{"genus": "Aus", "species": "Aus bus"}, {"genus": "Aus"}]
    rows.append({"genus": "Aus", "species": "Aus cus"})
    (found,) = find_conflicts(lineage(*rows), np.array([5, 5, 5], np.uint64))
    assert [doubt.row for doubt in found.doubts()] == [0, 2]


def test_a_species_in_two_bins_is_told_and_doubts_nothing():
    rows = [{"species": "Aus bus", "dna_bin": name} for name in ("B1", "B1", "B2")]
    (found,) = find_conflicts(lineage(*rows), np.arange(3, dtype=np.uint64))
    assert (found.kind, found.ids) == ("one species, several BINs", "R2")
    assert list(found.doubts()) == []
