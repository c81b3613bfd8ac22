"""Parquet files are read whatever their columns are called, and damage is one error."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from barcodemae.errors import DataError
from barcodemae.training.data.sources import parquet_files
from barcodemae.training.data.sources.parquet_files import ParquetSource


def write_parquet(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_is_read_under_any_of_the_names(tmp_path):
    path = write_parquet(
        tmp_path / "data", bin_uri=["BOLD:X", "None"], nucleotides=["AC", "GT"], genus=["G ", "NA"]
    )
    source = ParquetSource(str(path))
    (batch,) = source.batches()
    rows = batch.table.to_pylist()
    assert [row["dna_barcode"] for row in rows] == ["AC", "GT"]
    assert [row["dna_bin"] for row in rows] == ["BOLD:X", None]
    assert [row["genus"] for row in rows] == ["G", None]
    assert [row["processid"] for row in rows] == ["data:1", "data:2"]
    assert batch.places.tolist() == [1, 2]


def test_parquet_cut_at_any_byte_is_an_error(tmp_path):
    whole = write_parquet(tmp_path / "w", processid=["A"], dna_barcode=["ACGT"]).read_bytes()
    for size in range(4, len(whole)):
        (tmp_path / "t").write_bytes(whole[:size])
        with pytest.raises(DataError, match="is damaged"):
            list(ParquetSource(str(tmp_path / "t")).batches())


def test_an_empty_parquet_is_an_error(tmp_path):
    empty = pa.array([], pa.string())
    path = write_parquet(tmp_path / "t", processid=empty, dna_barcode=empty)
    with pytest.raises(DataError, match="holds no rows"):
        list(ParquetSource(str(path)).batches())


def test_batches_that_are_passed_over_change_no_row_behind_them(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_files, "ROWS_PER_BATCH", 3)
    path = write_parquet(tmp_path / "t", dna_barcode=["ACGT", "CC", "GG", "TT", "AA", "AC", "AG"])
    batches = list(ParquetSource(str(path)).batches())
    assert [len(batch.places) for batch in batches] == [3, 3, 1]
    for skip in range(4):
        rest = list(ParquetSource(str(path)).batches(skip))
        for batch, expected in zip(rest, batches[skip:], strict=True):
            assert batch.table.equals(expected.table)
            assert batch.places.tolist() == expected.places.tolist()
