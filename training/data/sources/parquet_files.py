"""Read rows from Parquet files with columns under any of the names that the field uses.

In: a Parquet file. Out: `SourceBatch`es in the canonical columns. Guarded by
tests/training/data/sources/test_parquet_files.py.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from barcodemae.errors import DataError, first_line
from barcodemae.training.data.sources.columns import TableLayout, read_layout
from barcodemae.training.data.sources.source_batches import (
    BATCH_SCHEMA,
    ROWS_PER_BATCH,
    SourceBatch,
    canonical_table,
    generated_names,
)


class ParquetSource:
    """A Parquet file with columns under any of the known names.

    Args:
        source: Its path.

    Raises:
        DataError: It is damaged or lacks a column of barcodes.
    """

    format = "parquet"

    def __init__(self, source: str) -> None:
        self.source = source
        self.on_bytes: Callable[[int], None] | None = None
        try:
            self._file = pyarrow.parquet.ParquetFile(source)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(source, f"is damaged: {first_line(error)}") from error
        self._names = self._file.schema_arrow.names
        self.layout: TableLayout = read_layout(source, self._names, "parquet")
        self.has_splits = self.layout.has_splits
        self.why = "the first bytes are Parquet's"

    def batches(self, skip: int = 0) -> Iterator[SourceBatch]:
        """Stream the rows.

        Args:
            skip: Number of batches that are passed over: unpacked, but not looked at.

        Raises:
            DataError: The file is damaged further in.
        """
        columns = {name: self._names[at] for name, at in self.layout.columns.items()}
        first, size = 1, Path(self.source).stat().st_size
        num_rows = self._file.metadata.num_rows
        if num_rows == 0:
            raise DataError(self.source, "holds no rows")
        try:
            batches = self._file.iter_batches(ROWS_PER_BATCH, columns=list(columns.values()))
            for number, batch in enumerate(batches):
                if number >= skip:
                    batch.validate(full=True)  # that text is text, above all
                    yield self._read(batch, columns, first)
                first += batch.num_rows
                if self.on_bytes is not None:
                    self.on_bytes(size * (first - 1) // num_rows)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            problem = f"is damaged after row {first - 1}: {first_line(error)}"
            raise DataError(self.source, problem) from error

    def _read(self, rows: pa.RecordBatch, columns: dict[str, str], first: int) -> SourceBatch:
        places = np.arange(first, first + rows.num_rows)
        table = canonical_table(rows, columns, self.layout.format)
        if "processid" not in columns:
            names = generated_names(self.source, places)
            table = table.set_column(0, BATCH_SCHEMA.field("processid"), names)
        return SourceBatch(table, places)
