"""Lineages give the same labels with letters for the ranks as by position."""

import pytest

from barcodemae.training.data.sources.lineages import read_lineage


RANKED = {"phylum": "Arthropoda", "class": "Insecta", "order": "Diptera", "family": "Culicidae"}
AEDES = RANKED | {"genus": "Aedes", "species": "Aedes aegypti"}


@pytest.mark.parametrize(
    "text",
    [
        "k__Animalia; p__Arthropoda; c__Insecta; o__Diptera; f__Culicidae; g__Aedes; s__aegypti",
        "d__Eukaryota;p__Arthropoda;c__Insecta;o__Diptera;f__Culicidae;g__Aedes;s__Aedes_aegypti",
        "p:Arthropoda,c:Insecta,o:Diptera,f:Culicidae,g:Aedes,s:Aedes_aegypti",
        "Animalia;Arthropoda;Insecta;Diptera;Culicidae;Aedes;Aedes aegypti",
        "Arthropoda;Insecta;Diptera;Culicidae;Aedes;Aedes aegypti",
        "Holozoa;Arthropoda;Insecta;Diptera;Culicidae;Aedes;Aedes aegypti",
        "Eukaryota;Metazoa;Arthropoda;Insecta;Diptera;Culicidae;Aedes;Aedes_aegypti;",
        "Animalia(100);Arthropoda(100);Insecta(99);Diptera(98);Culicidae(90);Aedes(88);aegypti(80);",
        "root_1;Eukaryota_2;Arthropoda_6;Insecta_5;Diptera_7;Culicidae_1;Aedes_7;Aedes aegypti_7",
    ],
)
def test_a_lineage_is_read_in_every_convention(text):
    assert read_lineage(text) == AEDES


def test_a_subfamily_and_a_tribe_are_told_by_the_number_of_parts():
    text = "Animalia;Arthropoda;Insecta;Diptera;Culicidae;Culicinae;{}Aedes;Aedes aegypti"
    for tribe in ("", "Aedini;"):
        assert read_lineage(text.format(tribe)) == AEDES | {"subfamily": "Culicinae"}


def test_a_rank_without_a_name_is_left_out_and_the_others_keep_theirs():
    text = "Animalia;Arthropoda;Insecta;Diptera;unidentified;Aedes;Aedes sp."
    expected = {rank: name for rank, name in RANKED.items() if rank != "family"}
    assert read_lineage(text) == expected | {"genus": "Aedes"}
