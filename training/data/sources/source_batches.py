"""What every source gives: rows in the canonical columns, a batch at a time.

In: columns of text under the names of a source. Out: `SourceBatch`es, in which labels are tidied
and unknown ones null. Guarded by tests/training/data/sources/test_source_batches.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from barcodemae.conventions.taxa import tidy_taxon
from barcodemae.dataset import COLUMNS, RANKS
from barcodemae.training.data.sources.columns import NULL_VALUES, PUBLISHED, SPLIT_ALIASES


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
    return pa.chunked_array([pa.array([generated_name(file, at) for at in places], pa.string())])


def generated_name(file: str, place: int) -> str:
    """Name a row by its file and place."""
    return f"{Path(file).name.split('.')[0]}:{place}"


def tidy_labels(labels: pa.ChunkedArray, read: Callable[[str], str | None]) -> pa.ChunkedArray:
    """Read labels, once per distinct label.

    Args:
        labels: Dictionary-encoded text.
        read: Label as found, without white space around it -> label as wanted, None if unknown.
    """
    chunks = []
    for chunk in labels.chunks:
        found = pc.utf8_trim_whitespace(chunk.dictionary).to_pylist()
        tidy = pa.array([None if name is None else read(name) for name in found], pa.string())
        array = pa.DictionaryArray.from_arrays(chunk.indices, tidy)
        if tidy.null_count:  # an unknown label is to be null itself, not to point to one
            array = array.cast(pa.string()).dictionary_encode()
        chunks.append(array)
    return pa.chunked_array(chunks, LABEL_TYPE)


def label_reader(column: str, layout_format: str) -> Callable[[str], str | None]:
    """Return the function that reads the labels of a column.

    Args:
        column: Name of the column, one of `LABEL_COLUMNS`.
        layout_format: Format of the source; published data sets keep their names of taxa.
    """
    if column == "split":
        return lambda name: SPLIT_ALIASES.get(name, name) or None
    if column in RANKS and layout_format not in PUBLISHED:
        return lambda name: tidy_taxon(column, name)
    return lambda name: None if name in NULL_VALUES else name


def canonical_table(rows: pa.RecordBatch, columns: dict[str, str], layout_format: str) -> pa.Table:
    """Bring rows of text under the names of a source into the canonical columns.

    Args:
        rows: Text; words for nothing among the labels become null.
        columns: Canonical name -> name in `rows`, for the columns that are there.
        layout_format: Format of the source.
    """
    table = {}
    for name in COLUMNS:
        if name not in columns:
            missing = pa.nulls(rows.num_rows, BATCH_SCHEMA.field(name).type)
            table[name] = pa.chunked_array([missing])
            continue
        values = rows[columns[name]].cast(pa.string())
        if name in LABEL_COLUMNS:
            encoded = pa.chunked_array([values.dictionary_encode()])
            table[name] = tidy_labels(encoded, label_reader(name, layout_format))
        else:
            table[name] = pa.chunked_array([values])
    return pa.table(table, schema=BATCH_SCHEMA)
