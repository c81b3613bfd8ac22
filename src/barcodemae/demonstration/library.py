"""The library that `--reference demo` means: built of the bundled barcodes once, then kept.

In: a model. Out: a folder that `ReferenceLibrary` opens. Libraries are kept in
`$XDG_CACHE_HOME/barcodemae` (or `~/.cache/barcodemae`), one for every model, number format and
version of this package; where that cannot be written, in a temporary folder that is removed when
the process ends. Guarded by tests/barcodemae/demonstration/test_library.py.
"""

import atexit
import hashlib
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from barcodemae import __version__
from barcodemae.dataset import SPLITS
from barcodemae.demonstration import DEMONSTRATION, REFERENCES
from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.embed.embedder import Embedder
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.reference.build import LibraryPlan, build_library
from barcodemae.eval.identify.reference.library import DESCRIPTION, FORMAT_VERSION
from barcodemae.files import cache_folder, staged_folder
from barcodemae.training.data.prepare import PrepareOptions, prepare


# A fifth of what `index` takes: seconds rather than a minute, and whole barcodes are judged alike.
MAX_FRAGMENTS = 200
UNFIT_FOR_NAMES = re.compile(r"[^A-Za-z0-9.]+")
Say = Callable[[str], None]


def demonstration_library(embedder: Embedder, say: Say) -> Path:
    """Return the library of the bundled barcodes for a model; build it if there is none yet.

    Args:
        embedder: The model.
        say: Told that it is built, and then how long that took.

    Raises:
        DataError: The disk refuses (full, no permission).
    """
    cache, name = cache_folder(), library_name(embedder)
    if cache is not None and is_library(cache / name):
        return cache / name
    if cache is not None and can_be_written(cache):
        folder, kept = cache / name, "once for this model and kept"
    else:
        folder, kept = temporary_folder() / name, "not kept, as no cache folder can be written"
    say(f"Building the demonstration library, {kept}: this takes a minute or so")
    start = time.monotonic()
    build(folder, embedder)
    say(f"Built in {time.monotonic() - start:.0f} s: {folder}")
    return folder


def library_name(embedder: Embedder) -> str:
    """Name a library after all that decides what is in it."""
    content = hashlib.sha256(REFERENCES.read_bytes()).hexdigest()[:8]
    model = UNFIT_FOR_NAMES.sub("-", embedder.fingerprint)
    return f"demo-{__version__}-{FORMAT_VERSION}-{content}-{model}-{embedder.dtype}"


def is_library(folder: Path) -> bool:
    """Whether a folder is a library that can be read."""
    try:
        return (folder / DESCRIPTION).is_file()
    except OSError:  # no permission to look
        return False


def can_be_written(folder: Path) -> bool:
    """Whether a folder is there, or can be made, and takes files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def temporary_folder() -> Path:
    """Make a folder that is removed when this process ends."""
    folder = tempfile.mkdtemp(prefix="barcodemae-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def build(folder: Path, embedder: Embedder) -> None:
    """Build the library of the bundled barcodes; it appears whole or not at all.

    Raises:
        DataError: The disk refuses (full, no permission).
    """
    plan = LibraryPlan(splits=SPLITS, held_out=(), max_fragments=MAX_FRAGMENTS)
    try:
        with (
            staged_folder(folder, marker=DESCRIPTION, what="library") as staged,
            tempfile.TemporaryDirectory() as scratch,
        ):
            data = Path(scratch) / DEMONSTRATION
            prepare([str(REFERENCES)], data, PrepareOptions(leakage=False))
            build_library(data, staged, OffsetEmbedder(embedder, 1), plan)
    except SettingsError as error:
        if not is_library(folder):  # else another process was quicker
            raise DataError(folder, f"cannot be made: {error}") from error
