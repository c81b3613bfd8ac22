"""Open a text file as bytes with one kind of line end, whatever wrote and packs it.

In: what `open_unpacked` takes. Out: a binary stream without byte-order mark in which every line
ends with a line feed, be it that of Unix, Windows or an old Macintosh in the file. Guarded by
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
    source: Path | str, on_bytes: Callable[[int], None] | None = None
) -> Iterator[io.BufferedReader]:
    """Open a text file.

    Args:
        source: As for `open_unpacked`.
        on_bytes: As for `open_unpacked`.

    Yields:
        Its bytes, not yet decoded; reading raises as for `open_unpacked`.

    Raises:
        DataError: As for `open_unpacked`, or the text is UTF-16.
    """
    with open_unpacked(source, on_bytes) as stream:
        yield io.BufferedReader(_PlainText(stream, source), BUFFER_BYTES)


class _PlainText(io.RawIOBase):
    def __init__(self, stream: io.BufferedReader, source: Path | str) -> None:
        self.name = stream.name
        self._stream = stream
        self._is_return_last = False
        self._start = b""
        while len(self._start) < len(_BOM) and (piece := stream.read1(BUFFER_BYTES)):
            self._start += piece
        encoding = _OTHER_ENCODINGS.get(self._start[:2])
        if encoding is not None:
            raise DataError(source, f"is {encoding} text; save it as UTF-8", 1)
        self._start = self._start.removeprefix(_BOM)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while piece := self._piece(len(buffer)):
            is_feed_told = self._is_return_last and piece.startswith(b"\n")
            self._is_return_last = piece.endswith(b"\r")
            if is_feed_told:
                piece = piece[1:]
            if b"\r" in piece:
                piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            if piece:
                buffer[: len(piece)] = piece
                return len(piece)
        return 0

    def _piece(self, size: int) -> bytes:
        if self._start:
            piece, self._start = self._start[:size], self._start[size:]
            return piece
        return self._stream.read1(size)
