"""The place of an output: checked before any work begins, and held while it lasts.

In: the paths to write and those that are read. Out: nothing, or one line that says why a file or a
folder cannot stand there. An input is never an output, by whatever name or link. Devices, pipes and
`/dev/stdout` are written through and need no place. Guarded by
tests/barcodemae/output/test_places.py.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from barcodemae.errors import SettingsError
from barcodemae.files import is_written_through
from barcodemae.output.lock import held


STREAM = "-"  # stdin or stdout


def check_file(output: Path | str, inputs: Iterable[Path | str] = ()) -> None:
    """Check that a file may be written.

    Args:
        output: The file wanted; `-`, a pipe or a device always may.
        inputs: Files and folders that are read; what is no path here is ignored.

    Raises:
        SettingsError: It is a folder, its folder is missing or may not be written to, or it is one
            of the inputs or lies in one.
    """
    path = Path(output)
    if str(output) == STREAM or is_written_through(path):
        return
    folder = Path(os.path.realpath(path)).parent
    if path.is_dir():
        raise SettingsError(f"{path} is a folder, so no file can be written under this name")
    if not folder.is_dir():
        raise SettingsError(f"{path}: the folder {folder} does not exist")
    if not os.access(folder, os.W_OK | os.X_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise SettingsError(f"{path} cannot be written: permission denied")
    for source in _present(inputs):
        is_same = path.exists() and path.samefile(source)
        if is_same or (source.is_dir() and folder.is_relative_to(os.path.realpath(source))):
            where = "is the input itself" if is_same else f"lies in the input {source}"
            raise SettingsError(f"{path} {where}; choose another output")


def check_files(outputs: Iterable[Path | str], inputs: Iterable[Path | str] = ()) -> None:
    """Check that several files may be written.

    Args:
        outputs: The files wanted, see `check_file`.
        inputs: Files and folders that are read; what is no path here is ignored.

    Raises:
        SettingsError: As for `check_file`, or two of them are one file.
    """
    outputs, sources = list(outputs), list(inputs)
    seen: set[str] = set()
    for output in outputs:
        check_file(output, sources)
    for place in _places(outputs):
        real = os.path.realpath(place)
        if real in seen:
            raise SettingsError(f"{place} is named for two outputs; choose another for one")
        seen.add(real)


def _places(outputs: Iterable[Path | str]) -> list[Path]:
    """List the outputs that are files or folders."""
    paths = [Path(output) for output in outputs if str(output) != STREAM]
    return [path for path in paths if not is_written_through(path)]


def check_folder(output: Path | str, inputs: Iterable[Path | str] = ()) -> None:
    """Check that a folder may be written, whose parents may be missing.

    Args:
        output: The folder wanted.
        inputs: Files and folders that are read; what is no path here is ignored.

    Raises:
        SettingsError: It is a file, the folder that is to hold it may not be written to, or it is
            one of the inputs or holds one.
    """
    path = Path(os.path.realpath(output))
    if path.exists() and not path.is_dir():
        raise SettingsError(f"{output} is a file, so no folder can be made under this name")
    present = next(place for place in (path, *path.parents) if place.exists())
    if not present.is_dir():
        raise SettingsError(f"{output}: {present} is a file, not a folder")
    above = path.parent if present == path else present
    if not os.access(above, os.W_OK | os.X_OK):
        raise SettingsError(f"{output} cannot be written: permission denied in {above}")
    for source in _present(inputs):
        real = Path(os.path.realpath(source))
        if real.is_relative_to(path):
            how = "is the input itself" if real == path else f"holds the input {source}"
            raise SettingsError(f"{output} {how}; choose another output")


def _present(inputs: Iterable[Path | str]) -> Iterator[Path]:
    """Yield the inputs that are files or folders on this machine; members as their archives."""
    for source in inputs:
        path = Path(str(source).partition("::")[0])
        if str(source) != STREAM and path.exists() and not is_written_through(path):
            yield path


@contextmanager
def claimed(
    *outputs: Path | str, inputs: Iterable[Path | str] = (), folder: bool = False
) -> Iterator[None]:
    """Check the places of outputs, and hold them while the block runs.

    Args:
        *outputs: Files, or folders, that the block writes.
        inputs: Files and folders that it reads.
        folder: Whether the outputs are folders.

    Raises:
        SettingsError: One of them cannot be written, is read, is named twice, or is being written
            by another run.
        DataError: A lock cannot be written there.
    """
    sources = list(inputs)
    with ExitStack() as stack:
        if folder:
            for output in outputs:
                check_folder(output, sources)
        else:
            check_files(outputs, sources)
        for output in _places(outputs):
            stack.enter_context(held(output))
        yield
