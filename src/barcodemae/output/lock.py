"""A lock that one run holds on its output, so that a second one is refused.

In: the output, a file or a folder. Out: `.NAME.lock` beside it while the run lasts, locked by the
operating system, which drops the lock when the process ends, however it ends: what a killed run
left is taken over. Where the system or the disk has no locks, runs are not kept apart. Guarded by
tests/barcodemae/output/test_lock.py.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from barcodemae.errors import DataError, SettingsError
from barcodemae.files import unfinished


if sys.platform != "win32":
    import fcntl


class Lock:
    """A lock on an output, held from construction until `release`.

    Args:
        output: File or folder that is going to be written; missing parents are made, and removed
            again if they stay empty.

    Raises:
        SettingsError: Another run holds it.
        DataError: The lock cannot be written there.
    """

    def __init__(self, output: Path) -> None:
        output = Path(os.path.realpath(output))
        self.path = output.with_name(f".{output.name}.lock")
        self.made = [parent for parent in output.parents if not parent.exists()]
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            self.descriptor = self._take(output)
            self.named = ExitStack()  # removed even if the process ends without `release`
            self.named.enter_context(unfinished(self.path))
        except OSError as error:
            self._remove_parents()
            raise DataError(
                output, f"cannot be written: {os.strerror(error.errno or 0)}"
            ) from error

    def _take(self, output: Path) -> int:
        """Open and lock the file; again where a run that ended removed it meanwhile."""
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            if not _lock(descriptor):
                os.close(descriptor)
                raise SettingsError(
                    f"{output} is being written by another run; wait for it or choose another "
                    "output"
                )
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), self.path.stat()):
                    return descriptor
            os.close(descriptor)

    def release(self) -> None:
        """Give the output free; a second call does nothing."""
        if self.descriptor < 0:
            return
        with suppress(OSError):
            self.path.unlink()  # before the lock is dropped: afterwards it may be another run's
        self.named.close()
        os.close(self.descriptor)
        self.descriptor = -1
        self._remove_parents()

    def _remove_parents(self) -> None:
        for parent in self.made:
            with suppress(OSError):  # not empty: the output is in it
                parent.rmdir()


def _lock(descriptor: int) -> bool:
    """Lock an open file; False if another run holds it."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a disk without locks
        return True
    return True


@contextmanager
def held(output: Path) -> Iterator[None]:
    """Hold the lock of an output while the block runs.

    Raises:
        SettingsError: Another run holds it.
        DataError: The lock cannot be written there.
    """
    lock = Lock(output)
    try:
        yield
    finally:
        lock.release()
