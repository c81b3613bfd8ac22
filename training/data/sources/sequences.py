"""Read rows from FASTA and FASTQ: the taxonomy is in the header or in a file beside it.

    >ID;tax=p:Arthropoda,c:Insecta,g:Aedes,s:Aedes_aegypti;bin=BOLD:AAA1234;split=train;
    >ID|Aedes aegypti|COI-5P|BOLD:AAA1234
    >ID   with  ID<tab>p__Arthropoda; c__Insecta; g__Aedes; s__aegypti   in a QIIME 2 taxonomy

In: records. Out: `SourceBatch`es in the canonical columns. Guarded by
tests/training/data/sources/test_sequences.py.
"""

import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from barcodemae.dataset import COLUMNS, RANKS
from barcodemae.errors import DataError
from barcodemae.fasta import SequenceRecord, read_records
from barcodemae.training.data.sources.columns import NULL_VALUES, SPLIT_ALIASES
from barcodemae.training.data.sources.source_batches import (
    BATCH_SCHEMA,
    LABEL_COLUMNS,
    ROWS_PER_BATCH,
    Rejected,
    SourceBatch,
    tidy_labels,
)
from barcodemae.training.data.sources.text_blocks import TextFile


RANK_OF_LETTER = {
    **{"p": "phylum", "c": "class", "o": "order", "f": "family", "sf": "subfamily"},
    **{"g": "genus", "s": "species"},
}
_BIN = re.compile(r"BOLD:[A-Z]{3}\d{4}")
_MARKER = re.compile(r"COI-5P|COI-3P|COII|ITS2?|matK|rbcL\w*|16S|12S|18S\w*|28S\w*|CYTB|H3", re.I)
Labels = dict[str, str]


def lineage_labels(parts: list[str], separator: str) -> Labels:
    """Read `p:Arthropoda` or `p__Arthropoda` parts; ranks without a column are passed over.

    An underscore stands for a space, as neither SINTAX nor QIIME 2 allows spaces; a species given
    by its epithet alone gets its genus in front.
    """
    labels: Labels = {}
    for part in parts:
        letter, mark, name = part.strip().partition(separator)
        rank = RANK_OF_LETTER.get(letter.lower())
        name = name.replace("_", " ").strip()
        if mark and rank and name not in NULL_VALUES:
            labels[rank] = name
    species, genus = labels.get("species", ""), labels.get("genus")
    if genus and species and species.islower() and " " not in species:
        labels["species"] = f"{genus} {species}"
    return labels


def read_annotations(header: str) -> tuple[str, Labels] | None:
    """Read a header with `;key=value` annotations (SINTAX's `tax`, and `bin` and `split`)."""
    name, *fields = header.rstrip(";").split(";")
    pairs = dict(field.strip().partition("=")[::2] for field in fields)
    if not pairs.keys() & {"tax", "bin", "split"}:
        return None
    labels = lineage_labels(pairs.get("tax", "").split(","), ":")
    if pairs.get("bin"):
        labels["dna_bin"] = pairs["bin"]
    if pairs.get("split"):
        labels["split"] = SPLIT_ALIASES.get(pairs["split"], pairs["split"])
    return name.strip(), labels


def read_pipes(header: str) -> tuple[str, Labels] | None:
    """Read BOLD's header: process id, taxon, marker and accession in any later place.

    A taxon of one word is a family, a subfamily (by its ending) or of a rank that cannot be known.
    """
    name, *fields = header.split("|")
    if not fields:
        return None
    labels: Labels = {}
    taxon = fields[0].strip()
    words = taxon.split()
    if len(words) > 1 and words[0][:1].isupper():
        labels |= {"genus": words[0], "species": taxon}
    elif taxon.endswith("idae"):
        labels["family"] = taxon
    elif taxon.endswith("inae"):
        labels["subfamily"] = taxon
    for field in map(str.strip, fields[1:]):
        if _BIN.fullmatch(field):
            labels["dna_bin"] = field
        elif _MARKER.fullmatch(field):
            labels["marker"] = field
    return name.strip(), labels


def read_taxonomy(path: Path) -> dict[str, Labels]:
    """Read a QIIME 2 taxonomy: `Feature ID`, `Taxon` and perhaps more columns, tab-separated.

    Raises:
        DataError: Not such a table, or a line has fewer than two fields.
    """
    lineages: dict[str, Labels] = {}
    for block in TextFile(str(path)).blocks():
        for number, line in enumerate(block.text.decode().split("\n"), start=block.first_line):
            if number == 1 and not line.lower().startswith(("feature id\t", "#otu id\t")):
                raise DataError(path, "is no QIIME 2 taxonomy: expected 'Feature ID<tab>Taxon'", 1)
            if number == 1 or not line or line.startswith("#q2:"):
                continue
            fields = line.split("\t")
            if len(fields) < 2:
                raise DataError(path, "has no taxon (fields are separated by tabs)", number)
            lineages[fields[0]] = lineage_labels(fields[1].split(";"), "__")
    return lineages


class SequenceSource:
    """A FASTA or FASTQ file.

    Args:
        source: Its path, or `-`.
        taxonomy: A QIIME 2 taxonomy for its ids.
        marker: Marker whose records are kept, where the headers name one.
        on_bytes: Not called: the position in the file is not known.

    Raises:
        DataError: The first record or the taxonomy cannot be read.
    """

    format = "fasta"

    def __init__(
        self,
        source: str,
        taxonomy: Path | None = None,
        marker: str = "COI-5P",
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        self.source, self.marker, self.on_bytes = source, marker, on_bytes
        self._lineages = read_taxonomy(taxonomy) if taxonomy is not None else None
        self._records = read_records(source)
        self._first = next(self._records)
        _, labels = self._describe(self._first)
        self.has_splits = "split" in labels
        self.why = f"its first record is a sequence, with {self._kind(self._first.header)}"

    def _kind(self, header: str) -> str:
        if self._lineages is not None:
            return "labels from the taxonomy file"
        if read_annotations(header) is not None:
            return "SINTAX annotations"
        return "BOLD's | header" if read_pipes(header) is not None else "no labels in the header"

    def _describe(self, record: SequenceRecord) -> tuple[str, Labels]:
        if self._lineages is not None:
            return record.id, self._lineages.get(record.id, {})
        return read_annotations(record.header) or read_pipes(record.header) or (record.id, {})

    def _all_records(self) -> Iterator[SequenceRecord]:
        yield self._first
        yield from self._records

    def batches(self) -> Iterator[SourceBatch]:
        """Stream the records, once.

        Raises:
            DataError: As for `read_records`.
        """
        records = self._all_records()
        while chunk := list(islice(records, ROWS_PER_BATCH)):
            yield self._batch(chunk)

    def _batch(self, records: list[SequenceRecord]) -> SourceBatch:
        rows: list[dict[str, str | None]] = []
        places, rejected = [], []
        for record in records:
            name, labels = self._describe(record)
            if (marker := labels.get("marker", self.marker)) != self.marker:
                reason = f"marker {marker}, not {self.marker}"
                rejected.append(Rejected(record.number, name, "other_marker", reason))
                continue
            rows.append({"processid": name or None, "dna_barcode": record.sequence, **labels})
            places.append(record.number)
        columns = {}
        for column in COLUMNS:
            values = pa.array([row.get(column) for row in rows], pa.string())
            if column in LABEL_COLUMNS:
                columns[column] = tidy_labels(pa.chunked_array([values.dictionary_encode()]), {})
            else:
                columns[column] = pa.chunked_array([values])
        table = pa.table(columns, schema=BATCH_SCHEMA)
        return SourceBatch(table, np.array(places, dtype=np.int64), rejected)


assert set(RANK_OF_LETTER.values()) == set(RANKS)
