"""Files at an address, such as https://, s3:// or hf://datasets/, fetched and read from the disk.

In: what a user gave as a file. Out: a file on this machine, kept in the cache for as long as what
lies at the address says that it is the same; a name that is no address stays as it is. fsspec knows
the protocols; some need a package of their own, which the message names.
Guarded by tests/barcodemae/hub/test_addresses.py.
"""

import atexit
import hashlib
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from barcodemae.errors import DataError, SettingsError, first_line
from barcodemae.files import cache_folder, whole_file


ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
MEMBER = "::"  # what follows names a file inside an archive
# What file systems call the version of a file, of which one has to be known to keep a copy.
VERSIONS = ("ETag", "etag", "Content-MD5", "Digest", "md5Hash", "blob_id", "sha256", "mtime")
FOLDER = "files"


def is_address(name: str) -> bool:
    """Whether a name is an address rather than a path."""
    return ADDRESS.match(name) is not None


def local_copy(name: str) -> str:
    """Fetch what lies at an address, unless the cache has it as it is.

    Args:
        name: An address, with `::MEMBER` for a file inside an archive, or a path.

    Returns:
        Path of the copy, with the member; a path as it is.

    Raises:
        DataError: It cannot be fetched.
        SettingsError: The protocol is unknown, or needs a package that is not installed.
    """
    if not is_address(name):
        return name
    import fsspec  # takes longer to import than most commands take to refuse a name

    address, separator, member = name.partition(MEMBER)
    with errors_in_one_line(address):
        system, path = fsspec.core.url_to_fs(address)
        found = system.info(path)
    if found.get("type") == "directory":
        raise DataError(address, "is a folder; name its files")
    target = place_of(address, found)
    if not target.is_file():
        with errors_in_one_line(address):
            fetch(system, path, target, address)
    return f"{target}{separator}{member}"


@contextmanager
def errors_in_one_line(address: str) -> Iterator[None]:
    """Turn whatever a file system raises into one error.

    Raises:
        DataError: It raised something.
        SettingsError: The protocol is unknown, or needs a package that is not installed.
    """
    try:
        yield
    except (ImportError, ValueError) as error:
        raise SettingsError(f"{address}: {first_line(error)}") from error
    except Exception as error:  # every file system has errors of its own
        raise DataError(address, f"cannot be fetched: {first_line(error)}") from error


def local_copies(names: list[str]) -> list[str]:
    """Fetch what lies at addresses, but for those on the Hub, which their readers know."""
    return [name if name.startswith("hf://") else local_copy(name) for name in names]


def place_of(address: str, found: dict[str, Any]) -> Path:
    """Return where the copy of a file lies: in the cache if its version is known, else apart.

    Args:
        address: Address of the file.
        found: What its file system tells of it.
    """
    base = Path(address.partition("?")[0]).name or "file"
    version = {key: str(found[key]) for key in VERSIONS if found.get(key)}
    cache = cache_folder()
    if not version or cache is None:
        apart = mkdtemp(prefix="barcodemae-")
        atexit.register(shutil.rmtree, apart, ignore_errors=True)
        return Path(apart) / base
    told = f"{address}\n{found.get('size')}\n{sorted(version.items())}"
    return cache / FOLDER / hashlib.sha256(told.encode()).hexdigest()[:16] / base


def fetch(system: Any, path: str, target: Path, address: str) -> None:
    """Fetch a file; it appears whole or not at all."""
    from fsspec.callbacks import TqdmCallback

    target.parent.mkdir(parents=True, exist_ok=True)
    bar = {"desc": address, "unit": "B", "unit_scale": True, "disable": not sys.stderr.isatty()}
    with whole_file(target) as hidden:
        system.get_file(path, str(hidden), callback=TqdmCallback(tqdm_kwargs=bar))
