"""Checkpoints of a run that stay intact when it is killed or the disk is full.

    OUT/checkpoints/step-00000400/   accelerate's state, `state.json`, and hashes of all files

A checkpoint is written under a temporary name and renamed when it is complete, so a folder named
`step-*` is never partial; older ones are removed only after that. It is not made with
`barcodemae.files.staged_folder`, as all processes of a run, on all its machines, write into one
checkpoint: its temporary name follows from the step, so that each of them knows it. What a killed
run left is removed with the next checkpoint.

In: an accelerator with its prepared objects, and a state as JSON. Out: checkpoint folders, and the
state restored from the newest, or from another one. No byte of it may have changed since.
Guarded by tests/training/run/test_checkpoints.py and tests/training/run/test_pretrain_resume.py.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from barcodemae.errors import CheckpointError, DataError, first_line
from barcodemae.files import replace_folder
from barcodemae.stored.json_objects import read_object
from barcodemae.stored.manifest import check_manifest, write_manifest


FOLDER = "checkpoints"
STATE_FILE = "state.json"
NAME = re.compile(r"step-(\d+)")
TEMPORARY = ".tmp-"


def checkpoint_folders(output: Path) -> list[Path]:
    """List the complete checkpoints of a run, the oldest first."""
    folders = [folder for folder in (output / FOLDER).glob("step-*") if step_of(folder) is not None]
    return sorted(folders, key=lambda folder: step_of(folder) or 0)


def step_of(folder: Path) -> int | None:
    """Read from its name after how many steps a checkpoint was saved; None for another folder."""
    match = NAME.fullmatch(folder.name)
    return int(match[1]) if match else None


def save_checkpoint(
    accelerator: Accelerator, output: Path, step: int, state: dict[str, Any], keep: int
) -> Path:
    """Save everything that is needed to continue after `step` steps; called by every process.

    Args:
        accelerator: Accelerator that has prepared the model and the optimiser.
        output: Folder of the run.
        step: Number of steps done so far.
        state: What else to save, as JSON.
        keep: Number of checkpoints to keep, this one included.

    Returns:
        Folder of the new checkpoint.

    Raises:
        CheckpointError: The disk is full or cannot be written; earlier checkpoints are intact.
    """
    folder = output / FOLDER / f"step-{step:08d}"
    temporary = folder.with_name(TEMPORARY + folder.name)
    if accelerator.is_main_process:
        shutil.rmtree(temporary, ignore_errors=True)
    accelerator.wait_for_everyone()
    try:
        temporary.mkdir(parents=True, exist_ok=True)
        accelerator.save_state(str(temporary))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            (temporary / STATE_FILE).write_text(json.dumps({"step": step, **state}) + "\n")
            write_manifest(temporary)
            replace_folder(temporary, folder)
            remove_old(output, keep)
    except Exception as error:  # safetensors and torch wrap OSError in types of their own
        shutil.rmtree(temporary, ignore_errors=True)
        earlier = checkpoint_folders(output)
        newest = f"the last good one is {earlier[-1]}" if earlier else "there is no earlier one"
        raise CheckpointError(f"cannot save checkpoint {folder}: {error}; {newest}") from error
    accelerator.wait_for_everyone()
    return folder


def remove_old(output: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints, and incomplete ones of killed runs."""
    stale = checkpoint_folders(output)[:-keep] + list((output / FOLDER).glob(TEMPORARY + "*"))
    for folder in stale:
        shutil.rmtree(folder, ignore_errors=True)


def load_checkpoint(
    accelerator: Accelerator, output: Path, chosen: bool | Path = True
) -> dict[str, Any] | None:
    """Restore a checkpoint of a run into the prepared objects.

    Args:
        accelerator: Accelerator that has prepared the model and the optimiser.
        output: Folder of the run.
        chosen: The checkpoint, or True for the newest. Once it is restored, newer ones are
            removed: the run goes on from here.

    Returns:
        The state that was saved, with `step`; None if the run has no checkpoint yet.

    Raises:
        CheckpointError: The checkpoint is no checkpoint of this run, is damaged, or does not fit
            the model; the message names the next older one.
    """
    folders = checkpoint_folders(output)
    if not folders and chosen is True:
        return None
    place = folders[-1] if isinstance(chosen, bool) else find_checkpoint(output, chosen)
    try:
        check_manifest(place, everything=True)
        state: dict[str, Any] = read_object(place / STATE_FILE)
        accelerator.load_state(str(place))
    except Exception as error:  # torch, safetensors and json raise many types
        reason = error.problem if isinstance(error, DataError) else first_line(error)
        raise CheckpointError(
            f"cannot resume from {place}: {reason}; {older_than(place, folders)}"
        ) from error
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        for newer in folders[folders.index(place) + 1 :]:
            shutil.rmtree(newer, ignore_errors=True)
    return state


def find_checkpoint(output: Path, chosen: Path) -> Path:
    """Find a checkpoint of a run by its name, or by its path.

    Raises:
        CheckpointError: The run has no such checkpoint.
    """
    folders = checkpoint_folders(output)
    for folder in folders:
        if chosen.name == folder.name and (chosen.parent == Path() or chosen.samefile(folder)):
            return folder
    names = ", ".join(folder.name for folder in folders) or "none"
    raise CheckpointError(f"{output} has no checkpoint {chosen}; it has {names}")


def older_than(place: Path, folders: list[Path]) -> str:
    """Say which checkpoint is the next older one, and how to go on from there."""
    older = folders[: folders.index(place)]
    if not older:
        return "there is no older one; start again with another --output"
    return f"the next older one is {older[-1].name}: go on with --resume-from {older[-1].name}"
