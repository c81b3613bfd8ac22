"""Shards: what a worker computes at a time, and the folder in which finished ones outlive a run.

In: results under a number and a key, which is a hash of all that determines them. Out: the same
results, also in a later run: a driver that is started again computes only what is not there. A
result is one file that appears whole or not at all, and a damaged one is computed again. Guarded by
tests/barcodemae/distributed/test_shards.py.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barcodemae import __version__
from barcodemae.errors import SettingsError
from barcodemae.files import is_written_through, whole_file, write_json
from barcodemae.output.places import STREAM


MARKER = "barcodemae-shards.json"
FACTS = "facts"
ENDING = ".shards"
DAMAGED = (OSError, ValueError, KeyError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Result:
    """What a worker found about a shard.

    Attributes:
        facts: What JSON can hold.
        arrays: Arrays by name.
    """

    facts: dict[str, Any]
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Shard:
    """What a worker is to compute.

    Attributes:
        number: Number of the shard, from 1, in input order.
        key: Hash of all that determines its result.
        load: What the worker is given.
    """

    number: int
    key: str
    load: Any


def key_of(settings: Any, content: bytes) -> str:
    """Hash what determines a result.

    Args:
        settings: Settings that JSON can hold; the version of the package is added.
        content: The records, as bytes.
    """
    text = json.dumps([__version__, settings], sort_keys=True).encode()
    return hashlib.sha256(hashlib.sha256(text).digest() + content).hexdigest()


def folder_beside(output: Path | str) -> Path:
    """Return the folder in which the finished shards of an output are kept: `OUTPUT.shards`."""
    path = Path(output)
    return path.with_name(f"{path.name}{ENDING}")


def check_run(output: Path | str, shard: str) -> None:
    """Check that a run with --ray can keep its shards beside the output.

    Raises:
        SettingsError: The output is no file, or the run is itself a shard.
    """
    if shard:
        raise SettingsError("--ray makes shards of its own; leave out --shard")
    if str(output) == STREAM or is_written_through(Path(output)):
        raise SettingsError("--ray keeps finished shards beside the output: name a file with -o")


def everywhere(name: str) -> str:
    """Return a name that means the same in every folder: the whole path of a file or folder."""
    return str(Path(name).resolve()) if Path(name).exists() else name


@contextmanager
def shards_kept(output: Path | str) -> Iterator["ShardFolder"]:
    """Give the folder of the shards of an output; it is removed if the block ends without error."""
    folder = ShardFolder(folder_beside(output))
    yield folder
    folder.remove()


class ShardFolder:
    """Finished shards on the disk of the driver.

    Args:
        folder: Folder to keep them in; made if it is missing.

    Raises:
        SettingsError: There is a folder of that name that is not ours.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if folder.exists() and not (folder / MARKER).is_file() and any(folder.iterdir()):
            raise SettingsError(
                f"{folder} exists and holds no shards of ours; move it or choose another output"
            )
        folder.mkdir(exist_ok=True)
        write_json(folder / MARKER, {"written_by": "barcodemae --ray"})

    def path(self, number: int, key: str) -> Path:
        """Return the file of a shard."""
        return self.folder / f"{number:08}-{key[:24]}.npz"

    def save(self, number: int, key: str, result: Result) -> None:
        """Keep the result of a shard."""
        facts = np.frombuffer(json.dumps([key, result.facts]).encode(), np.uint8)
        with whole_file(self.path(number, key)) as part, part.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **{FACTS: facts}, **result.arrays)

    def load(self, number: int, key: str) -> Result | None:
        """Return the result of a shard; None if there is none, or a damaged one."""
        try:
            content = io.BytesIO(self.path(number, key).read_bytes())
            with np.load(content, allow_pickle=False) as arrays:  # the checksums of ZIP are tested
                found = {name: arrays[name] for name in arrays.files}
            of, facts = json.loads(found.pop(FACTS).tobytes())
        except DAMAGED:
            return None
        return Result(facts, found) if of == key else None

    def missing(self, shards: Iterable[Shard], keys: list[str]) -> Iterator[Shard]:
        """Yield the shards that are not finished.

        Args:
            shards: All shards, in order.
            keys: List to which the key of each is added.
        """
        for shard in shards:
            keys.append(shard.key)
            if self.load(shard.number, shard.key) is None:
                yield shard

    def in_order(self, keys: list[str]) -> Iterator[Result]:
        """Yield the results of all shards in input order.

        Args:
            keys: Key of each shard, in order.

        Raises:
            AssertionError: One is missing, which would lose records.
        """
        for number, key in enumerate(keys, start=1):
            result = self.load(number, key)
            if result is None:
                raise AssertionError(f"shard {number} is not in {self.folder} any more")
            yield result

    def remove(self) -> None:
        """Remove the shards, and the folder if nothing else is in it."""
        for path in self.folder.glob("[0-9]*.npz"):
            path.unlink()
        (self.folder / MARKER).unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()
