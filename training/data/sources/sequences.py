"""Read rows from FASTA and FASTQ: the taxonomy is in the header or in a file beside it.

In: records. Out: `SourceBatch`es in the canonical columns. Conventions of headers are those of
`headers.py`, of taxonomies those of `taxonomy_files.py`. Guarded by
tests/training/data/sources/test_sequences.py.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from barcodemae.dataset import COLUMNS
from barcodemae.fasta import TOO_LONG, SequenceRecord, read_records
from barcodemae.plain_text import legible
from barcodemae.training.data.sources.headers import Header, read_header
from barcodemae.training.data.sources.markers import marker_of_field
from barcodemae.training.data.sources.source_batches import (
    BATCH_SCHEMA,
    LABEL_COLUMNS,
    ROWS_PER_BATCH,
    Rejected,
    SourceBatch,
    generated_name,
)
from barcodemae.training.data.sources.taxonomy_files import no_id_fits, read_taxonomy


NO_LABELS = "no labels in the header"
NUM_IDS_KEPT = 2  # for the message about a taxonomy of other records
LETTERS_PER_BATCH = 1 << 24  # of a batch, to limit the memory where records are long


class SequenceSource:
    """A FASTA or FASTQ file.

    Args:
        source: Its path, or `-`.
        taxonomy: A taxonomy for its ids.
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
        self.source, self.on_bytes = source, on_bytes
        self.marker = marker_of_field(marker) or marker
        self._taxonomy = taxonomy
        self._lineages = read_taxonomy(taxonomy) if taxonomy is not None else None
        self._num_found = 0  # records that the taxonomy has
        self._ids: list[str] = []  # of the first records
        self._records = read_records(source)
        self._first = next(self._records)
        header = self._describe(self._first)
        self.has_splits = "split" in header.labels
        self.why = f"its first record is a sequence, with {header.convention or NO_LABELS}"

    def _describe(self, record: SequenceRecord) -> Header:
        if self._lineages is None:
            return read_header(legible(record.header))
        name = legible(record.id)
        names = (name, name.split(";")[0], name.split("|")[0])
        found = next((each for each in names if each in self._lineages), None)
        self._num_found += found is not None
        labels = dict(self._lineages[found]) if found is not None else {}
        return Header(name, labels, "labels from the taxonomy file")

    def _all_records(self) -> Iterator[SequenceRecord]:
        yield self._first
        yield from self._records

    def batches(self, skip: int = 0) -> Iterator[SourceBatch]:
        """Stream the records, once.

        Args:
            skip: Number of batches that are passed over: only looked up in the taxonomy.

        Raises:
            DataError: As for `read_records`, or the taxonomy is of other records.
        """
        self._num_found = 0
        for number, chunk in enumerate(self._chunks()):
            if number >= skip:
                yield self._batch(chunk)
            elif self._lineages is not None:
                for record in chunk:
                    self._describe(record)
        if self._taxonomy is not None and self._lineages is not None and not self._num_found:
            raise no_id_fits(self._taxonomy, self._lineages, self.source, self._ids)

    def _chunks(self) -> Iterator[list[SequenceRecord]]:
        """Gather the records of a batch at a time."""
        chunk: list[SequenceRecord] = []
        num_letters = 0
        for record in self._all_records():
            if len(self._ids) < NUM_IDS_KEPT:
                self._ids.append(legible(record.id))
            chunk.append(record)
            num_letters += len(record.sequence)
            if len(chunk) == ROWS_PER_BATCH or num_letters >= LETTERS_PER_BATCH:
                yield chunk
                chunk, num_letters = [], 0
        if chunk:
            yield chunk

    def _batch(self, records: list[SequenceRecord]) -> SourceBatch:
        rows: list[dict[str, str | None]] = []
        places, rejected = [], []
        for record in records:
            header = self._describe(record)
            name, labels = header.name, header.labels
            if record.problem:
                kind = "too_long" if record.problem == TOO_LONG else "broken_record"
                rejected.append(Rejected(record.number, name, kind, record.problem))
                continue
            if (marker := labels.get("marker", self.marker)) != self.marker:
                reason = f"marker {marker}, not {self.marker}"
                rejected.append(Rejected(record.number, name, "other_marker", reason))
                continue
            if not name and header.convention:
                name = generated_name(self.source, record.number)
            letters = legible(record.sequence)
            rows.append({"processid": name or None, "dna_barcode": letters, **labels})
            places.append(record.number)
        columns = {}
        for column in COLUMNS:
            values = pa.array([row.get(column) for row in rows], pa.string())
            if column in LABEL_COLUMNS:
                columns[column] = pa.chunked_array([values.dictionary_encode()])
            else:
                columns[column] = pa.chunked_array([values])
        table = pa.table(columns, schema=BATCH_SCHEMA)
        return SourceBatch(table, np.array(places, dtype=np.int64), rejected)
