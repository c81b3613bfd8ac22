"""The files of the set are made from a data set, the same every time."""

import pytest

from barcodemae.demonstration import QUERIES, REFERENCES
from barcodemae.demonstration.barcodes import KNOWN_SPECIES, NOT_COI, read_queries
from barcodemae.demonstration.making import files
from barcodemae.demonstration.making.candidates import Barcode
from barcodemae.demonstration.making.decoys import make_decoys
from barcodemae.fasta import read_records


LINEAGE = ("Chordata", "Aves", "Passeriformes", "Corvidae", "Corvus", "Corvus corax")
REFERENCE = Barcode("AB000001", LINEAGE, "ATTGGACTA" * 70, "val")
KNOWN = [Barcode(f"AB00001{number}", LINEAGE, "ATTGGACTG" * 70, "val") for number in range(3)]


@pytest.fixture
def made(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "read_candidates", lambda _: [])
    monkeypatch.setattr(files, "choose_references", lambda _: [REFERENCE])
    monkeypatch.setattr(files, "choose_queries", lambda *_: {KNOWN_SPECIES: KNOWN})
    files.write_set(tmp_path, tmp_path / "out")
    return tmp_path / "out"


def test_the_files_read_back(made):
    (reference,) = read_records(made / REFERENCES.name)
    assert reference.sequence == REFERENCE.letters
    assert reference.header.startswith("AB000001;tax=p:Chordata,")
    assert reference.header.endswith("s:Corvus_corax;")
    queries = list(read_queries(made / QUERIES.name))
    assert [query.truth for query in queries] == [KNOWN_SPECIES] * 3 + [NOT_COI] * 5
    assert queries[0].lineage["species"] == "Corvus corax"


def test_one_known_query_reads_on_the_other_strand(made):
    queries = list(read_queries(made / QUERIES.name))
    assert queries[0].record.sequence == KNOWN[0].letters
    assert queries[2].record.sequence == KNOWN[2].letters[::-1].translate(
        str.maketrans("ACGT", "TGCA")
    )


def test_the_same_data_give_the_same_bytes(made, tmp_path):
    files.write_set(tmp_path, tmp_path / "again")
    for name in (REFERENCES.name, QUERIES.name):
        assert (tmp_path / "again" / name).read_bytes() == (made / name).read_bytes()


def test_decoys_keep_what_they_are_made_of_and_are_other_sequences():
    barcodes = [REFERENCE.letters[:600] + "ACG" * 10] * 3
    decoys = make_decoys(barcodes)
    assert decoys == make_decoys(barcodes)
    assert sorted(decoys["shuffled_letters"]) == sorted(barcodes[0])
    assert decoys["backwards"] == barcodes[0][::-1]
    assert not set(decoys.values()) & set(barcodes)
    assert len(set(decoys.values())) == len(decoys)
