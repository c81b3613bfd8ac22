"""`barcodemae.embed`: from sequences to one vector each.

In: sequences (see `sequences.py`). Out: an array with a row for each of them, in input order. The
command streams records through the same `embed_chunks` into a file.
Guarded by tests/barcodemae/calls/test_vectors.py.

Shapes: N = sequences, C = records of one chunk that can be embedded, D = embedding width.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from barcodemae.calls.choices import ModelChoices, model_options
from barcodemae.calls.queries import read_queries
from barcodemae.calls.sequences import source_of
from barcodemae.calls.tables import Reject, warn_of_rejected
from barcodemae.default_model import DEFAULT_MODEL
from barcodemae.errors import DataError
from barcodemae.eval.embed.embedder import Embedder
from barcodemae.fasta import SequenceRecord


CHUNK_SIZE = 8192  # records held at once: 8,192 x 768 float32 is 25 MB


@dataclass(frozen=True)
class EmbeddedChunk:
    """Consecutive records with the vectors of those that can be embedded.

    Attributes:
        records: Records in input order.
        reasons: Row among them -> why that record cannot be embedded.
        vectors: Vectors of the others, (C, D); None if there are no others.
    """

    records: list[SequenceRecord]
    reasons: dict[int, str]
    vectors: NDArray[np.float32] | None

    @property
    def embedded(self) -> list[SequenceRecord]:
        """Records with a vector, C."""
        return [record for row, record in enumerate(self.records) if row not in self.reasons]


def embed_chunks(
    embedder: Embedder, records: Iterable[SequenceRecord], *, strict: bool, source: str
) -> Iterator[EmbeddedChunk]:
    """Embed records chunk by chunk.

    Args:
        embedder: Model.
        records: Records.
        strict: Whether one record that cannot be embedded is an error.
        source: Where the records come from, for messages.

    Raises:
        DataError: `strict`, and there is such a record.
    """
    remaining = iter(records)
    while chunk := list(islice(remaining, CHUNK_SIZE)):
        reasons = embedder.find_invalid([record.sequence for record in chunk])
        reasons |= {row: record.problem for row, record in enumerate(chunk) if record.problem}
        if strict and reasons:
            row, reason = min(reasons.items())
            record = chunk[row]
            raise DataError(source, f"record {record.number} ({record.id}): {reason}")
        kept = [record.sequence for row, record in enumerate(chunk) if row not in reasons]
        yield EmbeddedChunk(chunk, reasons, embedder.embed(kept) if kept else None)


def embed(
    sequences: Any,
    model: str | Path = DEFAULT_MODEL,
    *,
    strict: bool = False,
    **choices: Unpack[ModelChoices],
) -> NDArray[np.float32]:
    """Embed every barcode.

    Args:
        sequences: Barcodes, as `barcodemae.identify` takes them.
        model: Model: a folder, a name on the Hub, `kmer:K`, or `default`, which is bundled.
        strict: Whether a sequence that cannot be embedded is an error rather than a row of NaN.
        **choices: `device`, `batch_size`, `dtype` (`auto` by default), `revision`, `engine`.

    Returns:
        One vector per sequence, float32 (N, D), in input order.

    Raises:
        CheckpointError: The model cannot be opened.
        DataError: A file cannot be read, or a sequence cannot be embedded: with `strict` any.
        SettingsError: A choice is unknown.

    Warns:
        DataWarning: Some sequences cannot be embedded; their rows are NaN.
    """
    source = source_of(sequences)
    embedder = model_options(choices).lightest(model).load(model)
    if isinstance(source, list):
        name, records = "sequences", iter(source)
    else:
        name, records = source, read_queries(source)
    chunks = list(embed_chunks(embedder, records, strict=strict, source=name))
    rejected = [
        {"record": record.number, "id": record.id, "reason": chunk.reasons[row]}
        for chunk in chunks
        for row, record in enumerate(chunk.records)
        if row in chunk.reasons
    ]
    widths = [chunk.vectors.shape[1] for chunk in chunks if chunk.vectors is not None]
    if not widths:
        first: Reject = rejected[0]
        raise DataError(
            name, f"no record can be embedded; record {first['record']}: {first['reason']}"
        )
    rows = [rows_of(chunk, widths[0]) for chunk in chunks]
    warn_of_rejected(rejected, "embedded", "their rows are NaN")
    return np.concatenate(rows)


def rows_of(chunk: EmbeddedChunk, width: int) -> NDArray[np.float32]:
    """Return a row for each record of a chunk, NaN for those that cannot be embedded."""
    rows = np.full((len(chunk.records), width), np.nan, np.float32)
    if chunk.vectors is not None:
        rows[[row for row in range(len(rows)) if row not in chunk.reasons]] = chunk.vectors
    return rows
