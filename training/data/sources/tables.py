"""Read rows from CSV and TSV tables, a block at a time, keeping every line's number.

In: a text file with a header. Out: `SourceBatch`es in the canonical columns, with the lines that
are no rows set apart. Splitting rows into fields is pyarrow's. Guarded by
tests/training/data/sources/test_tables.py.
"""

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray

from barcodemae.conventions.letters import NUCLEOTIDE_CODES
from barcodemae.dataset import COLUMNS
from barcodemae.errors import DataError
from barcodemae.kmer_facts import MAX_K
from barcodemae.training.data.sources.columns import (
    ALIASES,
    NULL_VALUES,
    TableLayout,
    plain_name,
    read_layout,
)
from barcodemae.training.data.sources.quoting import RowFinder, RowText
from barcodemae.training.data.sources.source_batches import (
    BATCH_SCHEMA,
    LABEL_COLUMNS,
    LABEL_TYPE,
    Rejected,
    SourceBatch,
    generated_names,
    label_reader,
    tidy_labels,
)
from barcodemae.training.data.sources.text_blocks import TextBlock, TextFile


MAX_HEADER_BYTES = 1 << 16
BARCODE_NAMES = frozenset(ALIASES["dna_barcode"])
CRABS_COLUMNS = (
    *("processid", "taxname", "taxid", "superkingdom", "phylum", "class", "order"),
    *("family", "genus", "species", "sequence"),
)
_MAX_HEADER_LINES = 20  # names of columns may hold line ends
_SEPARATOR_LINE = re.compile(r'"?sep=.?"?', re.IGNORECASE)
_OPEN_QUOTE = "a quotation mark that does not enclose a field"


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
        file = TextFile(self.source)
        text = next(file.blocks(MAX_HEADER_BYTES)).text.decode()
        self._name = file.name
        before = lines_before_header(text)
        text = "\n".join(text.split("\n")[before:])
        self._separator = find_separator(text.partition("\n")[0])
        header, num_lines = read_header(text, self._separator)
        header = with_row_names(header, text, num_lines, self._separator)
        if is_crabs_row(header):
            header, num_lines = list(CRABS_COLUMNS), 0
        self._header_lines = before + num_lines
        self._width = len(header)
        self._is_header_quoted = text.startswith('"')
        self.layout: TableLayout = read_layout(
            self.source, header, self.wanted, file_name=self._name
        )
        self.format, self.why = self.layout.format, self.layout.why
        self.has_splits = self.layout.has_splits

    def batches(self, skip: int = 0) -> Iterator[SourceBatch]:
        """Stream the rows.

        Args:
            skip: Number of batches that are passed over: found, but not split into fields.

        Raises:
            DataError: See `TextFile.blocks`, or there is nothing below the header.
        """
        has_rows = False
        finder = RowFinder(
            self._separator.encode(), self._width, is_header_quoted=self._is_header_quoted
        )
        for number, rows in enumerate(finder.rows(self._below_header())):
            has_rows = has_rows or bool(rows.lines.size or rows.open_lines)
            if number >= skip:
                yield self._read(rows)
        if not has_rows:
            raise DataError(self.source, "holds a header but no rows", 1)

    def _below_header(self) -> Iterator[TextBlock]:
        for block in TextFile(self.source, self.on_bytes).blocks():
            yield block.since(self._header_lines + 1)

    def _read(self, rows: RowText) -> SourceBatch:
        rejected = [Rejected(line, "", "open_quote", _OPEN_QUOTE) for line in rows.open_lines]
        if not rows.lines.size:
            return SourceBatch(BATCH_SCHEMA.empty_table(), rows.lines, rejected)
        bad_rows: list[int] = []

        def note(row: pyarrow.csv.InvalidRow) -> str:
            bad_rows.append(row.number - 1)
            reason = f"{row.actual_columns} fields where the header has {row.expected_columns}"
            rejected.append(Rejected(int(rows.lines[row.number - 1]), "", "wrong_fields", reason))
            return "skip"

        table = self._parse(rows.text, note)
        places = np.delete(rows.lines, bad_rows)
        if len(places) != table.num_rows:
            raise AssertionError("the parser saw other rows than were counted")
        if self.layout.marker is not None:
            table, places = self._keep_marker(table, places, rejected)
        return SourceBatch(self._canonical(table, places), places, rejected)

    def _parse(self, text: bytes, note: Callable[[pyarrow.csv.InvalidRow], str]) -> pa.Table:
        names = [str(position) for position in range(self._width)]
        layout = self.layout
        types = {
            str(at): LABEL_TYPE if name in LABEL_COLUMNS else pa.string()
            for name, at in layout.columns.items()
        }
        if layout.marker is not None:
            types[str(layout.marker)] = LABEL_TYPE
        return pyarrow.csv.read_csv(
            pa.py_buffer(text),
            pyarrow.csv.ReadOptions(
                use_threads=False, column_names=names, block_size=len(text) + 1
            ),
            pyarrow.csv.ParseOptions(
                delimiter=self._separator, newlines_in_values=True, invalid_row_handler=note
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
            columns[name] = tidy_labels(columns[name], label_reader(name, self.format))
        if self.layout.file_split is not None:
            split = pa.array([self.layout.file_split], pa.string())
            indices = pa.array(np.zeros(table.num_rows, np.int32))
            columns["split"] = pa.chunked_array([pa.DictionaryArray.from_arrays(indices, split)])
        if "processid" not in self.layout.columns:
            columns["processid"] = generated_names(self._name, places)
        return pa.table(columns, schema=BATCH_SCHEMA)


def lines_before_header(text: str) -> int:
    """Count what stands before the header: blank lines, comments, and Excel's own `sep=;`."""
    lines = text.split("\n")
    is_passed = (
        not line.strip() or _SEPARATOR_LINE.fullmatch(line) or is_comment(line) for line in lines
    )
    return next((number for number, passed in enumerate(is_passed) if not passed), 0)


def is_comment(line: str) -> bool:
    """Whether a line begins with `#` and is no header, in which a column of barcodes is named."""
    names = line.split(find_separator(line))
    return line.startswith("#") and not {plain_name(name) for name in names} & BARCODE_NAMES


def find_separator(line: str) -> str:
    """Tell what separates the fields of a table by its first line.

    Excel writes a semicolon where the comma is that of decimals, and R a blank.
    """
    bare = re.sub(r'"[^"]*"', "", line)  # without the names in quotation marks
    marks = {"\t": bare.count("\t"), ";": bare.count(";"), ",": bare.count(",")}
    if marks["\t"]:
        return "\t"
    if not any(marks.values()) and line.startswith('"') and '" "' in line:
        return " "
    return ";" if marks[";"] > marks[","] else ","


def with_row_names(header: list[str], text: str, num_lines: int, separator: str) -> list[str]:
    """Add the column of row names, to which R's `write.table` gives no name."""
    lines = text.split("\n")[num_lines:]
    first = next(csv.reader(lines[:1], delimiter=separator), [])
    return ["row.names", *header] if len(first) == len(header) + 1 else header


def is_crabs_row(fields: list[str]) -> bool:
    """Tell whether the first line is a row already: CRABS writes its tables without a header."""
    if len(fields) != len(CRABS_COLUMNS):
        return False
    letters = fields[-1]
    is_dna = not set(letters.upper()) - set(NUCLEOTIDE_CODES)
    return fields[2].isdigit() and len(letters) > MAX_K and is_dna


def read_header(text: str, separator: str) -> tuple[list[str], int]:
    """Read the names of the columns.

    Args:
        text: The first lines of a table.
        separator: What separates its fields.

    Returns:
        The names, and how many lines they take: more than one if a name in quotation marks holds
        a line end.
    """
    lines = text.split("\n", _MAX_HEADER_LINES)[:_MAX_HEADER_LINES]
    num_quotes = np.cumsum([line.count('"') for line in lines])
    closed = np.flatnonzero(num_quotes % 2 == 0)
    num_lines = int(closed[0]) + 1 if closed.size else 1
    reader = csv.reader((line + "\n" for line in lines[:num_lines]), delimiter=separator)
    names = next(reader, [])
    return [" ".join(name.split()) for name in names], reader.line_num
