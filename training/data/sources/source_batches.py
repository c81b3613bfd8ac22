"""What every source gives: rows in the canonical columns, a batch at a time.

In: columns of text under the names of a source. Out: `SourceBatch`es, in which labels are tidied
and unknown ones null. Guarded by tests/training/data/sources/test_source_batches.py.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from barcodemae.dataset import COLUMNS
from barcodemae.training.data.sources.columns import NULL_VALUES, SPLIT_ALIASES


ROWS_PER_BATCH = 16_384
LABEL_COLUMNS = tuple(name for name in COLUMNS if name not in ("processid", "dna_barcode"))
LABEL_TYPE = pa.dictionary(pa.int32(), pa.string())
BATCH_SCHEMA = pa.schema(
    [(name, LABEL_TYPE if name in LABEL_COLUMNS else pa.string()) for name in COLUMNS]
)


class Rejected(NamedTuple):
    """A row that is left out.

    Attributes:
        place: Line number in a text table, position of the record in other files, 1-based.
        processid: Its name, if it has one.
        kind: Name of the filter.
        reason: What is wrong.
    """

    place: int
    processid: str
    kind: str
    reason: str


@dataclass(frozen=True)
class SourceBatch:
    """Some rows of a source.

    Attributes:
        table: The canonical columns; labels as dictionaries, unknown ones null.
        places: Line or record number of each row.
        rejected: Rows that could not be read at all.
    """

    table: pa.Table
    places: NDArray[np.int64]
    rejected: list[Rejected] = field(default_factory=list)


def generated_names(file: str, places: NDArray[np.int64]) -> pa.ChunkedArray:
    """Name rows that have no processid by their file and place, `unseen:17`."""
    stem = Path(file).name.split(".")[0]
    return pa.chunked_array([pa.array([f"{stem}:{place}" for place in places], pa.string())])


def tidy_labels(labels: pa.ChunkedArray, aliases: dict[str, str]) -> pa.ChunkedArray:
    """Trim white space and translate aliases, once per distinct label.

    Args:
        labels: Dictionary-encoded text.
        aliases: Label as found -> label as wanted; others stay.
    """
    chunks = []
    for chunk in labels.chunks:
        distinct = pc.utf8_trim_whitespace(chunk.dictionary)
        if aliases:
            found = distinct.to_pylist()
            distinct = pa.array([aliases.get(name, name) for name in found], pa.string())
        chunks.append(pa.DictionaryArray.from_arrays(chunk.indices, distinct))
    return pa.chunked_array(chunks, LABEL_TYPE)


def canonical_table(rows: pa.RecordBatch, columns: dict[str, str]) -> pa.Table:
    """Bring rows of text under the names of a source into the canonical columns.

    Args:
        rows: Text; words for nothing among the labels become null.
        columns: Canonical name -> name in `rows`, for the columns that are there.
    """
    nothing = pa.array(NULL_VALUES, pa.string())
    table = {}
    for name in COLUMNS:
        if name not in columns:
            missing = pa.nulls(rows.num_rows, BATCH_SCHEMA.field(name).type)
            table[name] = pa.chunked_array([missing])
            continue
        values = rows[columns[name]].cast(pa.string())
        if name in LABEL_COLUMNS:
            values = pc.if_else(pc.is_in(values, nothing), pa.scalar(None, pa.string()), values)
            encoded = pa.chunked_array([values.dictionary_encode()])
            table[name] = tidy_labels(encoded, SPLIT_ALIASES if name == "split" else {})
        else:
            table[name] = pa.chunked_array([values])
    return pa.table(table, schema=BATCH_SCHEMA)
