"""Write a folder all at once: the world sees the old one or the new one, never half of one.

The files are written into a hidden folder beside the target, flushed to disk, and the folder is
renamed. A run killed at any moment leaves the old data set or none; the next run restores or
removes what a dead one left. Liveness is a file lock, which the system drops with its process.
Guarded by tests/training/data/test_staging.py.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from barcodemae.errors import DataError, SettingsError


_LOCK = ".lock"


@contextmanager
def staged_directory(
    out: Path, *, marker: str, overwrite: bool = False, what: str = "data set"
) -> Iterator[Path]:
    """Give a folder to write into, which becomes `out` when the block ends well.

    Args:
        out: The folder wanted; its parents are made.
        marker: Name of a file that shows that an existing folder is one of ours.
        overwrite: Whether a folder of ours may be replaced. No other is ever replaced.
        what: Name of what is written, for messages.

    Yields:
        The hidden folder.

    Raises:
        SettingsError: `out` exists and may not be replaced.
        DataError: The disk refuses (full, read-only, no permission).
    """
    out = Path(os.path.abspath(out))  # noqa: PTH100 (resolve() would follow a link given as DIR)
    _tidy(out)
    _check_target(out, marker, overwrite, what)
    made = _make_parents(out)
    staging = None
    try:
        staging = Path(tempfile.mkdtemp(prefix=f".{out.name}.new-", dir=out.parent))
        staging.chmod(0o777 & ~_umask())
        with (staging / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield staging
            _flush(staging)
            (staging / _LOCK).unlink()
            _publish(staging, out)
    except OSError as error:
        raise DataError(out, f"cannot be written: {error.strerror or error}") from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        for parent in made:
            with contextlib.suppress(OSError):  # not empty: the data set is in it
                parent.rmdir()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _previous(out: Path) -> Path:
    return out.with_name(f".{out.name}.old")


def _tidy(out: Path) -> None:
    """Finish or undo what a killed run left beside `out`."""
    old = _previous(out)
    if old.is_dir():
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(out)
    for leftover in out.parent.glob(f".{out.name}.new-*"):
        if not _is_in_use(leftover):
            shutil.rmtree(leftover, ignore_errors=True)


def _is_in_use(staging: Path) -> bool:
    try:
        with (staging / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # no lock file: killed before it was made or after it was removed
    return False


def _check_target(out: Path, marker: str, overwrite: bool, what: str) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / marker).is_file():
        raise SettingsError(f"{out} exists and is not a {what} of ours; choose another folder")
    if not overwrite:
        raise SettingsError(f"{out} holds a {what} already; --overwrite replaces it")


def _make_parents(out: Path) -> list[Path]:
    missing = [parent for parent in out.parents if not parent.exists()]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(out, f"cannot be written: {error.strerror}") from error
    return missing


def _flush(directory: Path) -> None:
    for path in [*directory.iterdir(), directory]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _publish(staging: Path, out: Path) -> None:
    old = _previous(out)
    if out.exists() and any(out.iterdir()):
        out.rename(old)
    staging.rename(out)
    shutil.rmtree(old, ignore_errors=True)
    descriptor = os.open(out.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
