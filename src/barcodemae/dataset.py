"""The canonical data set: a folder of Parquet files with BIOSCAN-5M's column names.

    DIR/*.parquet   processid, phylum, class, order, family, subfamily, genus, species,
                    dna_bin, dna_barcode, split   (text; an unknown taxon is null)
    DIR/dataset.json  its sources and what was filtered (written by `barcodemae prepare`)

Training and probes read data through this file only. pyarrow, which brings all of pandas where that
is installed, is imported when rows are read: many only want to know the ranks. In: a folder and
names of partitions. Out: rows, streamed or as a table. Guarded by tests/barcodemae/test_dataset.py.
"""

import hashlib
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from barcodemae.errors import DataError
from barcodemae.path_kinds import RAW_DATA, Kind, kind_of


if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset

RANKS = ("phylum", "class", "order", "family", "subfamily", "genus", "species")
COLUMNS = ("processid", *RANKS, "dna_bin", "dna_barcode", "split")
REQUIRED_COLUMNS = ("processid", "dna_barcode", "split")
PRETRAINING_SPLITS = ("pretrain", "other_heldout")  # facts of the published run: data_split.py
SPLITS = (*PRETRAINING_SPLITS, "train", "val", "test", "key_unseen", "val_unseen", "test_unseen")


def parquet_files(directory: Path | str) -> list[Path]:
    """List the Parquet files of a data set in a fixed order; hidden ones are still being written.

    Raises:
        DataError: The folder is missing or holds no Parquet file.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise _not_a_dataset(directory)
    files = sorted(f for f in directory.glob("*.parquet") if not f.name.startswith("."))
    if not files:
        raise _not_a_dataset(directory)
    return files


def _not_a_dataset(path: Path) -> DataError:
    """Say what was given in place of a data set, and how one is made."""
    kind = kind_of(path)
    if kind in RAW_DATA:
        how = f"make one with `barcodemae prepare {shlex.quote(str(path))} -o DIR`"
        return DataError(path, f"is {kind}, not a data set: {how}")
    if kind in (Kind.LIBRARY, Kind.MODEL):
        return DataError(path, f"is {kind}, not a data set: name what `barcodemae prepare` made")
    lacks = "no such directory" if not path.is_dir() else "no *.parquet file in it"
    return DataError(path, f"is not a data set: {lacks}; `barcodemae prepare` makes one")


def open_dataset(directory: Path | str) -> "pyarrow.dataset.Dataset":
    """Open a data set without reading its rows.

    Raises:
        DataError: There is no Parquet file, one is damaged, or a required column is missing.
    """
    import pyarrow as pa
    import pyarrow.dataset

    files = parquet_files(directory)
    try:
        dataset = pyarrow.dataset.dataset([str(file) for file in files], format="parquet")
    except (pa.ArrowException, OSError) as error:
        raise DataError(directory, f"is not readable as Parquet: {error}") from error
    missing = [name for name in REQUIRED_COLUMNS if name not in dataset.schema.names]
    if missing:
        raise DataError(directory, f"lacks the column(s) {', '.join(missing)}")
    return dataset


def scan_splits(
    directory: Path | str, splits: Sequence[str], columns: Sequence[str] = COLUMNS
) -> "Iterator[pa.RecordBatch]":
    """Stream the rows of some partitions, in stored order.

    Args:
        directory: Folder of the data set.
        splits: Names of the partitions, see `SPLITS`.
        columns: Names of the columns to read; all must exist.

    Yields:
        Batches with exactly `columns`, as text; none of them is empty.

    Raises:
        DataError: The data set cannot be opened, or no row belongs to `splits`.
    """
    dataset = open_dataset(directory)
    is_wanted = in_splits(splits)
    num_rows = 0
    for batch in dataset.to_batches(columns=list(columns), filter=is_wanted):
        num_rows += batch.num_rows
        if batch.num_rows:
            yield batch
    if num_rows == 0:
        raise _no_rows(dataset, directory, splits)


def in_splits(splits: Sequence[str]) -> "pyarrow.dataset.Expression":
    """Say to a reader that only rows of these partitions are wanted."""
    import pyarrow.dataset

    return pyarrow.dataset.field("split").isin(splits)


def _no_rows(
    dataset: "pyarrow.dataset.Dataset", directory: Path | str, splits: Sequence[str]
) -> DataError:
    found = dataset.to_table(columns=["split"])["split"].unique().to_pylist()
    has = ", ".join(sorted(str(name) for name in found)) or "no rows at all"
    return DataError(directory, f"no rows in split(s) {', '.join(splits)}; it has {has}")


def read_splits(
    directory: Path | str, splits: Sequence[str], columns: Sequence[str] = COLUMNS
) -> "pa.Table":
    """Read the rows of some partitions, in stored order.

    Args:
        directory: Folder of the data set.
        splits: Names of the partitions, see `SPLITS`.
        columns: Names of the columns to read; one that the data set lacks is all null.

    Returns:
        A table with exactly `columns`, as text.

    Raises:
        DataError: The data set cannot be opened, or no row belongs to `splits`.
    """
    import pyarrow as pa

    dataset = open_dataset(directory)
    present = [name for name in columns if name in dataset.schema.names]
    table = dataset.to_table(columns=present, filter=in_splits(splits))
    if table.num_rows == 0:
        raise _no_rows(dataset, directory, splits)
    for name in columns:
        if name not in present:
            table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
    return table.select(list(columns))


def dataset_hash(directory: Path | str) -> str:
    """Fingerprint a data set: SHA-256 over its Parquet files, first 16 hex digits."""
    digest = hashlib.sha256()
    for file in parquet_files(directory):
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]
