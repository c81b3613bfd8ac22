"""Every column is a term of its standard; the lists are those of rs.gbif.org."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from barcodemae.eval.identify.exchange.darwin_core import (
    COLUMNS,
    DNA_TERMS,
    HEADER,
    OCCURRENCE_TERMS,
    to_darwin_core,
)
from barcodemae.eval.identify.exchange.provenance import Provenance
from barcodemae.eval.identify.formats import FORMATS
from barcodemae.fasta import SequenceRecord


TERMS = json.loads(Path(__file__).with_name("darwin_core_terms.json").read_text())
WHERE_FROM = Provenance("refs, 96 references, hash ab12", "default, weights cd34", {"species": 0.5})
RECORD = SequenceRecord(1, "q1;size=3|x", "q1", "acgt-acgu")


def cells_of(found):
    line = to_darwin_core(found, RECORD, WHERE_FROM).rstrip("\n").split("\t")
    return dict(zip(COLUMNS, line, strict=True))


@pytest.mark.parametrize(
    ("columns", "standard"),
    [(OCCURRENCE_TERMS, "occurrence"), (DNA_TERMS, "dna_derived_data")],
)
def test_every_column_is_a_term(columns, standard):
    assert set(columns) <= set(TERMS[standard]["terms"])


def test_names_end_where_they_were_given(found):
    cells = cells_of(found)
    assert HEADER.rstrip("\n").split("\t") == list(cells)
    assert (cells["scientificName"], cells["taxonRank"]) == ("Aedes", "genus")
    assert (cells["genus"], cells["family"], cells["subfamily"]) == ("Aedes", "Culicidae", "")
    assert "aegypti" not in cells["verbatimIdentification"]


def test_how_certain_a_name_is_stands_beside_it_for_people_and_for_programs(found):
    cells = cells_of(found)
    assert "genus Aedes: p = 0.900" in cells["identificationRemarks"]
    assert "lacks the species: 0.550" in cells["identificationRemarks"]
    content = json.loads(cells["dynamicProperties"])
    assert content["nameProbability"]["genus"] == 0.9
    assert content["noveltyProbability"]["species"] == 0.55
    assert content["flags"] == ["novel_species", "short"]


def test_method_and_library_are_told_with_their_hashes(found):
    cells = cells_of(found)
    assert cells["otu_db"] == cells["identificationReferences"] == WHERE_FROM.library
    assert "weights cd34" in cells["otu_seq_comp_appr"]
    assert cells["otu_seq_comp_appr"].startswith("barcodemae;")
    assert cells["DNA_sequence"] == "ACGTNACGT"  # a gap is an unknown base


def test_reads_are_a_quantity_with_its_type(found):
    cells = cells_of(found)
    assert (cells["organismQuantity"], cells["organismQuantityType"]) == ("3", "DNA sequence reads")
    cells = cells_of(replace(found, id="plain"))
    assert (cells["organismQuantity"], cells["organismQuantityType"]) == ("", "")


def test_a_record_without_a_name_has_an_uncertain_place_and_no_rank(found):
    cells = cells_of(replace(found, depth=0))
    assert (cells["scientificName"], cells["taxonRank"]) == ("incertae sedis", "")


def test_where_names_come_from_is_asked_only_by_formats_that_tell_it(found):
    assert FORMATS["dwc"].write(found, RECORD, lambda: WHERE_FROM).startswith("q1")
    assert FORMATS["tsv"].write(found, RECORD, lambda: pytest.fail("asked")).startswith("q1")
