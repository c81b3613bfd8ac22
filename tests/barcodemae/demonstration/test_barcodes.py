"""The bundled barcodes are what their README says, and the queries are not among the references."""

import pytest

from barcodemae.demonstration import QUERIES, REFERENCES
from barcodemae.demonstration.barcodes import (
    KNOWN_SPECIES,
    NEW_GENUS,
    NEW_SPECIES,
    NOT_COI,
    read_queries,
)
from barcodemae.demonstration.making.candidates import ACCESSION, MAX_UNKNOWN, MIN_LENGTH
from barcodemae.errors import DataError
from barcodemae.fasta import read_records
from barcodemae.training.data.sources.headers import read_annotations


MOST_BYTES = 300_000


@pytest.fixture(scope="module")
def references():
    return list(read_records(REFERENCES))


@pytest.fixture(scope="module")
def queries():
    return list(read_queries())


def test_the_set_is_small_enough_to_come_with_the_package(references, queries):
    assert len(references) <= 1000
    assert len(queries) == 40
    assert REFERENCES.stat().st_size + QUERIES.stat().st_size <= MOST_BYTES


def test_the_packed_references_do_not_depend_on_when_they_were_made():
    assert REFERENCES.read_bytes()[4:8] == bytes(4)  # where gzip writes the time


def test_references_are_real_records_with_a_whole_lineage(references):
    for record in references:
        accession, lineage = read_annotations(record.header)
        assert ACCESSION.fullmatch(accession), record.header
        assert {"phylum", "class", "order", "family", "genus", "species"} <= lineage.keys()
        assert len(record.sequence) >= MIN_LENGTH
        known = sum(record.sequence.count(base) for base in "ACGT")
        assert len(record.sequence) - known <= MAX_UNKNOWN * len(record.sequence)


def test_there_are_many_orders_and_close_relatives(references):
    lineages = [read_annotations(record.header)[1] for record in references]
    taxa = {rank: {lineage[rank] for lineage in lineages} for rank in ("order", "genus", "species")}
    assert len(taxa["order"]) >= 10
    assert len(taxa["species"]) > 1.5 * len(taxa["genus"])
    assert len(references) > 1.2 * len(taxa["species"])


def test_the_truth_of_a_query_is_what_the_references_hold(references, queries):
    lineages = [read_annotations(record.header)[1] for record in references]
    taxa = {
        rank: {lineage[rank] for lineage in lineages} for rank in ("family", "genus", "species")
    }
    for query in queries:
        if query.truth == NOT_COI:
            assert query.lineage == {}
            continue
        holds = {rank: query.lineage[rank] in names for rank, names in taxa.items()}
        assert holds["family"], query.record.id
        assert holds["genus"] == (query.truth != NEW_GENUS), query.record.id
        assert holds["species"] == (query.truth == KNOWN_SPECIES), query.record.id


def test_no_query_is_a_reference(references, queries):
    held = {record.sequence for record in references}
    accessions = {read_annotations(record.header)[0] for record in references}
    assert len(accessions) == len(references)
    assert not {query.record.id for query in queries} & accessions
    assert not [query.record.id for query in queries if query.record.sequence in held]
    assert {query.truth for query in queries} == {KNOWN_SPECIES, NEW_SPECIES, NEW_GENUS, NOT_COI}


def test_a_query_of_unknown_truth_is_an_error_that_names_the_record(tmp_path):
    path = tmp_path / "queries.fasta"
    path.write_text(">AB123456 ;tax=p:Arthropoda;truth=perhaps;\nACGT\n")
    with pytest.raises(DataError, match=r"queries\.fasta.*AB123456.*'perhaps'"):
        list(read_queries(path))
