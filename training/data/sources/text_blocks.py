"""Read big text tables in blocks of whole lines, knowing the number of each line.

In: a file, packed or not. Out: blocks of bytes that end at a line end, with the line numbers they
cover. Lines that are not UTF-8 are read as Windows-1252, as Excel writes them. What is cut off or
has an absurd line is an error that names the line.
Guarded by tests/training/data/sources/test_text_blocks.py.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from io import BufferedReader

import numpy as np
from numpy.typing import NDArray

from barcodemae.errors import DataError
from barcodemae.plain_text import as_utf8, open_text


BLOCK_BYTES = 1 << 22  # some 5,000 rows of BIOSCAN-5M
MAX_LINE_BYTES = 1 << 20
_LONG_LINE = f"longer than {MAX_LINE_BYTES:,} bytes: not a table with one row per line"


@dataclass(frozen=True)
class TextBlock:
    """Whole lines of a file.

    Attributes:
        text: The lines, each with a line feed at its end.
        first_line: Number of the first line, 1-based.
    """

    text: bytes
    first_line: int

    @cached_property
    def line_ends(self) -> NDArray[np.int64]:
        """Position just after each line, shape (number of lines,)."""
        return np.flatnonzero(np.frombuffer(self.text, dtype=np.uint8) == ord("\n")) + 1

    @cached_property
    def line_starts(self) -> NDArray[np.int64]:
        """Position at which each line begins, shape (number of lines,)."""
        return np.concatenate([[0], self.line_ends[:-1]])[: len(self.line_ends)]

    def line_at(self, position: int) -> int:
        """Number of the line in which a byte stands."""
        return self.first_line + int(np.searchsorted(self.line_ends, position, side="right"))

    def since(self, line: int) -> "TextBlock":
        """The lines from a number on."""
        if line <= self.first_line:
            return self
        num_skipped = min(line - self.first_line, len(self.line_ends))
        start = int(self.line_ends[num_skipped - 1])
        return TextBlock(self.text[start:], self.first_line + num_skipped)


@dataclass
class TextFile:
    """A text file, read from start to end.

    Args:
        source: Its path; `archive.zip::member` names one of several files of an archive.
        on_bytes: Called with the number of (packed) bytes read so far.

    Attributes:
        name: What the text is called, in an archive by its name there; set when reading begins.
    """

    source: str
    on_bytes: Callable[[int], None] | None = None
    name: str = field(init=False, default="")

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[TextBlock]:
        """Stream the file.

        Args:
            size: About how many bytes a block has.

        Raises:
            DataError: Missing, a directory, empty, damaged, not text, or a line beyond
                `MAX_LINE_BYTES`.
        """
        next_line = 1
        try:
            for text in self._whole_lines(size):
                block = TextBlock(text if text.isascii() else as_utf8(text), next_line)
                self._check(block)
                next_line += len(block.line_ends)
                yield block
        except _LongLine:
            raise DataError(self.source, _LONG_LINE, next_line) from None
        except DataError as error:
            if error.line is not None or next_line == 1:
                raise
            raise DataError(self.source, error.problem, next_line) from error
        if next_line == 1:
            raise DataError(self.source, "is empty")

    def _whole_lines(self, size: int) -> Iterator[bytes]:
        rest = b""
        with open_text(self.source, self.on_bytes, is_table=True) as stream:
            self.name = str(stream.name)
            for chunk in _chunks(stream, size):
                end = chunk.rfind(b"\n") + 1
                if end:
                    yield b"".join((rest, memoryview(chunk)[:end]))
                    rest = chunk[end:]
                else:
                    rest += chunk
                if len(rest) > MAX_LINE_BYTES:
                    raise _LongLine
        if rest:
            yield rest + b"\n"

    def _check(self, block: TextBlock) -> None:
        text = block.text
        if b"\0" in text:
            line = block.line_at(text.index(b"\0"))
            raise DataError(self.source, "holds a zero byte: not text", line)
        lengths = block.line_ends - block.line_starts
        if lengths.max() > MAX_LINE_BYTES:
            raise DataError(self.source, _LONG_LINE, block.first_line + int(lengths.argmax()))


class _LongLine(Exception):
    pass


def _chunks(stream: BufferedReader, size: int) -> Iterator[bytes]:
    """Read to the end; what stands before a failure is given before it."""
    pieces: list[bytes] = []
    missing = size
    try:
        while piece := stream.read1(missing):
            pieces.append(piece)
            missing -= len(piece)
            if missing == 0:
                yield b"".join(pieces)
                pieces, missing = [], size
    except DataError:
        if pieces:
            yield b"".join(pieces)
        raise
    if pieces:
        yield b"".join(pieces)
