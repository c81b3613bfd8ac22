"""Read big text tables in blocks of whole lines, knowing the number of each line.

In: a file, plain or packed (gz, bz2, xz, or one table in a zip). Out: blocks of bytes that end
at a line end, with the line numbers they cover. What is not UTF-8 text, is cut off or has an
absurd line is an error that names the line. Guarded by
tests/training/data/sources/test_text_blocks.py.
"""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from barcodemae.errors import DataError


BLOCK_BYTES = 1 << 24  # 16 MiB: some 18,000 rows of BIOSCAN-5M
MAX_LINE_BYTES = 1 << 20
MEMBER_MARK = "::"  # archive.zip::table.csv
_DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
_TABLE_ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
_OTHER_ENCODINGS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class TextBlock:
    """Whole lines of a file.

    Attributes:
        text: The lines, each with its line end (the last of a file perhaps without).
        line_ends: Position just after each line, shape (number of lines,).
        first_line: Number of the first line, 1-based.
    """

    text: bytes
    line_ends: NDArray[np.int64]
    first_line: int


def split_member(source: str) -> tuple[Path, str | None]:
    """Separate `archive.zip::member` into its parts."""
    path, mark, member = source.partition(MEMBER_MARK)
    return Path(path), member if mark else None


@dataclass
class TextFile:
    """A text file, read once from start to end.

    Args:
        source: Its path; `archive.zip::member` names one of several tables in a zip.
        on_bytes: Called with the number of (packed) bytes read so far.
    """

    source: str
    on_bytes: Callable[[int], None] | None = None

    def first_line(self) -> str:
        """Read the first line without its line end.

        Raises:
            DataError: As for `blocks`.
        """
        block = next(self.blocks(1 << 16))
        return block.text[: block.line_ends[0]].decode().rstrip("\r\n")

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[TextBlock]:
        """Stream the file.

        Args:
            size: About how many bytes a block has.

        Raises:
            DataError: Missing, a directory, empty, damaged, not UTF-8, or a line beyond
                `MAX_LINE_BYTES`.
        """
        path, member = split_member(self.source)
        next_line = 1
        try:
            with path.open("rb") as raw:
                for text in self._whole_lines(unpacked(raw, path, member), raw, size):
                    block = self._checked(text, next_line)
                    next_line += len(block.line_ends)
                    yield block
        except _LongLine:
            problem = f"longer than {MAX_LINE_BYTES:,} bytes: not a table with one row per line"
            raise DataError(self.source, problem, next_line) from None
        except _DAMAGED as error:
            line = next_line if next_line > 1 else None
            raise DataError(self.source, _say(error), line) from error
        if next_line == 1:
            raise DataError(self.source, "is empty")

    def _whole_lines(self, stream: BinaryIO, raw: BinaryIO, size: int) -> Iterator[bytes]:
        rest, is_start = b"", True
        for chunk in pieces(stream, size):
            if is_start:
                chunk, is_start = chunk.removeprefix(_BOM), False
            head, mark, tail = chunk.rpartition(b"\n")
            if mark:
                yield rest + head + mark
                rest = tail
            else:
                rest += chunk
            if len(rest) > MAX_LINE_BYTES:
                raise _LongLine
            if self.on_bytes is not None:
                self.on_bytes(raw.tell())
        if rest:
            yield rest

    def _checked(self, text: bytes, first_line: int) -> TextBlock:
        ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n")) + 1
        if not text.endswith(b"\n"):
            ends = np.append(ends, len(text))

        def line_at(position: int) -> int:
            return first_line + int(np.searchsorted(ends, position, side="right"))

        if first_line == 1 and (name := _OTHER_ENCODINGS.get(text[:2])):
            raise DataError(self.source, f"is {name} text; save it as UTF-8", 1)
        if b"\0" in text:
            raise DataError(self.source, "holds a zero byte: not text", line_at(text.index(b"\0")))
        if not text.isascii():
            try:
                text.decode()
            except UnicodeDecodeError as error:
                problem = f"byte 0x{text[error.start]:02x} is not UTF-8; save the file as UTF-8"
                raise DataError(self.source, problem, line_at(error.start)) from None
        lengths = np.diff(ends, prepend=0)
        if lengths.max(initial=0) > MAX_LINE_BYTES:
            problem = f"longer than {MAX_LINE_BYTES:,} bytes: not a table with one row per line"
            raise DataError(self.source, problem, first_line + int(lengths.argmax()))
        return TextBlock(text, ends, first_line)


def pieces(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """Read to the end; what can be unpacked before the damage is given before the error."""
    piece = bytearray()
    try:
        while part := stream.read1(size - len(piece)):  # type: ignore[attr-defined]
            piece += part
            if len(piece) == size:
                yield bytes(piece)
                piece.clear()
    except _DAMAGED:
        if piece:
            yield bytes(piece)
        raise
    if piece:
        yield bytes(piece)


class _LongLine(Exception):
    pass


def _say(error: BaseException) -> str:
    if isinstance(error, EOFError):
        return "is cut off: the compressed data end too early"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return f"is damaged: {error}"


def unpacked(raw: BinaryIO, path: Path, member: str | None = None) -> BinaryIO:
    """Wrap an open file so that reading gives its contents, whatever packs it."""
    magic = raw.read(6)
    raw.seek(0)
    if magic.startswith(b"PK\x03\x04"):
        return _zip_member(raw, path, member)
    if magic.startswith(b"\x1f\x8b") or path.suffix == ".gz":
        return io.BufferedReader(gzip.GzipFile(fileobj=raw))
    if magic.startswith(b"BZh"):
        return io.BufferedReader(bz2.BZ2File(raw))
    if magic.startswith(b"\xfd7zXZ\0"):
        return io.BufferedReader(lzma.LZMAFile(raw))
    return raw


def table_name(source: str) -> str:
    """Name the table that a source is: itself, or the one inside a zip.

    Raises:
        DataError: See `TextFile.blocks`.
    """
    path, member = split_member(source)
    try:
        return _member_name(zipfile.ZipFile(path), path, member)
    except (OSError, zipfile.BadZipFile):
        return source  # no zip; whatever is wrong with it shows when it is read


def _member_name(archive: zipfile.ZipFile, path: Path, member: str | None) -> str:
    names = [name for name in archive.namelist() if name.lower().endswith(_TABLE_ENDINGS)]
    if member is None and len(names) == 1:
        return names[0]
    if member is None or member not in archive.namelist():
        held = ", ".join(names) or "none"
        raise DataError(path, f"name one table as {path.name}{MEMBER_MARK}TABLE; it holds {held}")
    return member


def _zip_member(raw: BinaryIO, path: Path, member: str | None) -> BinaryIO:
    archive = zipfile.ZipFile(raw)
    name = _member_name(archive, path, member)
    stream: BinaryIO = archive.open(name)  # type: ignore[assignment]
    return _inner(stream, name)


def _inner(stream: BinaryIO, member: str) -> BinaryIO:
    return gzip.GzipFile(fileobj=stream) if member.endswith(".gz") else stream  # type: ignore[return-value]
