"""Quotation marks join what belongs together, and no line is ever lost to one."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.training.data.sources import quoting
from barcodemae.training.data.sources.quoting import RowFinder
from barcodemae.training.data.sources.text_blocks import TextBlock


def blocks_of(text, size):
    """Cut text into blocks of about so many bytes that end at line ends."""
    first_line, lines = 1, []
    for line in text.encode().splitlines(keepends=True):
        lines.append(line)
        if sum(map(len, lines)) >= size:
            yield TextBlock(b"".join(lines), first_line)
            first_line, lines = first_line + len(lines), []
    if lines:
        yield TextBlock(b"".join(lines), first_line)


def find(text, separator=",", width=3, size=1 << 20, **options):
    finder = RowFinder(separator.encode(), width, **options)
    found = list(finder.rows(blocks_of(text, size)))
    kept = b"".join(rows.text for rows in found).decode()
    lines = np.concatenate([rows.lines for rows in found]).tolist()
    return kept, lines, [line for rows in found for line in rows.open_lines]


def fields(text, separator=","):
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return [row for row in rows if row]


def test_a_row_may_reach_over_lines_in_quotation_marks():
    text = 'a,"x\n\ny",c\nd,e,"f\n"\ng,h,i\n'
    assert find(text) == (text, [1, 4, 6], [])


@pytest.mark.parametrize("size", [1, 4, 9, 30, 1000])
def test_a_row_may_reach_over_blocks(size):
    text = 'a,b,c\nd,"e\nf\ng\nh",i\nj,k,l\n'
    assert find(text, size=size) == (text, [1, 2, 6], [])


def test_blank_lines_are_no_rows():
    text = '\na,b,c\n\n\nd,"e",f\n'
    assert find(text) == (text, [2, 5], [])


@pytest.mark.parametrize(
    "bad",
    [
        'a,"b,c\n',  # never closed
        'a,b"b,c\n',  # a mark inside a field
        'a,"b"",c\n',  # doubled by mistake
        'a,5" b,"c\n',  # two marks, of which the parser takes the second for the beginning
    ],
)
def test_an_open_mark_in_a_csv_costs_its_own_line_only(bad):
    text = 'd,e,f\ng,"h",i\n'
    assert find(text + bad + text) == (text + text, [1, 2, 4, 5], [3])


def test_a_mark_that_the_parser_would_close_with_the_next_field_loses_no_row():
    # pyarrow, like csv, reads three rows of these five, with two others inside a field.
    text = 'a,"open,c\nd,e,f\ng,"h",i\nj,k,l\nm,n,o\n'
    assert fields(text)[0] == ["a", 'open,c\nd,e,f\ng,h"', "i"]
    kept, lines, open_lines = find(text)
    assert fields(kept) == [["d", "e", "f"], ["g", "h", "i"], ["j", "k", "l"], ["m", "n", "o"]]
    assert (lines, open_lines) == ([2, 3, 4, 5], [1])


def test_an_open_mark_is_given_up_after_the_longest_row(monkeypatch):
    monkeypatch.setattr(quoting, "MAX_LINE_BYTES", 100)
    text = "a,b,c\n" * 60
    kept, lines, open_lines = find('d,"e,f\n' + text + 'g",h\n', size=30)
    assert (kept, lines, open_lines) == (text, list(range(2, 62)), [1, 62])


def test_letters_around_marks_in_a_csv_are_read_as_by_the_parser():
    text = 'a,b "c" d,e\n"f" g,h,i\n'
    assert find(text) == (text, [1, 2], [])


def test_a_row_of_another_width_is_left_to_the_parser():
    text = 'a,"b"\nc,"d",e,f\n'
    assert find(text) == (text, [1, 2], [])


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ('5\' end\tSmith "Jr\t3" long\n', ["5' end", 'Smith "Jr', '3" long']),
        ('"open\tb\tc\n', ['"open', "b", "c"]),
        ('a\t"Salween" and so on\tc\n', ["a", '"Salween" and so on', "c"]),
        ('a\t"b\tc"\n', ["a", '"b', 'c"']),
        ('"a ""b"" c"\t"d, e"\t""\n', ['a "b" c', "d, e", ""]),
        ('"a\tb"\tc\td\n', ["a\tb", "c", "d"]),
        ('a\t"b\nc"\td\n', ["a", "b\nc", "d"]),
        ('"\t"\t"\n', ['"', '"', '"']),
    ],
)
def test_in_tab_separated_text_marks_count_where_they_enclose_a_field(line, row):
    kept, _, open_lines = find(line + "x\ty\tz\n", "\t")
    assert fields(kept, "\t") == [row, ["x", "y", "z"]]
    assert open_lines == []


def test_marks_that_r_did_not_double_are_letters_of_the_field():
    kept, *_ = find('"a"\t""Salween" and so on"\t"c"\n', "\t", is_header_quoted=True)
    assert fields(kept, "\t") == [["a", '"Salween" and so on', "c"]]


CELLS = st.text(alphabet='a",\t\n ', max_size=6)
TABLES = st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=8)


@given(TABLES, st.sampled_from([",", "\t"]), st.integers(1, 60))
def test_every_row_that_was_written_is_found_at_its_line(table, separator, size):
    text, starts = "", []
    for row in table:
        stream = io.StringIO()
        csv.writer(stream, delimiter=separator, lineterminator="\n").writerow(row)
        starts.append(text.count("\n") + 1)
        text += stream.getvalue()
    kept, lines, open_lines = find(text, separator, size=size)
    assert fields(kept, separator) == table
    assert (lines, open_lines) == (starts, [])


@given(st.text(alphabet='a",\t\n', max_size=60), st.sampled_from([",", "\t"]), st.integers(1, 60))
def test_no_line_of_any_text_is_lost(text, separator, size):
    text += "\n"
    kept, lines, open_lines = find(text, separator, size=size)
    assert sorted({*lines, *open_lines}) == sorted([*lines, *open_lines])
    # A line that begins no row and is no open one stands inside a row, between quotation marks.
    rows = fields(kept, separator)
    assert len(rows) == len(lines)
    inside = sum(cell.count("\n") for row in rows for cell in row)
    blank = len([line for line in text.split("\n")[:-1] if not line])
    assert len(lines) + len(open_lines) + inside <= text.count("\n")
    assert len(lines) + len(open_lines) + inside + blank >= text.count("\n")


@given(st.text(alphabet='a",\n', max_size=60), st.integers(1, 60))
def test_where_blocks_end_makes_no_difference(text, size):
    assert find(text + "\n", size=size) == find(text + "\n")
