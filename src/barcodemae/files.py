"""Write files and folders whole or not at all: a name holds the old content or the new one.

In: a path, and text or a block that writes. Out: the file or folder of that name. It is written
next to its target under a hidden name that no other process or thread uses, forced to the disk and
renamed. So an error, a kill, a full disk or a power cut leaves what was there before, and two
processes that write the same target never mix their bytes: the last one to finish wins. A process
that is killed may leave its hidden file, which nothing reads. Its hidden folder is removed by the
next process that writes the same folder, which also brings back an older folder put aside.

    whole_file, write_text, write_json    one file
    staged_folder                         one folder, replacing an older one only where it may
    scratch_folder, replace_folder        the two halves of it, for other ways to move in

A link is followed and stays a link, but for one into the Hub's cache, whose files others share: it
is replaced. A pipe, a terminal or another device is written through. Guarded by
tests/barcodemae/test_files.py and tests/barcodemae/test_staged_folders.py.
"""

import errno
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from barcodemae.errors import DataError, SettingsError


if sys.platform != "win32":
    import fcntl

DEVICES = (Path("/dev"), Path("/dev/fd"))  # but /dev/shm holds files
PROCESSES = Path("/proc")
SHARED_FILES = "blobs"  # folder of the Hub's cache
DISK_REFUSES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
# Some network drives cannot flush, folders above all; Windows flushes only what it may write to.
CANNOT_FLUSH = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF)
LOCK, CONTENT = "lock", "content"  # the two entries of a hidden folder
_unfinished: set[Path] = set()  # hidden files and folders that this process is writing


@contextmanager
def unfinished(path: Path) -> Iterator[None]:
    """Name a hidden file or folder that is of no use when the process ends within the block.

    Args:
        path: The file or folder; `remove_unfinished` removes it until the block has ended.
    """
    _unfinished.add(path)
    try:
        yield
    finally:
        _unfinished.discard(path)


def remove_unfinished() -> None:
    """Remove what this process was writing, because it is about to end without cleaning up."""
    for path in tuple(_unfinished):
        _remove(path)


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Give a hidden path beside `path` that takes its name when the block ends well.

    Args:
        path: The file wanted, in a folder that exists. A pipe, a terminal or another device is
            written to directly.

    Yields:
        The path to write to. Its suffix is that of `path`, as matplotlib and NumPy look at it.

    Raises:
        DataError: The disk refuses (full, read-only, no permission), or `path` is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise DataError(path, "is a folder, so no file can be written under this name")
    if is_written_through(path):
        yield path
        return
    target = behind_links(path)
    hidden = target.with_name(f".{target.stem}.{_unique()}{path.suffix}")
    try:
        with _reporting(path, hidden), unfinished(hidden):
            yield hidden
            flush(hidden)
            hidden.replace(target)
    finally:
        _remove(hidden)


def is_written_through(path: Path) -> bool:
    """Whether a path leads to a pipe, a terminal or a device, by whatever links."""
    if not path.exists() or path.is_dir():
        return False
    place = _absolute(path)
    while not _is_device(place) and place.is_symlink():
        place = _absolute(place.parent / place.readlink())
    return _is_device(place) or not place.is_file()


def _is_device(place: Path) -> bool:
    return place.parent in DEVICES or place.is_relative_to(PROCESSES)


def behind_links(path: Path) -> Path:
    """Return what a link leads to, where that is not shared with others; else the path itself."""
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    return path if target.parent.name == SHARED_FILES else target


def cache_folder() -> Path | None:
    """Return the folder of what is made or fetched once; it need not exist. None without a home."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (given if given.is_absolute() else Path.home() / ".cache") / "barcodemae"
    except RuntimeError:  # a user whom the system does not know, as in some containers
        return None


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text; bytes that were not UTF-8 when they were read are restored.

    Raises:
        DataError: As for `whole_file`.
    """
    with whole_file(path) as hidden:
        hidden.write_text(text, encoding="utf-8", errors="surrogateescape")


def write_json(path: Path | str, content: Any, *, indent: int = 2) -> None:
    """Write JSON laid out as transformers does: indented by two, with a line end.

    Raises:
        DataError: As for `whole_file`.
    """
    write_text(path, json.dumps(content, indent=indent) + "\n")


@contextmanager
def staged_folder(
    target: Path | str, *, overwrite: bool = False, marker: str = "", what: str = "folder"
) -> Iterator[Path]:
    """Give a hidden folder that becomes `target` when the block ends well.

    Args:
        target: The folder wanted; its parents are made, and removed again if the block fails.
        overwrite: Whether an older folder may be replaced; an empty one always may.
        marker: Name of a file that marks an older folder as one of ours; others are never
            replaced. If empty, any folder may be.
        what: What is written, for messages.

    Yields:
        The hidden folder, empty.

    Raises:
        SettingsError: `target` exists and may not be replaced.
        DataError: The disk refuses (full, read-only, no permission).
    """
    target = _absolute(behind_links(Path(target)))
    with _reporting(target, target, _aside(target)):
        _recover(target)
    _refuse_to_replace(target, overwrite, marker, what)
    with scratch_folder(target) as folder:
        yield folder
        _refuse_to_replace(target, overwrite, marker, what)  # another may have been quicker
        replace_folder(folder, target)


@contextmanager
def scratch_folder(target: Path | str) -> Iterator[Path]:
    """Give a hidden folder beside `target` that is removed when the block ends, unless moved.

    What killed processes left beside the same `target` is removed, too. A file lock tells whether
    a process is still alive: the system drops it when the process ends.

    Args:
        target: The folder wanted; its parents are made, and removed again if they stay empty.

    Yields:
        The hidden folder, empty.

    Raises:
        DataError: The disk refuses (full, read-only, no permission).
    """
    target = _absolute(target)
    hidden = target.with_name(f".{target.name}.{_unique()}")
    missing = [parent for parent in target.parents if not parent.exists()]
    content = hidden / CONTENT
    try:
        with _reporting(target, *target.parents):
            target.parent.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(target)
            hidden.mkdir()
        paths = (hidden, target, _aside(target))
        with _reporting(target, *paths), (hidden / LOCK).open("w") as lock:
            _take(lock)
            with unfinished(hidden):
                content.mkdir()
                yield content
    finally:
        _remove(content)  # the lock goes last: without it, only an empty folder counts as left
        _remove(hidden)
        for parent in missing:
            with suppress(OSError):  # not empty: `target` is in it
                parent.rmdir()


def replace_folder(new: Path, target: Path) -> None:
    """Force a folder to the disk, rename it to `target`, and then remove what was there.

    Args:
        new: The folder, on the same disk.
        target: Its new name.

    Raises:
        OSError: It cannot be renamed; `target` is as it was.
    """
    flush_folder(new)
    _recover(target)
    try:
        if target.exists():
            target.rename(_aside(target))
        new.rename(target)
    finally:
        _recover(target)
    flush(target.parent)


def flush_folder(folder: Path) -> None:
    """Force a folder and all in it to the disk; a rename may outlive a power cut without them."""
    for path in (*folder.rglob("*"), folder):
        if not path.is_symlink():
            flush(path)


def flush(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk, where the system can do that."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no folder
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_FLUSH:
            raise
    finally:
        os.close(descriptor)


@contextmanager
def _reporting(target: Path, *paths: Path) -> Iterator[None]:
    """Name the target in errors about these paths and about the disk; pass on all others."""
    try:
        yield
    except OSError as error:
        place = Path(str(error.filename))
        is_ours = any(place.is_relative_to(path) for path in paths)
        if error.errno is None or not (is_ours or error.errno in DISK_REFUSES):
            raise
        raise DataError(target, f"cannot be written: {os.strerror(error.errno)}") from error


def _unique() -> str:
    """Make the end of a hidden name: the process id, and digits no other machine comes up with."""
    return f"{os.getpid()}-{os.urandom(4).hex()}.tmp"


def _absolute(path: Path | str) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 (resolve() would follow a link)


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.replaced.tmp")


def _recover(target: Path) -> None:
    """Finish a replacement that was cut off, or undo it if nothing new took the place."""
    old = _aside(target)
    if not target.exists() and old.exists():
        old.rename(target)
    _remove(old)


def _remove_leftovers(target: Path) -> None:
    """Remove the hidden folders that killed processes left beside `target`."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.\d+-[0-9a-f]{{8}}\.tmp")
    for path in target.parent.glob(".*.tmp"):  # nothing, where the names may not be read
        if pattern.fullmatch(path.name) and path.is_dir() and not _is_in_use(path):
            _remove(path / CONTENT)
            _remove(path)


def _take(lock: TextIO) -> None:
    """Show other processes that this one is alive, where the disk has locks."""
    if sys.platform != "win32":
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)


def _is_in_use(hidden: Path) -> bool:
    """Tell whether another process may be writing; where there are no locks, one may."""
    if sys.platform == "win32":
        return True
    try:
        with (hidden / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:  # killed before it made its lock, or after it removed all else
        return any(hidden.iterdir())
    except OSError:
        return True
    return False


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder, as far as the system lets us."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _refuse_to_replace(target: Path, overwrite: bool, marker: str, what: str) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not target.is_dir() or (marker and not (target / marker).is_file()):
        raise SettingsError(f"{target} exists and is not a {what} of ours; choose another folder")
    if not overwrite:
        raise SettingsError(f"{target} holds a {what} already; --overwrite replaces it")
