"""Open a text file as bytes with one kind of line end, whatever wrote and packs it.

In: what `open_unpacked` takes. Out: a binary stream without byte-order mark in which every line
ends with a line feed, be it that of Unix, Windows or an old Macintosh in the file. UTF-16, which
Excel calls "Unicode text", comes as UTF-8; lines in another encoding can be turned into it. Guarded
by tests/barcodemae/test_plain_text.py.
"""

import codecs
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from barcodemae.errors import DataError, first_line
from barcodemae.unpacking import BUFFER_BYTES, open_unpacked, shown_name


_BOM = b"\xef\xbb\xbf"
_WIDE_MARKS = {b"\xff\xfe\0\0": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_HEAD_BYTES = max(map(len, _WIDE_MARKS))


@contextmanager
def open_text(
    source: Path | str,
    on_bytes: Callable[[int], None] | None = None,
    *,
    is_table: bool = False,
) -> Iterator[io.BufferedReader]:
    """Open a text file.

    Args:
        source: As for `open_unpacked`.
        on_bytes: As for `open_unpacked`.
        is_table: Whether a lone carriage return is a space, if the first line does not end in one:
            in tables it stands inside a cell.

    Yields:
        Its bytes, not yet decoded; reading raises as for `open_unpacked`.

    Raises:
        DataError: As for `open_unpacked`.
    """
    with open_unpacked(source, on_bytes) as stream:
        yield io.BufferedReader(_PlainText(stream, source, is_table=is_table), BUFFER_BYTES)


def as_utf8(text: bytes) -> bytes:
    """Return text whose lines are UTF-8 or, where they are not, Windows-1252, all as UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return b"".join(map(_line_as_utf8, text.splitlines(keepends=True)))
    return text


def _line_as_utf8(line: bytes) -> bytes:
    for encoding in ("utf-8", "cp1252", "latin-1"):
        try:
            return line.decode(encoding).encode()
        except UnicodeDecodeError:
            continue
    raise AssertionError("latin-1 has a letter for every byte")


def legible(text: str) -> str:
    """Return text that was decoded with surrogate escapes as Windows-1252 where it is not UTF-8."""
    if text.isascii():
        return text
    return as_utf8(text.encode("utf-8", "surrogateescape")).decode()


def _wide_encoding(head: bytes) -> str:
    """Tell by the first bytes how a text is encoded whose letters take two bytes or more."""
    marked = next((name for mark, name in _WIDE_MARKS.items() if head.startswith(mark)), "")
    if marked or len(head) < 2 or bool(head[0]) == bool(head[1]):
        return marked
    # Without a mark, of plain letters every second byte is zero; other bytes are no text at all.
    if any(head[1 if head[0] else 0 : _HEAD_BYTES : 2]):
        return ""
    return "utf-16-le" if head[0] else "utf-16-be"


class _Recoded(io.RawIOBase):
    """Text of another encoding as UTF-8.

    Args:
        stream: The text.
        encoding: Its encoding.
        head: What was read of it already.
        source: Where it comes from, for messages.
    """

    def __init__(
        self, stream: io.BufferedReader, encoding: str, head: bytes, source: Path | str
    ) -> None:
        self._stream, self._encoding, self._source = stream, encoding, source
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._ready = self._decoded(head)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            piece = self._stream.read1(BUFFER_BYTES)
            self._ready = self._decoded(piece)
            if not piece:
                break
        size = min(len(buffer), len(self._ready))
        buffer[:size], self._ready = self._ready[:size], self._ready[size:]
        return size

    def _decoded(self, piece: bytes) -> bytes:
        try:
            return self._decoder.decode(piece, final=not piece).encode()
        except UnicodeError as error:
            kind = self._encoding.upper()
            problem = f"is no sound {kind} text ({first_line(error)}); save it as UTF-8"
            raise DataError(shown_name(self._source), problem) from error


class _PlainText(io.RawIOBase):
    def __init__(
        self, stream: io.BufferedReader, source: Path | str, *, is_table: bool = False
    ) -> None:
        self.name = stream.name
        self._stream = stream
        self._lone_return = None if is_table else b"\n"
        self._held = b""  # a carriage return, until it is known what follows
        self._ready = b""
        while len(self._held) < _HEAD_BYTES and (piece := stream.read1(BUFFER_BYTES)):
            self._held += piece
        if encoding := _wide_encoding(self._held):
            recoded = _Recoded(stream, encoding, self._held, source)
            self._stream, self._held = io.BufferedReader(recoded, BUFFER_BYTES), b""
        self._held = self._held.removeprefix(_BOM)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            if len(self._held) > 1:  # what the start held
                piece, self._held = self._held, b""
            else:
                piece = self._stream.read1(len(buffer))
            if not piece and not self._held:
                return 0
            self._ready = self._with_line_feeds(piece)
        size = min(len(buffer), len(self._ready))
        buffer[:size], self._ready = self._ready[:size], self._ready[size:]
        return size

    def _with_line_feeds(self, piece: bytes) -> bytes:
        if not piece:  # the file ends in a carriage return, or a single byte
            text, self._held = self._held, b""
            return text.replace(b"\r", b"\n")
        text, self._held = self._held + piece, b""
        if text.endswith(b"\r"):
            text, self._held = text[:-1], b"\r"
        if b"\r" not in text:
            if self._lone_return is None and b"\n" in text:
                self._lone_return = b" "
            return text
        if self._lone_return is None:
            first = text.replace(b"\r\n", b"\n")
            feed, lone = first.find(b"\n"), first.find(b"\r")
            self._lone_return = b"\n" if feed < 0 or 0 <= lone < feed else b" "
        return text.replace(b"\r\n", b"\n").replace(b"\r", self._lone_return)
