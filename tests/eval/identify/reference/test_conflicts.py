import numpy as np
import pyarrow as pa

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.reference.conflicts import find_conflicts


def lineage(*rows):
    columns = {rank: [row.get(rank) for row in rows] for rank in RANKS}
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
