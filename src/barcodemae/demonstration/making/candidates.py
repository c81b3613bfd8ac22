"""Rows of a data set that may go into the demonstration set: public, fully named, clean.

In: a prepared data set with the column `record_id`. Out: `Barcode`s whose record id is an accession
number of the INSDC databases (GenBank, ENA, DDBJ), which put no restriction on the use of their
records. Partitions that reported results are measured on are left out. Guarded by
tests/barcodemae/demonstration/test_choosing.py.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from barcodemae.dataset import RANKS, read_splits
from barcodemae.errors import DataError
from barcodemae.eval.identify.judge.orientation import has_open_frame


# Process ids of BOLD (GBMIN12345-13) and RefSeq's NC_012345 are none. INSDC also gives two letters
# and eight digits, but what looks so in the data are a collection's numbers of its fruit flies.
ACCESSION = re.compile(r"(?:[A-Z]\d{5}|[A-Z]{2}\d{6})(?:\.\d+)?")
BINOMIAL = re.compile(r"[A-Z][a-z]+ [a-z]+(?:-[a-z]+)*")
NAMED_RANKS = tuple(rank for rank in RANKS if rank != "subfamily")  # most sources have none
TRAINED_ON = ("pretrain", "train")  # by the bundled model, which saw letters and no names
NOT_TRAINED_ON = ("val", "val_unseen", "key_unseen")
MIN_LENGTH = 600  # bp
MAX_UNKNOWN = 0.01  # share of letters other than A, C, G, T


@dataclass(frozen=True)
class Barcode:
    """A named barcode.

    Attributes:
        accession: Of its record, as the data set has it.
        lineage: Taxa of `NAMED_RANKS`, from phylum to species.
        letters: The barcode.
        split: Partition of the data set it was taken from.
    """

    accession: str
    lineage: tuple[str, ...]
    letters: str
    split: str

    @property
    def order_of_draw(self) -> str:
        """What barcodes are ordered by to draw some: a digest, so that nothing else decides."""
        return hashlib.sha256(self.accession.encode()).hexdigest()

    @property
    def was_trained_on(self) -> bool:
        """Whether the bundled model saw its letters in training."""
        return self.split in TRAINED_ON


def read_candidates(data: Path) -> list[Barcode]:
    """Read the barcodes to choose from, one per record.

    Args:
        data: A prepared data set with the column `record_id`.

    Raises:
        DataError: The data set cannot be read, or none of its rows will do.
    """
    columns = ("record_id", *NAMED_RANKS, "dna_barcode", "split")
    table = read_splits(data, (*TRAINED_ON, *NOT_TRAINED_ON), columns)
    found: dict[str, Barcode] = {}
    for row in table.to_pylist():
        lineage = tuple(row[rank] or "" for rank in NAMED_RANKS)
        barcode = Barcode(row["record_id"] or "", lineage, row["dna_barcode"] or "", row["split"])
        if is_clean(barcode):
            found.setdefault(barcode.accession.partition(".")[0], barcode)
    if not found:
        raise DataError(data, "no row has an accession number as its record_id and a full name")
    return sorted(found.values(), key=lambda barcode: (barcode.lineage, barcode.accession))


def is_clean(barcode: Barcode) -> bool:
    """Whether record id, names and letters are what a demonstration can be made of."""
    letters, genus, species = barcode.letters, *barcode.lineage[-2:]
    num_unknown = len(letters) - sum(letters.count(base) for base in "ACGT")
    return (
        ACCESSION.fullmatch(barcode.accession) is not None
        and all(barcode.lineage)
        and BINOMIAL.fullmatch(species) is not None
        and species.partition(" ")[0] == genus
        and len(letters) >= MIN_LENGTH
        and num_unknown <= MAX_UNKNOWN * len(letters)
        and has_open_frame(letters)
    )
