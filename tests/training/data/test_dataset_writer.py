"""The same rows give the same bytes, and Hugging Face `datasets` opens the folder."""

import json

import datasets
import pyarrow as pa
import pytest

from barcodemae.dataset import COLUMNS, dataset_hash, read_splits
from barcodemae.training.data import dataset_writer
from barcodemae.training.data.dataset_writer import (
    SCHEMA,
    PartitionWriter,
    RowList,
    write_description,
)


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch):
    monkeypatch.setattr(dataset_writer, "ROWS_PER_GROUP", 5)


def table_of(numbers):
    rows = [
        dict.fromkeys(COLUMNS)
        | {
            "processid": f"P{n}",
            "dna_barcode": "ACGT" * n,
            "split": ("train", "val_unseen", "test")[n % 3],
        }
        for n in numbers
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def write(directory, num_rows, size):
    directory.mkdir()
    with PartitionWriter(directory) as writer:
        for start in range(0, num_rows, size):
            writer.write(table_of(range(start, min(start + size, num_rows))))
    partitions = {name: {"barcodes": count} for name, count in writer.num_rows.items()}
    write_description(directory, {"partitions": partitions})
    return directory


def test_batches_make_no_difference_to_the_bytes(tmp_path):
    whole = dataset_hash(write(tmp_path / "whole", 40, 40))
    for size in (1, 3, 7, 39):
        assert dataset_hash(write(tmp_path / str(size), 40, size)) == whole


def test_rows_come_back_in_order(tmp_path):
    rows = read_splits(write(tmp_path / "d", 31, 4), ["train"])
    assert rows["processid"].to_pylist() == [f"P{n}" for n in range(0, 31, 3)]


def test_load_dataset_knows_the_partitions(tmp_path):
    directory = write(tmp_path / "d", 31, 4)
    loaded = datasets.load_dataset(str(directory), cache_dir=str(tmp_path / "cache"))
    assert {name: part.num_rows for name, part in loaded.items()} == {
        **{"train": 11, "test": 10, "val_unseen": 10}
    }
    assert loaded["train"].column_names == list(COLUMNS)


def test_load_dataset_parquet_leaves_no_partition_out(tmp_path):
    directory = write(tmp_path / "d", 31, 4)
    loaded = datasets.load_dataset(
        "parquet", data_files=f"{directory}/*.parquet", cache_dir=str(tmp_path / "cache")
    )
    assert {name: part.num_rows for name, part in loaded.items()} == {"train": 31}


def test_a_description_is_json(tmp_path):
    directory = write(tmp_path / "d", 4, 4)
    description = json.loads((directory / "dataset.json").read_text())
    assert description["partitions"]["train"] == {"barcodes": 2}


def test_lists_keep_one_line_for_each_row(tmp_path):
    with RowList(tmp_path / "list.tsv", ("a", "b")) as rows:
        rows.add([("x\ty", "line\nend"), (1, None)])
    assert (tmp_path / "list.tsv").read_text() == "a\tb\nx y\tline end\n1\tNone\n"


def test_a_list_tells_what_is_new_and_takes_it_from_another(tmp_path):
    with RowList(tmp_path / "a.tsv", ("a",)) as rows, RowList(tmp_path / "b.tsv", ("a",)) as copy:
        assert rows.new_text() == b""
        for value in ("first", "\udce4 second"):
            rows.add([(value,)])
            copy.restore(rows.new_text())
        assert rows.new_text() == copy.new_text() == b""
    assert (tmp_path / "a.tsv").read_bytes() == b"a\nfirst\n\xe4 second\n"
    assert (tmp_path / "b.tsv").read_bytes() == (tmp_path / "a.tsv").read_bytes()
