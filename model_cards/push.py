"""Publishing of a model folder on the Hub: checked before, in one commit, verified afterwards.

In: a folder written by `barcodemae export`, with its card. Out: a repository whose newest commit
holds exactly the files of that folder, and the id of that commit. An interrupted push is completed
by running it again. A push counts as done only when every size and hash in the Hub's listing equals
those of the folder. Guarded by tests/model_cards/test_push.py.
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
    constants,
)
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils._validators import validate_repo_id

from barcodemae.errors import BarcodeMAEError, CheckpointError, first_line
from barcodemae.model_cards.model_folder import CARD_FILE, ModelFolder


HUB_OWN_FILES = {".gitattributes"}  # written by the Hub into every repository
NUM_ATTEMPTS = 4  # of one request
FIRST_WAIT_SECONDS = 2.0
PATIENCE_SECONDS = 30.0  # from the first error of a push on; then no request is made again
UPLOADING = "uploading"
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
# The class of connection errors. It is httpx's, under a name that differs between releases of
# huggingface_hub, hence this way to find it.
CONNECTION_ERROR: type[Exception] = HfHubHTTPError.__bases__[0]
Result = TypeVar("Result")


class PushError(BarcodeMAEError):
    """A push that was not completed; running the same command again continues it."""


@dataclass(frozen=True)
class PlannedFile:
    """A file to publish.

    Attributes:
        name: Name in the repository.
        source: Path on this machine.
        size: Size in bytes.
        sha256: SHA-256 of the content, in hex digits.
        blob_id: Git blob id of the content, in hex digits.
    """

    name: str
    source: Path
    size: int
    sha256: str
    blob_id: str


@dataclass(frozen=True)
class PushPlan:
    """Content of a repository after a push.

    Attributes:
        repo_id: Name of the repository, `owner/name`.
        files: All files it will hold.
        repo_type: `model`, or `dataset` for what is data.
    """

    repo_id: str
    files: list[PlannedFile]
    repo_type: str = "model"


def plan_push(folder: ModelFolder, repo_id: str) -> PushPlan:
    """Check a folder and list the files to publish, without using the network.

    Args:
        folder: Model folder with its card.
        repo_id: Name of the repository, `owner/name`.

    Raises:
        CheckpointError: The folder is incomplete or unsafe, has files that do not belong to a
            model, or its card is about another repository.
        PushError: The name of the repository is invalid.
    """
    check_name(repo_id)
    folder.check_publishable()
    if f'"{repo_id}"' not in (folder.path / CARD_FILE).read_text():
        raise CheckpointError(
            f"{folder.path / CARD_FILE}: its code does not open {repo_id}; run `barcodemae card` "
            "again with the names of the repositories"
        )
    files = [plan_file(folder.path, file) for file in folder.files()]
    return PushPlan(repo_id, files)


def check_name(repo_id: str) -> None:
    """Check that a name has the form `owner/name`.

    Raises:
        PushError: It has not.
    """
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise PushError(f"{repo_id}: {error}") from error
    if "/" not in repo_id:
        raise PushError(f"{repo_id}: the owner is missing; write OWNER/{repo_id}")


def plan_file(root: Path, file: Path) -> PlannedFile:
    """Read size and hashes of one file of the folder `root`."""
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
        plan: Files to publish, and where.
        private: Whether a new repository is private; an existing one is not changed.
        api: Client of the Hub, None for that of the logged-in user.

    Returns:
        Id of the commit that holds exactly the planned files.

    Raises:
        PushError: The push failed; the message says what to do.
    """
    api = api or HfApi(library_name="barcodemae")
    patience = Patience()
    retry(
        plan.repo_id,
        "creating it",
        lambda: api.create_repo(
            plan.repo_id, private=private, exist_ok=True, repo_type=plan.repo_type
        ),
        patience,
    )
    revision = retry(plan.repo_id, UPLOADING, lambda: commit(api, plan), patience)
    check_published(api, plan, revision, patience)
    return revision


def commit(api: HfApi, plan: PushPlan) -> str:
    """Upload new and changed files, and commit them together with the deletion of all others.

    It is safe to run again after a broken connection: files that have arrived are not sent again,
    and if the commit itself has arrived, nothing changes and its id is returned.
    """
    entries = api.list_repo_tree(plan.repo_id, recursive=True, repo_type=plan.repo_type)
    held = {entry.path for entry in entries if isinstance(entry, RepoFile)}
    wanted = {file.name for file in plan.files}
    operations: list[CommitOperationAdd | CommitOperationDelete | CommitOperationCopy] = [
        *(CommitOperationAdd(file.name, file.source) for file in plan.files),
        *(CommitOperationDelete(name) for name in sorted(held - wanted - HUB_OWN_FILES)),
    ]
    done = api.create_commit(
        plan.repo_id,
        operations,
        commit_message=f"Publish the {plan.repo_type} with its card",
        repo_type=plan.repo_type,
    )
    return str(done.oid)


def check_published(
    api: HfApi, plan: PushPlan, revision: str, patience: "Patience | None" = None
) -> None:
    """Compare the Hub's listing of a commit with the plan.

    Args:
        api: Client of the Hub.
        plan: Files that were published.
        revision: Id of the commit.
        patience: Patience of the push; None for a new one.

    Raises:
        PushError: A file is missing, differs, or is not in the plan.
    """
    entries = retry(
        plan.repo_id,
        "checking what arrived",
        lambda: list(
            api.list_repo_tree(
                plan.repo_id, recursive=True, revision=revision, repo_type=plan.repo_type
            )
        ),
        patience or Patience(),
    )
    held = {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}
    for file in plan.files:
        entry = held.pop(file.name, None)
        if entry is None:
            raise PushError(f"{plan.repo_id}: {file.name} is not in commit {revision}; push again")
        arrived = entry.lfs.sha256 if entry.lfs is not None else entry.blob_id
        if entry.size != file.size or arrived not in (file.sha256, file.blob_id):
            raise PushError(
                f"{plan.repo_id}: {file.name} in commit {revision} differs from the local file; "
                "push again"
            )
    extra = sorted(set(held) - HUB_OWN_FILES)
    if extra:
        raise PushError(f"{plan.repo_id}: commit {revision} also holds {extra[0]}; push again")


class Patience:
    """The time that a push waits for the Hub to recover, over all its requests."""

    def __init__(self) -> None:
        self.end: float | None = None

    def is_over(self, wait: float) -> bool:
        """Whether nothing is left after another wait, in seconds; starts with the first call."""
        if self.end is None:
            self.end = time.monotonic() + PATIENCE_SECONDS
        return time.monotonic() + wait > self.end


def retry(repo_id: str, what: str, attempt: Callable[[], Result], patience: Patience) -> Result:
    """Repeat a request while its errors are temporary.

    Args:
        repo_id: Name of the repository, for messages.
        what: What the request does, for messages.
        attempt: Function that makes the request.
        patience: What is left of it for the whole push.

    Returns:
        Result of the request.

    Raises:
        PushError: The request failed; the message says what the Hub answered and what to do.
    """
    wait = FIRST_WAIT_SECONDS
    for remaining in reversed(range(NUM_ATTEMPTS)):
        try:
            return attempt()
        except OfflineModeIsEnabled as error:
            raise PushError(
                f"{repo_id}: offline mode is on; unset HF_HUB_OFFLINE and run again"
            ) from error
        except (KeyError, TypeError, AttributeError) as error:  # as the client reads an answer
            reason = f"the Hub's answer lacks what it should say ({first_line(error)})"
            raise PushError(
                f"{repo_id}: not published: {what} failed: {reason}{doubt(repo_id, what)}"
            ) from error
        except (CONNECTION_ERROR, RuntimeError, ValueError, OSError) as error:
            status, is_temporary = diagnose(error)
            if not is_temporary or not remaining or patience.is_over(wait):
                raise PushError(explain(repo_id, what, status, error)) from error
        time.sleep(wait)
        wait *= 2
    raise AssertionError("unreachable")


def doubt(repo_id: str, what: str) -> str:
    """Say how to check whether the commit was made, where that is not known; else nothing."""
    if what != UPLOADING:
        return ""
    return (
        "; the commit may have been made all the same: look at "
        f"{constants.ENDPOINT}/{repo_id}/commits/main, or run the same command again, which "
        "changes nothing if it was"
    )


def diagnose(error: BaseException) -> tuple[int | None, bool]:
    """Return the HTTP status of an error, None without one, and whether it may be temporary."""
    cause: BaseException | None = error
    while cause is not None:  # uploads of large files wrap their errors in a RuntimeError
        if isinstance(cause, HfHubHTTPError) and cause.response is not None:
            status = int(cause.response.status_code)
            return status, status in TRANSIENT
        if isinstance(cause, CONNECTION_ERROR):
            return None, True
        cause = cause.__cause__
    return None, False


def explain(repo_id: str, what: str, status: int | None, error: BaseException) -> str:
    """Return one line on what failed and what to do.

    Args:
        repo_id: Name of the repository.
        what: What the request does.
        status: HTTP status, None without one.
        error: Error that the request raised.
    """
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    reason = first_line(root)
    if status is not None:
        advice = ADVICE.get(status, "the Hub has a problem; run the same command again later")
        reason = f"HTTP {status}: {advice}"
    elif diagnose(error)[1]:
        reason = f"no connection ({reason}); run the same command again"
    is_unsure = status is None or status >= 500
    return f"{repo_id}: not published: {what} failed: {reason}" + (
        doubt(repo_id, what) if is_unsure else ""
    )
