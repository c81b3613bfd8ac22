"""Text has one kind of line end and no byte-order mark, whoever wrote the file."""

import gzip
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.errors import DataError
from barcodemae.plain_text import _PlainText, open_text


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["Unix", "Windows", "old Macintosh"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "marked"])
def test_line_ends_and_byte_order_marks_of_any_kind_are_read_alike(tmp_path, end, mark):
    text = b">a\nACGT\n\n>b\nGG"
    (tmp_path / "t").write_bytes(mark + text.replace(b"\n", end))
    with open_text(tmp_path / "t") as stream:
        assert stream.read() == text
    (tmp_path / "t").write_bytes(gzip.compress(mark + text.replace(b"\n", end)))
    with open_text(tmp_path / "t") as stream:
        assert list(stream) == text.splitlines(keepends=True)


class Pieces(io.RawIOBase):
    """A stream that gives so many bytes at a time."""

    name = "t"

    def __init__(self, content, sizes):
        self.content, self.sizes = content, sizes

    def readable(self):
        return True

    def readinto(self, buffer):
        size = min(len(buffer), self.sizes[0])
        self.sizes = self.sizes[1:] + self.sizes[:1]
        piece, self.content = self.content[:size], self.content[size:]
        buffer[: len(piece)] = piece
        return len(piece)


@given(
    st.text(alphabet="a\r\n\ufeff", max_size=30),
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
)
def test_where_the_pieces_of_a_file_end_makes_no_difference(text, sizes):
    content = text.encode()
    expected = re.sub(rb"\r\n|\r", b"\n", content.removeprefix("\ufeff".encode()))
    stream = io.BufferedReader(Pieces(content, sizes), 7)
    assert io.BufferedReader(_PlainText(stream, "t"), 5).read() == expected


@pytest.mark.parametrize("mark", ["\ufeff", ""])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_comes_as_utf_8(tmp_path, encoding, mark):
    text = ">a \u00d7\r\nACGT\r\n" * 50_000
    (tmp_path / "t").write_bytes((mark + text).encode(encoding))
    with open_text(tmp_path / "t") as stream:
        assert stream.read() == text.replace("\r", "").encode()


@pytest.mark.parametrize("cut", [1, 3])
def test_utf_16_that_is_cut_within_a_letter_is_told(tmp_path, cut):
    (tmp_path / "t").write_bytes(">a\n\U0001f98b".encode("utf-16")[:-cut])
    with (
        pytest.raises(DataError, match=r"t: is no sound UTF-16 text .*; save it as UTF-8"),
        open_text(tmp_path / "t") as stream,
    ):
        stream.read()
