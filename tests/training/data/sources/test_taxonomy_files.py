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
        '"id"\t"taxon"\n"A"\t"Animalia;Arthropoda;Insecta;Diptera;NA;Aedes"\n',
    ],
    ids=["letters", "no letters", "mothur", "PROTAX", "R"],
)
def test_each_convention_is_read(tmp_path, text):
    (tmp_path / "t.tsv").write_text(text)
    assert read_taxonomy(tmp_path / "t.tsv") == {"A": EXPECTED}


def test_a_table_of_something_else_is_refused(tmp_path):
    (tmp_path / "t.tsv").write_text("name\tlength\nA\t658\n")
    with pytest.raises(DataError, match="line 1: is no QIIME 2 taxonomy"):
        read_taxonomy(tmp_path / "t.tsv")
