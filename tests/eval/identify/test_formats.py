import json

import pytest

from barcodemae.eval.identify.findings import Identification, Placed
from barcodemae.eval.identify.formats import FORMATS, TSV_COLUMNS
from barcodemae.eval.identify.judge.ladder import LADDER


@pytest.fixture
def found():
    """Named down to the genus; no subfamily is known."""
    return Identification(
        id="q1;size=3|x",
        names=["Arthropoda", "Insecta", "Diptera", "Culicidae", None, "Aedes", "Aedes aegypti"],
        probabilities=[0.999, 0.99, 0.98, 0.97, float("nan"), 0.9, 0.412345],
        depth=6,
        novelty=dict.fromkeys(LADDER, 0.05) | {"species": 0.55},
        nearest="REF7",
        similarity=0.91,
        agreement=0.8,
        identity=None,
        coverage=None,
        placed=Placed(
            is_barcode=True,
            evidence=0.9,
            strand="-",
            length=650,
            unknown=0.0,
            num_before=25,
            num_after=0,
            num_gained=1,
            num_lost=0,
            has_stop=False,
            is_short=True,
        ),
        bin="BOLD:AAA1",
        bin_agreement=0.5,
        candidates=["Aedes aegypti", "Aedes albopictus"],
        excluded=None,
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
    assert (cells["new_species_probability"], cells["new_genus_probability"]) == (
        "0.5500",
        "0.0500",
    )
    assert (cells["bin"], cells["candidates"]) == ("BOLD:AAA1", "Aedes aegypti|Aedes albopictus")
    assert (cells["cut_before"], cells["bases_gained"], cells["evidence"]) == ("25", "1", "0.9000")


def test_jsonl_is_one_object_with_the_assigned_names(found):
    content = json.loads(FORMATS["jsonl"].line(found))
    assert list(content["lineage"]) == ["phylum", "class", "order", "family", "genus"]
    assert content["lineage"]["genus"] == {"name": "Aedes", "probability": 0.9}
    assert content["flags"] == ["novel_species", "short"]
    assert content["novelty"]["species"] == 0.55
    assert content["candidates"] == ["Aedes aegypti", "Aedes albopictus"]
    assert "excluded" not in content


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
