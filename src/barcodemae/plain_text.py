"""Open a text file as bytes with one kind of line end, whatever wrote and packs it.

In: what `open_unpacked` takes. Out: a binary stream without byte-order mark in which every line
ends with a line feed, be it that of Unix, Windows or an old Macintosh in the file; lines in another
encoding can be turned into UTF-8. Guarded by
tests/barcodemae/test_plain_text.py.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from barcodemae.errors import DataError
from barcodemae.unpacking import BUFFER_BYTES, open_unpacked


_BOM = b"\xef\xbb\xbf"
_OTHER_ENCODINGS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


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
        DataError: As for `open_unpacked`, or the text is UTF-16.
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


class _PlainText(io.RawIOBase):
    def __init__(
        self, stream: io.BufferedReader, source: Path | str, *, is_table: bool = False
    ) -> None:
        self.name = stream.name
        self._stream = stream
        self._lone_return = None if is_table else b"\n"
        self._held = b""  # a carriage return, until it is known what follows
        self._ready = b""
        while len(self._held) < len(_BOM) and (piece := stream.read1(BUFFER_BYTES)):
            self._held += piece
        encoding = _OTHER_ENCODINGS.get(self._held[:2])
        if encoding is not None:
            raise DataError(source, f"is {encoding} text; save it as UTF-8", 1)
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
