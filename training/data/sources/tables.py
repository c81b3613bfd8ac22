"""Read rows from CSV and TSV tables, a block at a time, keeping every line's number.

In: a text file with a header. Out: `SourceBatch`es in the canonical columns, with the lines that
are no rows set apart. Splitting fields is pyarrow's. Guarded by
tests/training/data/sources/test_tables.py.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray

from barcodemae.dataset import COLUMNS
from barcodemae.errors import DataError
from barcodemae.training.data.sources.columns import (
    NULL_VALUES,
    SPLIT_ALIASES,
    TableLayout,
    read_layout,
)
from barcodemae.training.data.sources.text_blocks import TextBlock, TextFile, table_name


LABEL_COLUMNS = tuple(name for name in COLUMNS if name not in ("processid", "dna_barcode"))
_LABEL_TYPE = pa.dictionary(pa.int32(), pa.string())
BATCH_SCHEMA = pa.schema(
    [(name, _LABEL_TYPE if name in LABEL_COLUMNS else pa.string()) for name in COLUMNS]
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


@dataclass
class TableSource:
    """A CSV or TSV file.

    Args:
        source: Its path.
        wanted: The format it must have, or "auto".
        marker: Marker whose rows are kept, where the table has a marker column.
        on_bytes: Called with the number of bytes read so far.

    Raises:
        DataError: The header cannot be read as what it should be.
    """

    source: str
    wanted: str = "auto"
    marker: str = "COI-5P"
    on_bytes: Callable[[int], None] | None = None

    def __post_init__(self) -> None:
        line = TextFile(self.source).first_line()
        self._separator = "\t" if "\t" in line else ","
        self._quotes = self._separator == ","  # BOLD's TSV has bare quotation marks in its text
        header = next(csv.reader([line], delimiter=self._separator), [])
        self._width = len(header)
        self.layout: TableLayout = read_layout(
            self.source, header, self.wanted, file_name=table_name(self.source)
        )
        self.format, self.why = self.layout.format, self.layout.why
        self.has_splits = self.layout.has_splits

    def batches(self) -> Iterator[SourceBatch]:
        """Stream the rows.

        Raises:
            DataError: See `TextFile.blocks`, or there is nothing below the header.
        """
        has_rows = False
        for block in TextFile(self.source, self.on_bytes).blocks():
            batch = self._read(block)
            has_rows = has_rows or bool(batch.table.num_rows or batch.rejected)
            yield batch
        if not has_rows:
            raise DataError(self.source, "holds a header but no rows", 1)

    def _read(self, block: TextBlock) -> SourceBatch:
        text, lines, rejected = self._drop_unreadable(block)
        if not lines.size:
            return SourceBatch(BATCH_SCHEMA.empty_table(), lines, rejected)
        bad_rows: list[int] = []

        def note(row: pyarrow.csv.InvalidRow) -> str:
            bad_rows.append(row.number - 1)
            reason = f"{row.actual_columns} fields where the header has {row.expected_columns}"
            rejected.append(Rejected(int(lines[row.number - 1]), "", "wrong_fields", reason))
            return "skip"

        table = self._parse(text, note)
        places = np.delete(lines, bad_rows)
        if self.layout.marker is not None:
            table, places = self._keep_marker(table, places, rejected)
        return SourceBatch(self._canonical(table, places), places, rejected)

    def _drop_unreadable(self, block: TextBlock) -> tuple[bytes, NDArray[np.int64], list[Rejected]]:
        """Leave out the header, blank lines and lines with an open quotation mark.

        A quotation mark that is not closed on its line would swallow the lines after it.
        """
        starts = np.concatenate([[0], block.line_ends[:-1]])
        letters = np.frombuffer(block.text, dtype=np.uint8)
        lines = block.first_line + np.arange(len(starts))
        lengths = block.line_ends - starts
        # A blank line is "\n" or "\r\n"; no row of a table with two columns is that short.
        is_left_out = (lengths <= 2) & (letters[starts] <= ord("\r"))
        is_left_out[0] |= block.first_line == 1
        rejected = []
        if self._quotes and b'"' in block.text:
            quotes = np.flatnonzero(letters == ord('"'))
            counts = np.diff(np.searchsorted(quotes, np.append(starts, len(letters))))
            is_open = (counts % 2 == 1) & ~is_left_out
            reason = "a quotation mark that is not closed on its line"
            rejected = [Rejected(int(line), "", "open_quote", reason) for line in lines[is_open]]
            is_left_out |= is_open
        kept = np.flatnonzero(~is_left_out)
        if len(kept) == len(lines):
            return block.text, lines, rejected
        return _join_lines(block.text, starts, block.line_ends, kept), lines[kept], rejected

    def _parse(self, text: bytes, note: Callable[[pyarrow.csv.InvalidRow], str]) -> pa.Table:
        names = [str(position) for position in range(self._width)]
        layout = self.layout
        types = {
            str(at): _LABEL_TYPE if name in LABEL_COLUMNS else pa.string()
            for name, at in layout.columns.items()
        }
        if layout.marker is not None:
            types[str(layout.marker)] = _LABEL_TYPE
        return pyarrow.csv.read_csv(
            pa.py_buffer(text),
            pyarrow.csv.ReadOptions(
                use_threads=False, column_names=names, block_size=len(text) + 1
            ),
            pyarrow.csv.ParseOptions(
                delimiter=self._separator,
                quote_char='"' if self._quotes else False,
                invalid_row_handler=note,
            ),
            pyarrow.csv.ConvertOptions(
                column_types=types,
                include_columns=list(types),
                null_values=list(NULL_VALUES),
                strings_can_be_null=True,
                check_utf8=False,  # the whole block has been checked
            ),
        )

    def _keep_marker(
        self, table: pa.Table, places: NDArray[np.int64], rejected: list[Rejected]
    ) -> tuple[pa.Table, NDArray[np.int64]]:
        markers = table[str(self.layout.marker)].cast(pa.string())
        is_kept = pc.is_in(markers, pa.array([self.marker])).to_numpy()
        others = np.flatnonzero(~is_kept)
        names = self._column(table, "processid").take(others).to_pylist()
        found = markers.take(others).to_pylist()
        rejected += [
            Rejected(int(place), name or "", "other_marker", f"marker {marker}, not {self.marker}")
            for place, name, marker in zip(places[others], names, found, strict=True)
        ]
        return table.filter(pa.array(is_kept)), places[is_kept]

    def _column(self, table: pa.Table, name: str) -> pa.ChunkedArray:
        at = self.layout.columns.get(name)
        if at is None:
            return pa.chunked_array([pa.nulls(table.num_rows, BATCH_SCHEMA.field(name).type)])
        return table[str(at)]

    def _canonical(self, table: pa.Table, places: NDArray[np.int64]) -> pa.Table:
        columns = {name: self._column(table, name) for name in COLUMNS}
        for name in LABEL_COLUMNS:
            columns[name] = tidy_labels(columns[name], SPLIT_ALIASES if name == "split" else {})
        if self.layout.file_split is not None:
            split = pa.array([self.layout.file_split], pa.string())
            indices = pa.array(np.zeros(table.num_rows, np.int32))
            columns["split"] = pa.chunked_array([pa.DictionaryArray.from_arrays(indices, split)])
        if "processid" not in self.layout.columns:
            columns["processid"] = generated_names(self.source, places)
        return pa.table(columns, schema=BATCH_SCHEMA)


def generated_names(source: str, places: NDArray[np.int64]) -> pa.ChunkedArray:
    """Name rows that have no processid by their file and place, `unseen:17`."""
    stem = Path(table_name(source)).name.split(".")[0]
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
    return pa.chunked_array(chunks, _LABEL_TYPE)


def _join_lines(
    text: bytes, starts: NDArray[np.int64], ends: NDArray[np.int64], kept: NDArray[np.int64]
) -> bytes:
    """Copy runs of neighbouring lines."""
    if not kept.size:
        return b""
    breaks = np.flatnonzero(np.diff(kept) > 1)
    firsts = kept[np.append(0, breaks + 1)]
    lasts = kept[np.append(breaks, len(kept) - 1)]
    runs = zip(starts[firsts], ends[lasts], strict=True)
    return b"".join(text[start:end] for start, end in runs)
