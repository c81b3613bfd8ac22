"""A table has the columns of the file, typed, and loses no cell."""

import pytest

from barcodemae.calls.tables import note_rejected, table_of
from barcodemae.errors import DataWarning
from barcodemae.eval.identify.formats import TSV_COLUMNS
from barcodemae.output.cells import row_of


def test_cells_are_text_shares_or_counts_by_the_name_of_their_column():
    header = ("id", "genus", "genus_probability", "length")
    table = table_of(header, ["NA\tNone\t0.5000\t7\n", "007\t\t\t0\n"])
    assert table["id"].tolist() == ["NA", "007"]
    assert table["genus"].tolist() == ["None", ""]
    assert table["genus_probability"].dtype == "float64"
    assert table["genus_probability"].isna().tolist() == [False, True]
    assert table["length"].tolist() == [7, 0]


def test_a_table_without_rows_has_all_columns():
    assert list(table_of(TSV_COLUMNS, []).columns) == list(TSV_COLUMNS)


def test_bytes_that_are_no_text_stay_what_they_are():
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert table_of(("id",), [row_of([name])])["id"].tolist() == [name]


def test_rejected_records_are_kept_and_told():
    table = table_of(("id",), [])
    rejected = [{"record": 3, "id": "x", "reason": "empty"}]
    with pytest.warns(DataWarning, match=r"1 record\(s\) not named: record 3 \(x\): empty; all"):
        note_rejected(table, rejected, "named")
    assert table.attrs["rejected"] == rejected
