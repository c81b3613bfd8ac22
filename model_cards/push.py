"""Publish a model folder on the Hub: checked, in one commit, and looked at afterwards.

In: a folder written by `barcodemae export` with its card. Out: a repository whose newest commit
holds exactly the files of that folder, and the id of that commit. A push that was interrupted is
repeated by running it again; nothing is called done before the Hub's own listing agrees with
every size and hash. Guarded by tests/model_cards/test_push.py.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
)
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils._validators import validate_repo_id

from barcodemae.errors import BarcodeMAEError, CheckpointError, first_line
from barcodemae.model_cards.model_folder import CARD_FILE, ModelFolder


HUB_OWN_FILES = {".gitattributes"}  # written by the Hub into every repository
NUM_ATTEMPTS = 4
FIRST_WAIT_SECONDS = 2.0
TRANSIENT = {429, 500, 502, 503, 504}
ADVICE = {
    400: "the Hub refuses the request",
    401: "not logged in: run `hf auth login` or set HF_TOKEN",
    403: "this account may not write there",
    404: "no such repository, or this account may not see it",
    409: "someone else is writing to it; run the same command again",
    413: "a file is too large",
    429: "too many requests; wait some minutes and run the same command again",
}
# What a broken connection raises; the class is httpx's, whose name differs between releases of
# huggingface_hub.
CONNECTION_ERROR: type[Exception] = HfHubHTTPError.__bases__[0]
Result = TypeVar("Result")


class PushError(BarcodeMAEError):
    """A push that did not reach its end; running the same command again continues it."""


@dataclass(frozen=True)
class PlannedFile:
    """A file to publish: name in the repository, source, bytes, SHA-256 and git's own id."""

    name: str
    source: Path
    size: int
    sha256: str
    blob_id: str


@dataclass(frozen=True)
class PushPlan:
    """Everything that one repository is to hold."""

    repo_id: str
    files: list[PlannedFile]


def plan_push(folder: ModelFolder, repo_id: str) -> PushPlan:
    """Check a folder and list what would be published; touches no network.

    Raises:
        CheckpointError: The folder is incomplete, dirty, unsafe, or its card speaks of another
            repository.
    """
    check_name(repo_id)
    folder.check_publishable()
    if f'"{repo_id}"' not in (folder.path / CARD_FILE).read_text():
        raise CheckpointError(
            f"{folder.path / CARD_FILE}: its code does not open {repo_id}; run `barcodemae card` "
            "with the names of the repositories"
        )
    files = [plan_file(folder.path, file) for file in folder.files()]
    return PushPlan(repo_id, files)


def check_name(repo_id: str) -> None:
    """Refuse a name that is not `owner/name`.

    Raises:
        PushError: It is not.
    """
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise PushError(f"{repo_id}: {error}") from error
    if "/" not in repo_id:
        raise PushError(f"{repo_id}: say whose it is: OWNER/{repo_id}")


def plan_file(root: Path, file: Path) -> PlannedFile:
    """Measure and hash one file."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
        blob = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        while block := stream.read(1 << 20):
            blob.update(block)
    return PlannedFile(file.relative_to(root).as_posix(), file, size, sha256, blob.hexdigest())


def push(plan: PushPlan, *, private: bool = False, api: HfApi | None = None) -> str:
    """Publish one plan as one commit.

    Args:
        plan: What to publish.
        private: Make a new repository private; an existing one stays as it is.
        api: Connection to the Hub; the logged-in user's by default.

    Returns:
        The id of the commit that holds exactly the planned files.

    Raises:
        PushError: It did not come to that; says what to do.
    """
    api = api or HfApi(library_name="barcodemae")
    persist(
        plan.repo_id,
        "creating it",
        lambda: api.create_repo(plan.repo_id, private=private, exist_ok=True),
    )
    revision = persist(plan.repo_id, "uploading", lambda: commit(api, plan))
    check_published(api, plan, revision)
    return revision


def commit(api: HfApi, plan: PushPlan) -> str:
    """Upload what is new and commit it together with the removal of what is gone.

    Running it again after a cut is safe: files that arrived are not sent again, and if the commit
    itself had arrived, there is nothing left to change and its id is returned.
    """
    held = {entry.path for entry in api.list_repo_tree(plan.repo_id, recursive=True)
            if isinstance(entry, RepoFile)}  # fmt: skip
    wanted = {file.name for file in plan.files}
    operations: list[CommitOperationAdd | CommitOperationDelete | CommitOperationCopy] = [
        *(CommitOperationAdd(file.name, file.source) for file in plan.files),
        *(CommitOperationDelete(name) for name in sorted(held - wanted - HUB_OWN_FILES)),
    ]
    done = api.create_commit(
        plan.repo_id, operations, commit_message="Publish the model with its card"
    )
    return str(done.oid)


def check_published(api: HfApi, plan: PushPlan, revision: str) -> None:
    """Compare the Hub's listing of a commit with the plan.

    Raises:
        PushError: A file is missing, differs, or is one too many.
    """
    entries = persist(
        plan.repo_id,
        "checking what arrived",
        lambda: list(api.list_repo_tree(plan.repo_id, recursive=True, revision=revision)),
    )
    held = {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}
    for file in plan.files:
        entry = held.pop(file.name, None)
        if entry is None:
            raise PushError(f"{plan.repo_id}: {file.name} is not in commit {revision}")
        arrived = entry.lfs.sha256 if entry.lfs is not None else entry.blob_id
        if entry.size != file.size or arrived not in (file.sha256, file.blob_id):
            raise PushError(f"{plan.repo_id}: {file.name} in commit {revision} differs from ours")
    extra = sorted(set(held) - HUB_OWN_FILES)
    if extra:
        raise PushError(f"{plan.repo_id}: commit {revision} also holds {extra[0]}; push again")


def persist(repo_id: str, what: str, attempt: Callable[[], Result]) -> Result:
    """Try until it works, for troubles that pass; the others become one line.

    Raises:
        PushError: Says what was being done, what the Hub answered, and what to do.
    """
    wait = FIRST_WAIT_SECONDS
    for remaining in reversed(range(NUM_ATTEMPTS)):
        try:
            return attempt()
        except OfflineModeIsEnabled as error:
            raise PushError(f"{repo_id}: offline mode is on (HF_HUB_OFFLINE)") from error
        except (CONNECTION_ERROR, RuntimeError, ValueError, OSError) as error:
            status, passes = diagnose(error)
            if not passes or not remaining:
                raise PushError(explain(repo_id, what, status, error)) from error
        time.sleep(wait)
        wait *= 2
    raise AssertionError("unreachable")


def diagnose(error: BaseException) -> tuple[int | None, bool]:
    """Status of an error, if the Hub gave one, and whether the trouble may pass by itself."""
    cause: BaseException | None = error
    while cause is not None:  # large files report their trouble inside a RuntimeError
        if isinstance(cause, HfHubHTTPError) and cause.response is not None:
            status = int(cause.response.status_code)
            return status, status in TRANSIENT
        if isinstance(cause, CONNECTION_ERROR):
            return None, True
        cause = cause.__cause__
    return None, False


def explain(repo_id: str, what: str, status: int | None, error: BaseException) -> str:
    """One line on what went wrong and what to do; says that the push is not complete."""
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    reason = first_line(root)
    if status is not None:
        advice = ADVICE.get(status, "the Hub is in trouble; run the same command again later")
        reason = f"HTTP {status}: {advice}"
    elif diagnose(error)[1]:
        reason = f"no connection ({reason}); run the same command again"
    return f"{repo_id}: not published: {what} failed: {reason}"
