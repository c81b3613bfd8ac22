import json
from dataclasses import replace

from barcodemae.eval.identify.formats import FORMATS, TSV_COLUMNS


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
    found = replace(found, depth=0)
    assert FORMATS["qiime2"].line(found).split("\t")[1] == "Unassigned"
    assert FORMATS["sintax"].line(found).endswith("\t-\t\n")
    assert json.loads(FORMATS["jsonl"].line(found))["lineage"] == {}
    assert FORMATS["tsv"].line(found).split("\t")[1] == "unassigned"
