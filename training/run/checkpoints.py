"""Checkpoints that survive a kill at any moment and a full disk.

    OUT/checkpoints/step-00000400/   accelerate's state and `state.json`

A checkpoint is written under a temporary name and renamed when it is complete, so a folder
called `step-*` is always whole; older ones are removed only after that. The temporary name is
not that of `barcodemae.files.scratch_folder`, as all processes of a run, on all its machines, write
into one checkpoint and have to know its name; a kill leaves it to the next checkpoint to remove.
Guarded by tests/training/run/test_checkpoints.py and test_pretrain_resume.py.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from barcodemae.errors import CheckpointError
from barcodemae.files import replace_folder


FOLDER = "checkpoints"
STATE_FILE = "state.json"
NAME = re.compile(r"step-(\d+)")
TEMPORARY = ".tmp-"


def checkpoint_folders(output: Path) -> list[Path]:
    """List the complete checkpoints of a run, oldest first."""
    folders = [folder for folder in (output / FOLDER).glob("step-*") if step_of(folder) is not None]
    return sorted(folders, key=lambda folder: step_of(folder) or 0)


def step_of(folder: Path) -> int | None:
    """Steps done when a checkpoint was saved, from its name; None if it is no checkpoint."""
    match = NAME.fullmatch(folder.name)
    return int(match[1]) if match else None


def save_checkpoint(
    accelerator: Accelerator, output: Path, step: int, state: dict[str, Any], keep: int
) -> Path:
    """Save everything needed to continue after `step` steps; called by every process.

    Args:
        accelerator: Holds the model and the optimiser.
        output: Folder of the run.
        step: Steps done so far.
        state: What else to keep, as JSON.
        keep: How many checkpoints to leave.

    Returns:
        The new checkpoint.

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
            replace_folder(temporary, folder)
            remove_old(output, keep)
    except Exception as error:  # safetensors and torch wrap OSError in types of their own
        shutil.rmtree(temporary, ignore_errors=True)
        last = checkpoint_folders(output)
        kept = f"the last good one is {last[-1]}" if last else "there is no earlier one"
        raise CheckpointError(f"cannot save checkpoint {folder}: {error}; {kept}") from error
    accelerator.wait_for_everyone()
    return folder


def remove_old(output: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints, and what killed runs left unfinished."""
    stale = checkpoint_folders(output)[:-keep] + list((output / FOLDER).glob(TEMPORARY + "*"))
    for folder in stale:
        shutil.rmtree(folder, ignore_errors=True)


def load_latest(accelerator: Accelerator, output: Path) -> dict[str, Any] | None:
    """Restore the newest checkpoint of a run into the prepared objects.

    Returns:
        The saved JSON state with `step`, or None if the run has no checkpoint yet.

    Raises:
        CheckpointError: The checkpoint does not fit the model or is damaged.
    """
    folders = checkpoint_folders(output)
    if not folders:
        return None
    try:
        state: dict[str, Any] = json.loads((folders[-1] / STATE_FILE).read_text())
        accelerator.load_state(str(folders[-1]))
    except Exception as error:  # whatever torch, safetensors or json object to
        raise CheckpointError(f"cannot resume from {folders[-1]}: {error}") from error
    return state
