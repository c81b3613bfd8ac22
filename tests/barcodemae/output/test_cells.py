import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.output.cells import escape, json_line, row_of


# Everything that str.splitlines ends a line at, the cells' tab, and what else controls a terminal.
BREAKS = "\t\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029\x00\x1b\x7f\x9b"


@pytest.mark.parametrize("letter", BREAKS)
def test_a_control_character_ends_neither_a_line_nor_a_cell(letter):
    row = row_of([f"a{letter}b", "c"])
    assert len(row.splitlines()) == 1
    assert row.count("\t") == 1
    assert letter not in row[:-3]


def test_control_characters_are_written_by_name_or_code():
    assert escape("a\tb\nc\rd\x0be\x85f\u2028") == r"a\tb\nc\rd\x0be\x85f\u2028"


@pytest.mark.parametrize(
    "text", ["", r"a\tb", "Müller's 'x' \"y\", z", "AB12;size=3|x", "\udcff", "=1+1", " a  b "]
)
def test_all_else_stays_verbatim(text):
    assert escape(text) == text


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_rows_in_are_rows_out(cells):
    row = row_of(cells)
    assert row.splitlines() == [row[:-1]]
    assert row[:-1].split("\t") == [escape(cell) for cell in cells]
    reader = csv.reader(io.StringIO(row, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    assert len(list(reader)) == 1


@given(st.text())
def test_an_object_is_one_line_and_holds_the_text_verbatim(text):
    line = json_line({"id": text})
    assert line.splitlines() == [line[:-1]]
    assert json.loads(line) == {"id": text}
