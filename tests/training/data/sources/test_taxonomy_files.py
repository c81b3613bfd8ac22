"""Taxonomy files of every convention give the same labels."""

import pytest

from barcodemae.errors import DataError
from barcodemae.training.data.sources.taxonomy_files import read_taxonomy


EXPECTED = {"phylum": "Arthropoda", "class": "Insecta", "order": "Diptera", "genus": "Aedes"}


@pytest.mark.parametrize(
    "text",
    [
        "Feature ID\tTaxon\tConfidence\n"
        "A\tk__Animalia; p__Arthropoda; c__Insecta; o__Diptera; g__Aedes\t1\n",
        "Feature ID\tTaxon\n#q2:types\tcategorical\n"
        "A\tAnimalia;Arthropoda;Insecta;Diptera;;Aedes\n",
        "A\tAnimalia(100);Arthropoda(100);Insecta(100);Diptera(99);Diptera_unclassified(99);Aedes(9);\n",
        "A\tAnimalia,Arthropoda,Insecta,Diptera,unknown,Aedes\n",
        "A\tArthropoda\tInsecta\tDiptera\tNA\tAedes\n",
        "id\tphylum\tclass\torder\tgenus\nA\tArthropoda\tInsecta\tDiptera\tAedes\n",
        "Kingdom,Phylum,Class,Order,Family,Genus,Sample ID\n"
        'Animalia,Arthropoda,Insecta,"Diptera",None,Aedes,A\n',
        "otu;class_name;order_name;phylum_name;genus_name\nA;Insecta;Diptera;Arthropoda;Aedes\n",
        '"id"\t"taxon"\n"A"\t"Animalia;Arthropoda;Insecta;Diptera;NA;Aedes"\n',
    ],
    ids=[
        *("letters", "no letters", "mothur", "PROTAX", "a field for each rank"),
        *("columns by tabs", "columns by commas", "columns by semicolons", "R"),
    ],
)
def test_each_convention_is_read(tmp_path, text):
    (tmp_path / "t.tsv").write_text(text)
    assert read_taxonomy(tmp_path / "t.tsv") == {"A": EXPECTED}


def test_a_table_of_something_else_is_refused(tmp_path):
    (tmp_path / "t.tsv").write_text("name\tlength\nA\t658\n")
    with pytest.raises(DataError, match="line 1: is no taxonomy"):
        read_taxonomy(tmp_path / "t.tsv")


def test_a_column_for_each_rank_may_have_a_bin_beside_it_and_epithets(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("bin_uri\tid\tgenus\tspecies\nBOLD:AAA0001\tA\tAedes\taegypti\n")
    assert read_taxonomy(path) == {
        "A": {"dna_bin": "BOLD:AAA0001", "genus": "Aedes", "species": "Aedes aegypti"}
    }


def test_a_row_that_lacks_a_column_is_told_by_its_line(tmp_path):
    (tmp_path / "t.csv").write_text("id,genus,species\nA,Aedes,Aedes aegypti\nB,Aedes\n")
    with pytest.raises(DataError, match="line 3: has 2 fields, fewer than its header"):
        read_taxonomy(tmp_path / "t.csv")
