"""Open a file as a stream of its contents, whatever it is packed with.

In: a path, `archive.zip::member`, or `-` for standard input. Out: a binary stream. What packs the
contents is told by the first bytes, never by the name: gzip (of any number of members), bzip2, xz,
Zstandard, and zip or tar archives with one file of sequences or one table in them. Reading holds
one buffer, however much the file unpacks to. Whatever goes wrong is a `DataError` that names the
file, and it comes only after everything that could be unpacked. Guarded by
tests/barcodemae/test_unpacking.py.
"""

import bz2
import gzip
import importlib
import io
import lzma
import shutil
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Any

from barcodemae.errors import DataError, first_line


# On machines where nothing can be installed, everything but zstd files still opens.
zstd: Any = None
with suppress(ModuleNotFoundError):
    zstd = importlib.import_module(
        "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    )


STANDARD_INPUT = "-"
MEMBER_MARK = "::"  # archive.zip::table.csv
BUFFER_BYTES = 1 << 18


def _open_zstd(file: Any) -> Any:
    """Open a zstd file.

    Raises:
        DataError: There is no library that can.
    """
    if zstd is None:
        name = getattr(file, "name", "input")
        raise DataError(str(name), "is a zstd file: pip install backports.zstd, or unpack it")
    return zstd.open(file)


_COMPRESSIONS: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
    b"\x28\xb5\x2f\xfd": _open_zstd,
}
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")  # the second is an empty one's
_TAR_MARK, _TAR_MARK_AT = b"ustar", 257
_HEAD_BYTES = _TAR_MARK_AT + len(_TAR_MARK)
_UNREADABLE = {b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!\x1a\x07": "RAR", b"\x1f\x9d": "compress (.Z)"}
_DAMAGE: tuple[type[Exception], ...] = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
if zstd is not None:
    _DAMAGE = (*_DAMAGE, zstd.ZstdError)
# A damaged directory of an archive shows in many ways, an encrypted one as a RuntimeError.
_UNPACKING_FAILS: tuple[type[Exception], ...] = (
    *_DAMAGE,
    tarfile.TarError,
    OSError,
    RuntimeError,
    ValueError,
)
# A file that only such a document holds -> what the document is.
_DOCUMENTS = {"xl/workbook.xml": "an Excel workbook", "word/document.xml": "a Word document"}
_DOCUMENTS |= {"META-INF/manifest.xml": "an OpenDocument file"}
_SEQUENCE_ENDINGS = (".fasta", ".fa", ".fna", ".fas", ".ffn", ".fsa", ".fastq", ".fq")
_TABLE_ENDINGS = (".csv", ".tsv", ".tab", ".txt")
_COMPRESSED_ENDINGS = (".gz", ".bz2", ".xz", ".zst")
_NUM_LISTED = 10  # files of an archive that a message names


class DamagedFileError(DataError):
    """A packed file that is cut off, or whose contents are not what was packed."""


def split_member(source: Path | str) -> tuple[Path, str | None]:
    """Separate `archive.zip::member` into its parts; a file of that very name comes first."""
    name, mark, member = str(source).partition(MEMBER_MARK)
    if not mark or Path(source).exists():
        return Path(source), None
    return Path(name), member


def shown_name(source: Path | str) -> str:
    """Name a source in messages."""
    return "<stdin>" if str(source) == STANDARD_INPUT else str(split_member(source)[0])


@contextmanager
def open_unpacked(
    source: Path | str, on_bytes: Callable[[int], None] | None = None
) -> Iterator[io.BufferedReader]:
    """Open the contents of a file.

    Args:
        source: Its path, `archive.zip::member` to name one of several files in an archive, or `-`
            for standard input.
        on_bytes: Called, as reading goes on, with how many bytes of the packed file were read.

    Yields:
        The contents; `name` is what they are called, in the archive if they come from one. Reading
        raises `DamagedFileError` where a packed file is cut off or damaged and `DataError` where
        the machine fails to read it.

    Raises:
        DataError: The file is missing, of a kind that is not read, or an archive in which no
            single file of sequences or table is to be found.
    """
    path, member = split_member(source)
    shown = shown_name(source)
    with ExitStack() as stack:
        try:
            is_stdin = str(source) == STANDARD_INPUT
            file = sys.stdin.buffer if is_stdin else stack.enter_context(path.open("rb"))
            layer = _Unpacking(stack, file, shown, member).contents()
        except _UNPACKING_FAILS as error:
            raise _explained(shown, error) from error
        if on_bytes is not None:
            layer.on_read = lambda: on_bytes(file.tell())
        yield io.BufferedReader(layer, BUFFER_BYTES)


def _explained(shown: str, error: Exception) -> DataError:
    if isinstance(error, EOFError):
        return DamagedFileError(shown, "is cut off: the compressed data end too early")
    if isinstance(error, OSError) and error.strerror:
        return DataError(shown, f"cannot be read: {error.strerror}")
    return DamagedFileError(shown, f"is damaged: {first_line(error)}")


class _Layer(io.RawIOBase):
    """A stream whose start can be looked at, and whose failures name the file.

    Args:
        stream: What to read.
        shown: What messages call the file.
        name: What the contents are called.
    """

    def __init__(self, stream: IO[bytes], shown: str, name: str) -> None:
        self.name = name
        self.on_read: Callable[[], None] | None = None
        self._stream: Any = stream
        self._shown = shown
        self._ahead = b""
        self._failure: DataError | None = None

    def readable(self) -> bool:
        return True

    def look(self) -> bytes:
        """Show the first bytes, as many as it takes to tell what they are."""
        while len(self._ahead) < _HEAD_BYTES:
            piece = bytearray(_HEAD_BYTES)
            size = self._read(memoryview(piece))
            if size == 0:
                break
            self._ahead += piece[:size]
        return self._ahead

    def readinto(self, buffer: Any) -> int:
        if self._ahead:
            size = min(len(buffer), len(self._ahead))
            buffer[:size], self._ahead = self._ahead[:size], self._ahead[size:]
            return size
        size = self._read(buffer)
        if size == 0 and self._failure is not None:
            raise self._failure
        if self.on_read is not None:
            self.on_read()
        return size

    def _read(self, buffer: Any) -> int:
        """Read something; nothing at the end, and where reading fails from then on."""
        if self._failure is not None:
            return 0
        try:
            return int(self._stream.readinto1(buffer))
        except DataError as error:  # of the layer below
            self._failure = error
        except _UNPACKING_FAILS as error:
            self._failure = _explained(self._shown, error)
        return 0


class _Unpacking:
    """The steps from a packed file to its contents.

    Args:
        stack: Closes what is opened on the way.
        file: The packed file.
        shown: What messages call it.
        member: File of the archive to read; None for the only one.
    """

    def __init__(self, stack: ExitStack, file: IO[bytes], shown: str, member: str | None) -> None:
        self._stack, self._file, self._shown, self._member = stack, file, shown, member

    def contents(self) -> _Layer:
        """Peel off what packs the file: a compression, an archive, or one in the other.

        Raises:
            DataError: See `open_unpacked`.
        """
        packed = _Layer(self._file, self._shown, self._shown)
        head = packed.look()
        kind = next((kind for start, kind in _UNREADABLE.items() if head.startswith(start)), None)
        if kind is not None:
            raise DataError(self._shown, f"is packed with {kind}, which is not read; unpack it")
        if head.startswith(_ZIP_STARTS):
            return self._decompressed(self._zip_member(packed))
        unpacked = self._decompressed(packed)
        if _is_tar(unpacked.look()):
            return self._decompressed(self._tar_member(unpacked))
        if self._member is not None:
            raise DataError(self._shown, f"is no archive, so it holds no {self._member}")
        return unpacked

    def _decompressed(self, packed: _Layer) -> _Layer:
        open_compressed = _compression_of(packed.look())
        if open_compressed is None:
            return packed
        stream = open_compressed(io.BufferedReader(packed, BUFFER_BYTES))
        return _Layer(self._stack.enter_context(stream), self._shown, packed.name)

    def _zip_member(self, packed: _Layer) -> _Layer:
        archive = self._stack.enter_context(zipfile.ZipFile(self._seekable(packed)))
        names = [each.filename for each in archive.infolist() if not each.is_dir()]
        name = _chosen(names, self._member, self._shown)
        return _Layer(self._stack.enter_context(archive.open(name)), self._shown, name)

    def _tar_member(self, unpacked: _Layer) -> _Layer:
        archive = self._stack.enter_context(_tar_of(self._seekable(unpacked)))
        path = Path(self._shown)
        if path.is_file():
            status = path.stat()
            names = _tar_names(path, status.st_size, status.st_mtime_ns)
        else:
            names = _files_of(archive)
        name = _chosen(names, self._member, self._shown)
        found = next(each for each in archive if each.isreg() and each.name == name)
        stream = archive.extractfile(found)
        assert stream is not None  # as it is a regular file
        return _Layer(self._stack.enter_context(stream), self._shown, name)

    def _seekable(self, layer: _Layer) -> IO[bytes]:
        """The packed file, if one can go back in it, else a copy of what a layer holds."""
        if self._file.seekable():
            return self._file
        return self._stack.enter_context(_copied(layer))


@contextmanager
def _copied(layer: _Layer) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(io.BufferedReader(layer, BUFFER_BYTES), copy)
        copy.seek(0)
        yield copy


def _compression_of(head: bytes) -> Callable[[Any], Any] | None:
    return next((opener for start, opener in _COMPRESSIONS.items() if head.startswith(start)), None)


def _is_tar(head: bytes) -> bool:
    return head[_TAR_MARK_AT:].startswith(_TAR_MARK)


def _tar_of(file: IO[bytes]) -> tarfile.TarFile:
    """Open a tar in a file that may be compressed, at its start."""
    file.seek(0)
    open_compressed = _compression_of(file.read(_HEAD_BYTES))
    file.seek(0)
    return tarfile.open(fileobj=open_compressed(file) if open_compressed else file, mode="r:")


@lru_cache(maxsize=8)
def _tar_names(path: Path, _size: int, _changed_ns: int) -> list[str]:
    """List the files of a tar, once: all of it has to be unpacked for that."""
    with path.open("rb") as file, _tar_of(file) as archive:
        return _files_of(archive)


def _files_of(archive: tarfile.TarFile) -> list[str]:
    """List the files of a tar; read on to the very end, where a compression has its checksum."""
    names = [each.name for each in archive if each.isreg()]
    assert archive.fileobj is not None  # as it is open
    while archive.fileobj.read(BUFFER_BYTES):
        pass
    return names


def _chosen(names: list[str], member: str | None, shown: str) -> str:
    """Choose a file of an archive: the one that was named, or the only one that can be read."""
    files = [name for name in names if not _is_hidden(name)]
    if member in names:
        return str(member)
    document = next((what for name, what in _DOCUMENTS.items() if name in names), None)
    if document is not None:
        raise DataError(shown, f"is {document}: save the sheet as CSV, or the sequences as FASTA")
    readable = [name for name in files if _is_readable(name)] or files
    if member is None and len(readable) == 1:
        return readable[0]
    listed = ", ".join(readable[:_NUM_LISTED]) or "no file"
    more = len(readable) - _NUM_LISTED
    held = f"it holds {listed}" + (f" and {more} more" if more > 0 else "")
    raise DataError(shown, f"name one file as {Path(shown).name}{MEMBER_MARK}FILE; {held}")


def _is_hidden(name: str) -> bool:
    """Tell what an operating system put into an archive of its own accord."""
    return any(part == "__MACOSX" or part.startswith(".") for part in PurePosixPath(name).parts)


def _is_readable(name: str) -> bool:
    name = name.lower()
    for ending in _COMPRESSED_ENDINGS:
        name = name.removesuffix(ending)
    return name.endswith((*_SEQUENCE_ENDINGS, *_TABLE_ENDINGS))
