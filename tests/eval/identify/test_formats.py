import json

import pytest

from barcodemae.eval.identify.formats import FORMATS, TSV_COLUMNS
from barcodemae.eval.identify.identification import Identification


@pytest.fixture
def found():
    """Named down to the genus; no subfamily is known."""
    return Identification(
        id="q1;size=3|x",
        names=["Arthropoda", "Insecta", "Diptera", "Culicidae", None, "Aedes", "Aedes aegypti"],
        probabilities=[0.999, 0.99, 0.98, 0.97, float("nan"), 0.9, 0.412345],
        depth=6,
        new_species=0.55,
        new_genus=0.05,
        nearest="REF7",
        similarity=0.91,
        agreement=0.8,
        identity=None,
        coverage=None,
        strand="-",
        length=650,
        unknown=0.0,
        flags=["novel_species", "short"],
    )


def test_tsv_truncates_names_and_keeps_probabilities(found):
    line = FORMATS["tsv"].line(found).rstrip("\n").split("\t")
    assert FORMATS["tsv"].header.rstrip("\n").split("\t") == list(TSV_COLUMNS)
    cells = dict(zip(TSV_COLUMNS, line, strict=True))
    assert cells["id"] == "q1;size=3|x"
    assert cells["genus"] == "Aedes"
    assert cells["species"] == "unassigned"
    assert cells["species_probability"] == "0.4123"
    assert (cells["subfamily"], cells["subfamily_probability"]) == ("", "")
    assert (cells["identity"], cells["strand"], cells["flags"]) == ("", "-", "novel_species,short")


def test_jsonl_is_one_object_with_the_assigned_names(found):
    content = json.loads(FORMATS["jsonl"].line(found))
    assert list(content["lineage"]) == ["phylum", "class", "order", "family", "genus"]
    assert content["lineage"]["genus"] == {"name": "Aedes", "probability": 0.9}
    assert content["flags"] == ["novel_species", "short"]


def test_sintax_has_all_names_then_the_assigned_ones(found):
    name, every, strand, given = FORMATS["sintax"].line(found).rstrip("\n").split("\t")
    assert (name, strand) == ("q1;size=3|x", "-")
    assert every.endswith("f:Culicidae(0.97),g:Aedes(0.90),s:Aedes aegypti(0.41)")
    assert given == "p:Arthropoda,c:Insecta,o:Diptera,f:Culicidae,g:Aedes"


def test_qiime2_has_the_lineage_and_the_confidence_of_its_last_name(found):
    assert FORMATS["qiime2"].header == "Feature ID\tTaxon\tConfidence\n"
    _, taxon, confidence = FORMATS["qiime2"].line(found).rstrip("\n").split("\t")
    assert taxon == "p__Arthropoda; c__Insecta; o__Diptera; f__Culicidae; g__Aedes"
    assert confidence == "0.9000"


def test_without_an_assigned_name_every_format_says_unassigned(found):
    found = Identification(**{**found.__dict__, "depth": 0})
    assert FORMATS["qiime2"].line(found).split("\t")[1] == "Unassigned"
    assert FORMATS["sintax"].line(found).endswith("\t-\t\n")
    assert json.loads(FORMATS["jsonl"].line(found))["lineage"] == {}
    assert FORMATS["tsv"].line(found).split("\t")[1] == "unassigned"
