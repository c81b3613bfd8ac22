"""The files of the demonstration set: where they are, and how a query says what is right.

    references.fasta.gz   >MT878318;tax=p:Arthropoda,...,s:Pseudophilotes_vicrama;
    queries.fasta         >KY837599.1 ;tax=p:...;truth=new_species;strand=+;partition=val_unseen;

The id of a query is an accession number, or the name of a decoy, which has no `tax`. In: these
files. Out: `Query`s. Guarded by tests/barcodemae/demonstration/test_barcodes.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from barcodemae.demonstration import QUERIES
from barcodemae.errors import DataError
from barcodemae.fasta import SequenceRecord, read_records
from barcodemae.training.data.sources.headers import read_annotations


KNOWN_SPECIES, NEW_SPECIES, NEW_GENUS, NOT_COI = TRUTHS = (
    "known_species", "new_species", "new_genus", "not_coi",
)  # fmt: skip


@dataclass(frozen=True)
class Query:
    """A record to identify, and what is right.

    Attributes:
        record: The record, as `identify` reads it.
        truth: Of `TRUTHS`: what the references hold of it.
        lineage: Its true taxa by rank; empty if it is no COI.
    """

    record: SequenceRecord
    truth: str
    lineage: dict[str, str]


def read_queries(path: Path = QUERIES) -> Iterator[Query]:
    """Yield the queries of a file in its order.

    Raises:
        DataError: The file cannot be read, or a header does not say what is right.
    """
    for record in read_records(path):
        fields = dict(part.partition("=")[::2] for part in record.header.split(";")[1:])
        truth = fields.get("truth", "")
        if truth not in TRUTHS:
            known = ", ".join(TRUTHS)
            raise DataError(path, f"record {record.id}: truth {truth!r} is not one of {known}")
        _, lineage = read_annotations(record.header) or ("", {})
        yield Query(record, truth, lineage)
