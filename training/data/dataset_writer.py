"""Writer of the canonical data set: a Parquet file per partition, and what documents them.

    DIR/train.parquet ...         rows in source order, in row groups of fixed size
    DIR/dataset.json              sources, filters with counts, partitions, versions
    DIR/README.md                 front matter from which `load_dataset(DIR)` knows the partitions
    DIR/rejected.tsv              every row left out as unusable, with its line and the reason
    DIR/duplicates.tsv            every dropped duplicate, with the row kept in its place
    DIR/conflicts.tsv             dropped duplicates whose label differs from that of the row kept

In: tables of rows, batch by batch. Out: the folder. The same rows give the same bytes, however they
are divided into batches. Guarded by tests/training/data/test_dataset_writer.py.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TextIO

import pyarrow as pa
import pyarrow.parquet

from barcodemae.dataset import COLUMNS, SPLITS
from barcodemae.output.cells import row_of


ROWS_PER_GROUP = 32_768
SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])
DESCRIPTION_FILE = "dataset.json"
_CARD = """---
configs:
- config_name: default
  data_files:
{files}---

DNA barcodes in the columns of BIOSCAN-5M, written by `barcodemae prepare`.

| partition | barcodes |
| --- | --- |
{rows}
`dataset.json` records the sources, every filter with its count, and versions.
"""


class PartitionWriter:
    """Writes rows to the files of their partitions.

    Args:
        directory: Folder of the files.

    Attributes:
        num_rows: Partition -> number of rows written to it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: list[BinaryIO] = []
        self._writers: dict[str, pyarrow.parquet.ParquetWriter] = {}
        self._waiting: dict[str, list[pa.Table]] = {}
        self.num_rows: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                for split in list(self._waiting):
                    self._write(split, everything=True)
            for writer in self._writers.values():
                writer.close()
        except OSError:
            if kind is None:
                raise
        finally:
            # Otherwise a writer that failed would try again when it is garbage-collected.
            for writer in self._writers.values():
                writer.is_open = False
            for file in self._files:
                file.close()

    def write(self, table: pa.Table) -> None:
        """Add rows; their column `split` names the partitions."""
        for split in pa.compute.unique(table["split"]).to_pylist():
            rows = table.filter(pa.compute.equal(table["split"], split)).cast(SCHEMA)
            self.num_rows[split] = self.num_rows.get(split, 0) + rows.num_rows
            self._waiting.setdefault(split, []).append(rows)
            if sum(part.num_rows for part in self._waiting[split]) >= ROWS_PER_GROUP:
                self._write(split, everything=False)

    def _write(self, split: str, *, everything: bool) -> None:
        rows = pa.concat_tables(self._waiting.pop(split))
        whole = rows.num_rows if everything else rows.num_rows - rows.num_rows % ROWS_PER_GROUP
        if split not in self._writers:
            labels = [name for name in COLUMNS if name not in ("processid", "dna_barcode")]
            self._files.append((self._directory / f"{split}.parquet").open("wb", buffering=0))
            self._writers[split] = pyarrow.parquet.ParquetWriter(
                self._files[-1],
                SCHEMA,
                compression="zstd",
                compression_level=1,
                use_dictionary=labels,
                write_statistics=labels,
            )
        # Combined, because the bounds of chunks would affect the bytes of the file.
        group = rows.slice(0, whole).combine_chunks()
        self._writers[split].write_table(group, row_group_size=ROWS_PER_GROUP)
        if whole < rows.num_rows:
            self._waiting[split] = [rows.slice(whole)]


class RowList:
    """A tab-separated file that is written row by row.

    Args:
        path: File to write.
        columns: Names of the columns, for the header.
    """

    def __init__(self, path: Path, columns: Iterable[str]) -> None:
        self._path = path
        self._stream: TextIO = path.open("w", encoding="utf-8", errors="surrogateescape")
        self._num_told = 0  # bytes
        self.add([tuple(columns)])
        self.new_text()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()

    def add(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Append rows; runs of white space inside a value become one space."""
        self._stream.writelines(
            row_of(" ".join(str(value).split()) for value in row) for row in rows
        )

    def new_text(self) -> bytes:
        """Return what was added since the last call, or since the header."""
        self._stream.flush()
        with self._path.open("rb") as stream:
            stream.seek(self._num_told)
            text = stream.read()
        self._num_told += len(text)
        return text

    def restore(self, text: bytes) -> None:
        """Append what `new_text` of another run returned."""
        self._stream.flush()
        self._num_told += self._stream.buffer.write(text)


def write_description(directory: Path, description: Mapping[str, Any]) -> None:
    """Write `dataset.json` and the card.

    Args:
        directory: Folder of the data set.
        description: Content of `dataset.json`, with the counts in `partitions`.
    """
    text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
    (directory / DESCRIPTION_FILE).write_text(text, encoding="utf-8")
    counts = {
        name: description["partitions"][name]["barcodes"]
        for name in SPLITS
        if name in description["partitions"]
    }
    files = "".join(f"  - split: {name}\n    path: {name}.parquet\n" for name in counts)
    rows = "".join(f"| {name} | {count:,} |\n" for name, count in counts.items())
    (directory / "README.md").write_text(_CARD.format(files=files, rows=rows), encoding="utf-8")
