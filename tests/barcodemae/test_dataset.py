"""Data sets are opened, read by partition and fingerprinted; damage is named."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from barcodemae.dataset import (
    COLUMNS,
    dataset_hash,
    open_dataset,
    parquet_files,
    read_splits,
    scan_splits,
)
from barcodemae.errors import DataError


ROWS = {
    "processid": ["A", "B", "C", "D"],
    "dna_barcode": ["ACGT", "CCCC", "GGGG", "TTTT"],
    "split": ["train", "test", "train", "val"],
    "genus": ["Aedes", None, "Culex", None],
}


@pytest.fixture
def directory(tmp_path):
    table = pa.table(ROWS)
    pq.write_table(table.slice(0, 2), tmp_path / "a.parquet")
    pq.write_table(table.slice(2), tmp_path / "b.parquet")
    return tmp_path


def test_partitions_are_read_in_stored_order(directory):
    table = read_splits(directory, ["train", "val"])
    assert table["processid"].to_pylist() == ["A", "C", "D"]
    assert table.column_names == list(COLUMNS)


def test_a_column_that_is_not_there_comes_as_nulls(directory):
    table = read_splits(directory, ["train"], ["species", "genus"])
    assert table.to_pydict() == {"species": [None, None], "genus": ["Aedes", "Culex"]}


def test_scanning_gives_the_same_rows(directory):
    batches = list(scan_splits(directory, ["train", "test"], ("processid",)))
    assert [name for batch in batches for name in batch["processid"].to_pylist()] == ["A", "B", "C"]
    assert all(batch.num_rows and batch.schema.names == ["processid"] for batch in batches)


@pytest.mark.parametrize("read", [read_splits, lambda *args: list(scan_splits(*args))])
def test_an_absent_partition_is_an_error_that_names_those_present(directory, read):
    with pytest.raises(DataError, match=r"no rows in split\(s\) pretrain; it has test, train, val"):
        read(directory, ["pretrain"], ("processid",))


def test_the_fingerprint_depends_on_the_bytes(directory, tmp_path):
    before = dataset_hash(directory)
    assert before == dataset_hash(directory)
    assert len(before) == 16
    (tmp_path / "notes.txt").write_text("not data")
    assert dataset_hash(directory) == before
    pq.write_table(pa.table(ROWS), directory / "c.parquet")
    assert dataset_hash(directory) != before


def test_a_hidden_file_is_still_being_written_and_no_part_of_a_data_set(directory):
    before = dataset_hash(directory)
    (directory / ".b.12-0123abcd.tmp.parquet").write_bytes(b"PAR1 half of it")
    assert dataset_hash(directory) == before
    assert open_dataset(directory).count_rows() > 0


def test_folders_that_are_no_data_set_are_errors(tmp_path):
    with pytest.raises(DataError, match="no such directory"):
        parquet_files(tmp_path / "none")
    with pytest.raises(DataError, match=r"no \*.parquet file in it"):
        parquet_files(tmp_path)


def test_a_damaged_file_is_an_error(directory):
    (directory / "a.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match="is not readable as Parquet"):
        open_dataset(directory)


def test_a_missing_column_is_named(tmp_path):
    pq.write_table(pa.table({"processid": ["A"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"lacks the column\(s\) dna_barcode, split"):
        open_dataset(tmp_path)
