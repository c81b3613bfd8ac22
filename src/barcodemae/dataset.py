"""The canonical data set: a folder of Parquet files with BIOSCAN-5M's column names.

    DIR/*.parquet   processid, phylum, class, order, family, subfamily, genus, species,
                    dna_bin, dna_barcode, split   (text; an unknown taxon is null)
    DIR/rejected.tsv, duplicates.tsv  rows of the sources that are not in it, and why
    DIR/dataset.json  its sources and what was filtered (written by `barcodemae prepare`)

Training and probes read data through this file only. pyarrow, which brings all of pandas where that
is installed, is imported when rows are read: many only want to know the ranks. In: a folder and
names of partitions. Out: rows, streamed or as a table. Guarded by tests/barcodemae/test_dataset.py.
"""

import hashlib
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from barcodemae.conventions.spellings import Spellings
from barcodemae.conventions.taxa import NULL_WORDS
from barcodemae.errors import DataError, first_line
from barcodemae.path_kinds import RAW_DATA, Kind, kind_of


if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset

RANKS = ("phylum", "class", "order", "family", "subfamily", "genus", "species")
COLUMNS = ("processid", *RANKS, "dna_bin", "dna_barcode", "split")
REQUIRED_COLUMNS = ("processid", "dna_barcode", "split")
PRETRAINING_SPLITS = ("pretrain", "other_heldout")  # facts of the published run: data_split.py
REJECTED, DUPLICATES = "rejected.tsv", "duplicates.tsv"
ROWS_PER_BATCH = 1 << 17
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

    Whatever wrote the files (`prepare`, pandas, `datasets`, DuckDB): a column is there if any of
    them has it, and comes as text.

    Raises:
        DataError: There is no Parquet file, one is damaged, or a required column is missing.
    """
    import pyarrow as pa
    import pyarrow.dataset
    import pyarrow.parquet

    files = parquet_files(directory)
    present: set[str] = set()
    for file in files:
        try:
            present.update(pyarrow.parquet.read_schema(file).names)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            problem = f"is not readable as Parquet: {first_line(error)}"
            raise DataError(file, problem) from error
    missing = [name for name in REQUIRED_COLUMNS if name not in present]
    if missing:
        raise DataError(directory, f"lacks the column(s) {', '.join(missing)}")
    schema = pa.schema([(name, pa.string()) for name in COLUMNS if name in present])
    return pyarrow.dataset.dataset([str(file) for file in files], schema=schema, format="parquet")


def read_rows(
    directory: Path | str,
    columns: Sequence[str],
    splits: Sequence[str] | None = None,
    batch_size: int = ROWS_PER_BATCH,
) -> "Iterator[pa.RecordBatch]":
    """Stream rows in stored order, with unknown taxa as nulls, however they were written.

    Args:
        directory: Folder of the data set.
        columns: Names of the columns to read; one that a file lacks is null there.
        splits: Names of the partitions, None for all.
        batch_size: Largest number of rows in a batch.

    Yields:
        Batches with exactly `columns`, as text.

    Raises:
        DataError: The data set cannot be opened, or is damaged further in.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    open_dataset(directory)  # fails on missing columns
    spellings = Spellings(directory)
    scanned = list(dict.fromkeys([*columns, "split"]))
    wanted = None if splits is None else pa.array(list(splits), pa.string())
    for file in parquet_files(directory):
        for batch in _rows_of_file(file, scanned, splits, batch_size):
            if wanted is not None:
                batch = batch.filter(pc.is_in(batch["split"], wanted))
            tidy = _with_nulls(batch.select(list(columns)))
            for rank in set(RANKS).intersection(columns):
                spellings.note(rank, tidy[rank].unique().to_pylist())
            yield tidy
    spellings.warn()


def _rows_of_file(
    path: Path, columns: Sequence[str], splits: Sequence[str] | None, batch_size: int
) -> "Iterator[pa.RecordBatch]":
    """Stream the row groups of a file that may hold rows of some partitions, as text.

    Not by Arrow's scanner of data sets, which ends the whole process at some damaged files.
    """
    import pyarrow as pa
    import pyarrow.parquet

    schema = pa.schema([(name, pa.string()) for name in columns])
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            present = [name for name in columns if name in file.schema_arrow.names]
            groups = [
                group
                for group in range(file.num_row_groups)
                if splits is None or _holds_rows(file, group, splits)
            ]
            for batch in file.iter_batches(batch_size, row_groups=groups, columns=present):
                batch.validate(full=True)  # that text is text, above all
                yield pa.RecordBatch.from_arrays(
                    [
                        batch[name].cast(pa.string())
                        if name in present
                        else pa.nulls(batch.num_rows, pa.string())
                        for name in columns
                    ],
                    schema=schema,
                )
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(path, f"is damaged: {first_line(error)}") from error


def _holds_rows(file: "pyarrow.parquet.ParquetFile", group: int, splits: Sequence[str]) -> bool:
    """Tell whether a row group holds rows of some partitions; damaged statistics are not asked."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if "split" not in file.schema_arrow.names:
        return False
    found = file.read_row_group(group, columns=["split"])["split"].cast(pa.string())
    return bool(pc.any(pc.is_in(found, pa.array(list(splits), pa.string()))).as_py())


def split_names(directory: Path | str) -> set[str]:
    """Return the names of the partitions that have rows.

    Raises:
        DataError: As for `read_rows`.
    """
    batches = read_rows(directory, ["split"])
    found = {name for batch in batches for name in batch["split"].unique().to_pylist()}
    return {name for name in found if name is not None}


def _with_nulls(batch: "pa.RecordBatch") -> "pa.RecordBatch":
    """Turn blank labels and words for nothing into nulls, and absent barcodes into empty ones."""
    import pyarrow as pa
    import pyarrow.compute as pc

    nothing = pa.array(NULL_WORDS, pa.string())
    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if name in (*RANKS, "dna_bin"):
            names = pc.utf8_trim_whitespace(column)
            is_nothing = pc.is_in(pc.utf8_lower(names), nothing)
            column = pc.if_else(is_nothing, pa.scalar(None, pa.string()), names)
        elif name == "dna_barcode":
            column = column.fill_null("")
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


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
        DataError: The data set cannot be read, or no row belongs to `splits`.
    """
    num_rows = 0
    for batch in read_rows(directory, columns, splits):
        num_rows += batch.num_rows
        if batch.num_rows:
            yield batch
    if num_rows == 0:
        raise _no_rows(directory, splits)


def _no_rows(directory: Path | str, splits: Sequence[str]) -> DataError:
    has = ", ".join(sorted(split_names(directory))) or "no rows at all"
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
        DataError: The data set cannot be read, or no row belongs to `splits`.
    """
    import pyarrow as pa

    schema = pa.schema([(name, pa.string()) for name in columns])
    table = pa.Table.from_batches(read_rows(directory, columns, splits), schema)
    if table.num_rows == 0:
        raise _no_rows(directory, splits)
    return table


class LeftOut(NamedTuple):
    """A record of a source that is not in the data set.

    Attributes:
        source: Name of the source.
        place: Number of the line of a table, of the record in other files, 1-based.
        id: Its processid, empty if it has none.
        reason: Why it was left out.
    """

    source: str
    place: int
    id: str
    reason: str


def read_left_out(directory: Path | str) -> Iterator[LeftOut]:
    """Read which records of its sources a prepared data set left out.

    Args:
        directory: Folder of the data set; one that `barcodemae prepare` did not make has no lists.

    Yields:
        Unusable records in the order of the sources, then duplicates.
    """
    for name in (REJECTED, DUPLICATES):
        path = Path(directory) / name
        if not path.is_file():
            continue
        with path.open(encoding="utf-8") as lines:
            next(lines, None)
            for line in lines:
                source, place, record_id, *more = line.removesuffix("\n").split("\t")
                reason = more[-1] if name == REJECTED else f"same letters as {more[-1]}"
                yield LeftOut(source, int(place), record_id, reason)


def dataset_hash(directory: Path | str) -> str:
    """Fingerprint a data set: SHA-256 over its Parquet files, first 16 hex digits."""
    digest = hashlib.sha256()
    for file in parquet_files(directory):
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]
