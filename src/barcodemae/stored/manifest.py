"""Hashes of a folder's files, by which a changed, cut or missing one is known before it is used.

    FOLDER/manifest.json   of each file its size, SHA-256, and SHA-256 of sampled blocks;
                           of a folder made from another one, the SHA-256 of that one's manifest

In: a folder that is complete. Out: that file; and later, of the same folder, either silence or one
line that names the first file that is not what was written. The quick check reads small files whole
and sampled blocks of large ones, so it finds every change of size and what is damaged at length.
The full check finds every byte. Guarded by tests/barcodemae/stored/test_manifest.py.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from barcodemae.errors import DataError
from barcodemae.files import write_json
from barcodemae.stored.json_objects import read_object


MANIFEST = "manifest.json"
FORMAT_VERSION = 1
SMALL_BYTES = 1 << 24  # up to 16 MiB a file is always read whole
BLOCK_BYTES = 1 << 16
NUM_BLOCKS = 32  # of a large file, evenly spaced, its ends among them


@dataclass(frozen=True)
class FileHashes:
    """What is known of one file.

    Attributes:
        bytes: Its size.
        sha256: SHA-256 of its content, in hex digits.
        sampled: SHA-256 of its sampled blocks one after the other, in hex digits; for a small file
            the same as `sha256`.
    """

    bytes: int
    sha256: str
    sampled: str


def write_manifest(folder: Path, parent: Path | None = None) -> None:
    """Hash all files of a folder and of those below it, and write them down.

    Args:
        folder: A complete folder; a manifest that is there already is replaced.
        parent: Folder with a manifest that this one was made from; None for none.

    Raises:
        DataError: The disk refuses.
    """
    files = {name: asdict(hash_file(folder / name)) for name in sorted(_names(folder))}
    origin = {} if parent is None else {"parent": hash_file(parent / MANIFEST).sha256}
    write_json(folder / MANIFEST, {"format_version": FORMAT_VERSION, **origin, "files": files})


def check_manifest(folder: Path, *, everything: bool) -> list[str]:
    """Check that the files of a folder are those that were written.

    Files that the manifest does not list are not looked at; do not use them.

    Args:
        folder: The folder.
        everything: Whether to read every byte, or of large files sampled blocks only.

    Returns:
        The files that it lists, by their paths below the folder.

    Raises:
        DataError: The manifest is missing or damaged, or a file is missing, cut or changed.
    """
    listed = read_manifest(folder)
    for name, expected in listed.items():
        path = folder / name
        if not path.is_file():
            raise DataError(folder, f"is damaged: {name} is missing")
        size = path.stat().st_size
        if size != expected.bytes:
            raise DataError(folder, f"is damaged: {name} has {size} bytes, not {expected.bytes}")
        if everything or size <= SMALL_BYTES:
            is_same = hash_file(path) == expected
        else:
            with path.open("rb") as stream:
                is_same = _hash_sample(stream, size) == expected.sampled
        if not is_same:
            raise DataError(folder, f"is damaged: {name} is not what was written")
    return list(listed)


def read_manifest(folder: Path) -> dict[str, FileHashes]:
    """Read what is known of the files of a folder.

    Raises:
        DataError: There is no manifest, or it is damaged.
    """
    content = read_object(folder / MANIFEST)
    files = content.get("files")
    if content.get("format_version") != FORMAT_VERSION or not isinstance(files, dict):
        raise DataError(folder / MANIFEST, "is damaged, or of another version")
    try:
        listed = {name: FileHashes(**entry) for name, entry in files.items()}
    except TypeError as error:
        raise DataError(folder / MANIFEST, "is damaged") from error
    for name in listed:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DataError(folder / MANIFEST, f"names {name}, which is not below the folder")
    return listed


def hash_file(path: Path) -> FileHashes:
    """Read one file whole and hash it."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        whole = hashlib.file_digest(stream, "sha256").hexdigest()
        sampled = whole if size <= SMALL_BYTES else _hash_sample(stream, size)
    return FileHashes(size, whole, sampled)


def _hash_sample(stream: BinaryIO, size: int) -> str:
    digest = hashlib.sha256()
    last = size - BLOCK_BYTES
    for number in range(NUM_BLOCKS):
        stream.seek(number * last // (NUM_BLOCKS - 1))
        digest.update(stream.read(BLOCK_BYTES))
    return digest.hexdigest()


def _names(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file() and path != folder / MANIFEST:
            yield path.relative_to(folder).as_posix()
