"""The table of units is the command's file."""

import io

import pytest

import barcodemae
from barcodemae import cli
from barcodemae.errors import DataError, DataWarning


def test_the_table_of_units_is_the_file_of_the_command(queries, tmp_path):
    output = tmp_path / "units.tsv"
    assert cli.main(["cluster", str(queries), "-m", "kmer:4", "-o", str(output)]) == 0
    with pytest.warns(DataWarning, match="protein"):
        table = barcodemae.cluster(queries, "kmer:4")
    text = io.StringIO()
    table.to_csv(text, sep="\t", index=False, float_format="%.4f")
    assert text.getvalue() == output.read_text()
    assert [part["id"] for part in table.attrs["rejected"]] == ["protein"]


def test_equal_barcodes_are_one_unit():
    table = barcodemae.cluster(
        {"a": "ACGTTGCA" * 20, "b": "ACGTTGCA" * 20, "c": "GGAT" * 40}, "kmer:4"
    )
    assert table["unit"].tolist() == ["U1", "U1", "U2"]
    assert table["size"].tolist() == [2, 2, 1]


def test_where_nothing_is_a_barcode_there_is_no_table_of_nothing():
    with pytest.raises(DataError, match="sequences: no record can be embedded"):
        barcodemae.cluster(["N", ""], "kmer:4")
