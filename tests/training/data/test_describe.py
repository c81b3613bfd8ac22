"""The counts of `describe` are those of the data set."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from barcodemae.errors import DataError
from barcodemae.training.data.describe import (
    choose_ranks,
    describe_dataset,
    length_quantiles,
    text_report,
)


ROWS = [
    ("A", "train", "ACGT", "Diptera", "Culicidae", "Aedes", "Aedes aegypti"),
    ("B", "train", "ACGTNN" + "R", "Diptera", "Culicidae", "Aedes", "Aedes aegypti"),
    ("C", "test", "ACGTAC", "Diptera", None, None, None),
    ("D", "test", "ACGTACGT", None, None, None, None),
    ("E", "extra", "N" * 60, "Odonata", "Aeshnidae", "Aeshna", None),
]
NAMES = ("processid", "split", "dna_barcode", "order", "family", "genus", "species")


@pytest.fixture
def directory(tmp_path):
    columns = dict(zip(NAMES, zip(*ROWS, strict=True), strict=True))
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    return tmp_path


def test_partitions_and_ranks_are_counted(directory):
    found = describe_dataset(directory)
    assert found["num_barcodes"] == 5
    assert list(found["partitions"]) == ["train", "test", "extra"]
    train = found["partitions"]["train"]
    assert train["barcodes"] == 2
    assert train["labels"]["genus"] == {"labelled": 2, "distinct": 1}
    assert found["labels"]["genus"] == {"labelled": 3, "distinct": 2}
    assert found["labels"]["dna_bin"] == {"labelled": 0, "distinct": 0}


def test_lengths_and_unknown_letters_are_counted(directory):
    found = describe_dataset(directory)
    assert found["lengths"] == {4: 1, 6: 1, 7: 1, 8: 1, 60: 1}
    assert found["unknown_letters"] == {
        **{"0": 3, "1": 0, "2-5": 1, "6-10": 0, "11-50": 0, "> 50": 1}
    }


def test_orders_are_nested_largest_first(directory):
    assert describe_dataset(directory)["orders"] == {
        "Diptera": {"Culicidae": 2, "unnamed": 1},
        "Odonata": {"Aeshnidae": 1},
        "unnamed": {"unnamed": 1},
    }


def test_without_orders_the_treemap_shows_the_deepest_ranks_that_are_known(directory):
    table = pq.read_table(directory / "t.parquet").drop(["order", "family"])
    pq.write_table(table, directory / "t.parquet")
    assert describe_dataset(directory)["treemap"] == {
        "ranks": ["genus", "species"],
        "counts": {
            "Aedes": {"Aedes aegypti": 2},
            "unnamed": {"unnamed": 2},
            "Aeshna": {"unnamed": 1},
        },
    }


def test_with_orders_the_treemap_shows_them(directory):
    found = describe_dataset(directory)
    assert found["treemap"] == {"ranks": ["order", "family"], "counts": found["orders"]}


def test_one_known_rank_is_drawn_alone():
    assert choose_ranks({"species": 4}) == ("species", "species")
    assert choose_ranks({}) == ("order", "family")


def test_quantiles_are_those_of_the_sorted_lengths():
    assert length_quantiles({400: 1, 600: 2, 658: 1}) == {
        **{"shortest": 400, "lower quartile": 600, "median": 600},
        **{"upper quartile": 658, "longest": 658},
    }


def test_the_text_holds_the_main_numbers(directory):
    text = text_report(describe_dataset(directory), top=1)
    assert "5 barcodes in" in text
    assert "and 1 more orders" in text
    assert "length (bp): shortest 4" in text
    (line,) = [line for line in text.splitlines() if line.startswith("Diptera")]
    assert line.split() == ["Diptera", "3", "60.0%", "Culicidae"]


def test_an_empty_data_set_is_an_error(directory):
    table = pq.read_table(directory / "t.parquet").slice(0, 0)
    pq.write_table(table, directory / "t.parquet")
    with pytest.raises(DataError, match="holds no rows"):
        describe_dataset(directory)


def test_rows_without_a_partition_are_told(directory):
    table = pq.read_table(directory / "t.parquet")
    nothing = pa.nulls(table.num_rows, pa.string())
    table = table.set_column(table.schema.get_field_index("split"), "split", nothing)
    pq.write_table(table, directory / "t.parquet")
    assert "no partition             5" in text_report(describe_dataset(directory))
