"""Data sets are opened, read by partition and fingerprinted; damage is named."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from barcodemae.dataset import (
    COLUMNS,
    SPLITS,
    dataset_hash,
    open_dataset,
    parquet_files,
    read_splits,
    scan_splits,
)
from barcodemae.errors import DataError, DataWarning


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


def write_two(directory, first, second):
    """Two files of two rows, whose columns differ."""
    table = pa.table({name: ROWS[name] for name in ("processid", "dna_barcode", "split")})
    for name, part, columns in (
        ("a", table.slice(0, 2), first),
        ("b", table.slice(2), second),
    ):
        for column, values in columns.items():
            at = part.schema.get_field_index(column)
            if at < 0:
                part = part.append_column(column, values)
            else:
                part = part.set_column(at, column, values)
        pq.write_table(part, directory / f"{name}.parquet")
    return directory


@pytest.mark.parametrize("first", [{}, {"genus": pa.nulls(2)}], ids=["no column", "nulls"])
@pytest.mark.parametrize("read", [read_splits, scan_splits], ids=["table", "stream"])
def test_a_first_file_without_labels_hides_no_others(tmp_path, first, read):
    write_two(tmp_path, first, {"genus": pa.array(["Culex", "Aedes"])})
    found = read(tmp_path, SPLITS, ("genus",))
    rows = (
        found["genus"].to_pylist()
        if read is read_splits
        else [name for batch in found for name in batch["genus"].to_pylist()]
    )
    assert rows == [None, None, "Culex", "Aedes"]


@pytest.mark.parametrize(
    "kind",
    [pa.dictionary(pa.int8(), pa.string()), pa.large_string(), pa.string_view()],
    ids=["dictionary", "large", "view"],
)
def test_text_of_any_kind_of_column_is_read(tmp_path, kind):
    def of(*values):
        return pa.array(values, pa.string()).cast(kind)

    columns = {
        "processid": of("A", "B"),
        "dna_barcode": of("ACGT", "CCCC"),
        "split": of("train", "test"),
        "genus": of("Aedes", None),
    }
    write_two(tmp_path, columns, {"genus": pa.array(["Culex", "Aedes"])})
    table = read_splits(tmp_path, ["test", "val"])
    assert table["processid"].to_pylist() == ["B", "D"]
    assert table["genus"].to_pylist() == [None, "Aedes"]
    assert set(table.schema.types) == {pa.string()}


def test_blank_labels_and_words_for_nothing_are_unknown(tmp_path):
    words = {"genus": pa.array(["", "nan"])}, {"genus": pa.array([" None ", " Aedes "])}
    found = read_splits(write_two(tmp_path, *words), SPLITS, ("genus",))
    assert found["genus"].to_pylist() == [None, None, None, "Aedes"]


def test_taxa_that_differ_only_in_case_or_blanks_are_warned_of(tmp_path):
    write_two(tmp_path, {"genus": pa.array(["Aedes", "aedes"])}, {})
    with pytest.warns(DataWarning, match="only in case or blanks: genus 'Aedes' and 'aedes'"):
        read_splits(tmp_path, SPLITS, ("genus",))


def test_damage_further_in_is_an_error(directory):
    content = bytearray((directory / "a.parquet").read_bytes())
    content[4:40] = bytes(36)
    (directory / "a.parquet").write_bytes(bytes(content))
    with pytest.raises(DataError, match="is damaged"):
        read_splits(directory, SPLITS)
