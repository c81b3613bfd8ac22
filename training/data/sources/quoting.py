"""Tell which lines of a table are rows: quotation marks join lines, but a lone one must not.

A parser that trusts every quotation mark lets one that was never closed swallow the rows after it,
without a word if a later mark happens to fit. So a mark counts only where it encloses a field: it
stands at the beginning of it, its partner just before the next separator or line end, and the row
has as many fields as the header. In: blocks of whole lines. Out: text in which marks mean what the
parser takes them for, the line of each row, and the lines that are no rows. Guarded by
tests/training/data/sources/test_quoting.py.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from barcodemae.training.data.sources.text_blocks import MAX_LINE_BYTES, TextBlock


# Repeated groups that must not be gone back into are atomic, `(?>(?:...)*)`. The shorter
# `(?:...)*+` matches wrongly in early releases of Python 3.11 (seen in 3.11.2, not in 3.11.7).


class RowText(NamedTuple):
    """Rows of a table as text.

    Attributes:
        text: The rows, and blank lines, which stand for nothing.
        lines: Number of the line in which each row begins, shape (rows,).
        open_lines: Numbers of the lines left out, as a quotation mark in them has no partner.
    """

    text: bytes
    lines: NDArray[np.int64]
    open_lines: list[int]


class RowFinder:
    """Finds the rows of a table.

    In a CSV, quotation marks enclose fields. In tab-separated text, which is often written without
    any quoting, they do so where they stand around a whole field, and are letters everywhere else.

    Args:
        separator: What separates fields, one byte.
        width: Number of fields in a row.
        is_header_quoted: Whether the names of the columns are in quotation marks. Then so is every
            text in the table, and R may have left the marks inside it as they were.
    """

    def __init__(self, separator: bytes, width: int, *, is_header_quoted: bool = False) -> None:
        self._separator = separator
        self._is_header_quoted = is_header_quoted
        self._are_marks_letters = separator == b"\t"
        bare = _bare(b"" if self._are_marks_letters else b'"', separator)
        field = _enclosed(b"") + b"|" + bare
        field_of_line = _enclosed(b"\n") + b"|" + bare
        # What the parser takes for a field: letters may follow after the second mark.
        loose_field = _enclosed(b"\n") + b"[^%b\n]*+|" % separator + _bare(b"", separator)
        self._whole_lines = re.compile(
            b'(?>(?:[^"\n]*+\n|%b)*)' % _row(field_of_line, separator, width - 1)
        )
        self._row = re.compile(_row(field, separator, width - 1))
        self._unfinished_row = re.compile(
            rb'(?>(?:(?>(?:%b)?)%b)*)"[^"]*+(?>(?:""[^"]*+)*)\Z' % (field, separator)
        )
        self._loose_line = re.compile(_row(loose_field, separator, None))

    def rows(self, blocks: Iterable[TextBlock]) -> Iterator[RowText]:
        """Find the rows in blocks that follow each other; rows may reach from one to the next."""
        waiting = None
        for block in blocks:
            if waiting is not None:
                block = TextBlock(waiting.text + block.text, waiting.first_line)
            found, waiting = self._split(block, is_last=False)
            yield found
        if waiting is not None:
            yield self._split(waiting, is_last=True)[0]

    def _split(self, block: TextBlock, *, is_last: bool) -> tuple[RowText, TextBlock | None]:
        """Find the rows of a block, and the lines that must wait for the next one."""
        text, ends = block.text, block.line_ends
        is_row = ends - block.line_starts > 1  # the others are blank
        open_lines: list[int] = []
        parts: list[bytes] = []
        waiting = None
        done = position = 0  # bytes that stand in `parts`, bytes that are judged
        while (position := self._end_of_whole_lines(text, position)) < len(text):
            at = int(np.searchsorted(ends, position, side="right"))
            if row := self._row.match(text, position, position + MAX_LINE_BYTES):
                position = row.end()
                is_row[at + 1 : np.searchsorted(ends, position, side="right")] = False
                continue
            if not is_last and self._is_unfinished(text, position):
                waiting = block.since(block.first_line + at)
                text, is_row = text[:position], is_row[:at]
                break
            line = self._mended(text[position : ends[at]])
            if not line:
                open_lines.append(block.first_line + at)
                is_row[at] = False
            parts += text[done:position], line
            done = position = int(ends[at])
        if done:
            text = b"".join([*parts, text[done:]])
        return RowText(text, block.first_line + np.flatnonzero(is_row), open_lines), waiting

    def _end_of_whole_lines(self, text: bytes, start: int) -> int:
        """Pass over lines that are rows, or have no quotation mark."""
        if text.find(b'"', start) < 0:
            return len(text)
        found = self._whole_lines.match(text, start)
        assert found is not None  # as it matches nothing at all too
        return found.end()

    def _is_unfinished(self, text: bytes, start: int) -> bool:
        """Tell whether the text from here on could be the beginning of a row."""
        is_short = len(text) - start < MAX_LINE_BYTES
        return is_short and self._unfinished_row.match(text, start) is not None

    def _mended(self, line: bytes) -> bytes:
        """Make of a line with stray quotation marks what the parser reads, or nothing."""
        if self._are_marks_letters:
            fields = line.removesuffix(b"\n").split(self._separator)
            return self._separator.join(map(self._enclosed_if_needed, fields)) + b"\n"
        # In a CSV a mark inside a field tells of damage, unless there is another on the line.
        is_harmless = line.count(b'"') % 2 == 0 and self._loose_line.fullmatch(line)
        return line if is_harmless else b""

    def _enclosed_if_needed(self, field: bytes) -> bytes:
        if b'"' not in field or _ENCLOSED_FIELD.fullmatch(field):
            return field
        if self._is_header_quoted and len(field) > 1 and field[:1] == field[-1:] == b'"':
            field = field[1:-1]
        return b'"' + field.replace(b'"', b'""') + b'"'


def _enclosed(excluded: bytes) -> bytes:
    """Pattern of a field in quotation marks, in which marks that belong to it are doubled."""
    return b'"[^"%b]*+(?>(?:""[^"%b]*+)*)"' % (excluded, excluded)


def _bare(excluded: bytes, separator: bytes) -> bytes:
    """Pattern of a field without quotation marks around it."""
    return b'[^"%b\n][^%b%b\n]*+' % (separator, excluded, separator)


def _row(field: bytes, separator: bytes, num_more: int | None) -> bytes:
    """Pattern of a line with so many fields after the first, or any number."""
    times = b"*" if num_more is None else b"{%d}" % num_more
    return b"(?>(?:%b)?)(?>(?:%b(?>(?:%b)?))%b)\n" % (field, separator, field, times)


_ENCLOSED_FIELD = re.compile(_enclosed(b""))
