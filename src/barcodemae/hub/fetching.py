"""A library on the Hub as a folder on this machine: `hf://OWNER/NAME@REVISION`.

In: what a user gave as a library. Out: a folder in the Hub's cache whose every file is what its
manifest says; from then on no network is needed for that revision. Other names are left as they
are. Guarded by tests/barcodemae/hub/test_hub_libraries.py.
"""

import re
from pathlib import Path
from typing import Any

from barcodemae.errors import DataError, SettingsError, first_line
from barcodemae.stored.manifest import MANIFEST, check_manifest


SCHEME = "hf://"
MAIN = "main"
COMMIT = re.compile(r"[0-9a-f]{40}")
NAME = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
LIBRARY_FILES = ["*.npy", "*.arrow", "*.json", "*.tsv", "*.faiss"]  # never code, never pickles


def is_on_hub(library: str | Path) -> bool:
    """Whether a library is named by its place on the Hub."""
    return str(library).startswith(SCHEME)


def fetch_library(library: str) -> Path:
    """Fetch a library from the Hub, or from its cache, and check every byte of it.

    Args:
        library: `hf://OWNER/NAME`, with `@REVISION` for a branch, tag or commit.

    Returns:
        Its folder in the cache.

    Raises:
        SettingsError: The name has another form.
        DataError: It is neither on the Hub nor in the cache, is not a library, or is damaged.
    """
    found = NAME.fullmatch(library.removeprefix(SCHEME))
    if found is None:
        raise SettingsError(f"{library}: write hf://OWNER/NAME or hf://OWNER/NAME@REVISION")
    folder = snapshot(library, found["repo"], found["revision"] or MAIN)
    if not (folder / MANIFEST).is_file():
        raise DataError(library, "is not a reference library: it has no manifest")
    try:
        check_manifest(folder, everything=True)
    except DataError as error:
        raise DataError(
            library,
            f"{error.problem}; remove {folder} to fetch it again, and tell its publisher if that "
            "does not help",
        ) from error
    return folder


def snapshot(library: str, repo: str, revision: str) -> Path:
    """Return the files of a revision: a commit from the cache if it is there, else from the Hub.

    Raises:
        DataError: It is in neither.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    wanted: dict[str, Any] = {
        "repo_type": "dataset",
        "revision": revision,
        "allow_patterns": LIBRARY_FILES,
    }
    if COMMIT.fullmatch(revision):
        try:
            cached = Path(snapshot_download(repo, local_files_only=True, **wanted))
            if (cached / MANIFEST).is_file():
                check_manifest(cached, everything=False)
                return cached
        except (LocalEntryNotFoundError, DataError):
            pass  # not there, or not whole: an earlier download may have been cut off
    try:
        return Path(snapshot_download(repo, **wanted))
    except (OSError, ValueError) as error:
        raise DataError(
            library, f"is neither on the Hub nor in its cache: {first_line(error)}"
        ) from error
