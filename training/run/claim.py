"""The folder of a run: whose it is, whether it may be continued, and who is writing to it now.

In: settings, and what is to be resumed. Out: the folder, with `settings.json` in it, locked while
the run lasts. A run that fails before it has measured anything leaves nothing behind; one that is
interrupted says how to go on. Guarded by tests/training/run/test_pretrain_resume.py and
tests/training/run/test_claim.py.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from barcodemae.errors import SettingsError
from barcodemae.output.lock import held
from barcodemae.output.places import check_folder
from barcodemae.stored.json_objects import read_object
from barcodemae.training.run.checkpoints import FOLDER, checkpoint_folders, step_of
from barcodemae.training.run.run_settings import RunSettings


SETTINGS_FILE = "settings.json"
MADE_FIRST = (SETTINGS_FILE, FOLDER, "cache")  # what there is before anything is measured
# Settings that may change when a run is resumed, because they do not affect the weights.
FREE_ON_RESUME = {
    "data", "output", "recipe", "checkpoint_every", "keep_checkpoints", "validate_every",
    "log_every", "max_val_barcodes", "memory_map", "num_workers", "track", "gradient_checkpointing",
}  # fmt: skip
LENGTH = {"max_steps", "epochs"}
Resume = bool | Path  # True for the newest checkpoint, or a checkpoint


@contextmanager
def run_folder(config: RunSettings) -> Iterator[None]:
    """Hold the output folder of a run while the block runs; of several processes, the first does.

    Args:
        config: The settings.

    Raises:
        SettingsError: Another run is writing there, or nothing can be written there.
    """
    if int(os.environ.get("RANK", "0")) > 0:
        yield
        return
    output = config.output
    check_folder(output, [config.data] if _is_same(output, config.data) else [])
    is_new = not output.exists() or not any(output.iterdir())
    with held(output):
        try:
            yield
        except KeyboardInterrupt as interrupt:
            if folders := checkpoint_folders(output):
                step = step_of(folders[-1])
                interrupt.add_note(f"the same command with --resume goes on after step {step}")
            elif is_new:
                remove_beginnings(output)
            raise
        except Exception:
            if is_new:
                remove_beginnings(output)
            raise


def _is_same(output: Path, data: Path) -> bool:
    return output.exists() and data.exists() and output.samefile(data)


def remove_beginnings(output: Path) -> None:
    """Remove what a run has made that has measured nothing; leave the folder if it holds more."""
    if checkpoint_folders(output) or not output.is_dir():
        return
    if {path.name for path in output.iterdir()} <= set(MADE_FIRST):
        for name in MADE_FIRST:
            shutil.rmtree(output / name, ignore_errors=True)
            with suppress(OSError):
                (output / name).unlink()
        with suppress(OSError):
            output.rmdir()


def claim_output(config: RunSettings, accelerator: Accelerator, *, resume: Resume) -> None:
    """Refuse an output folder that holds another run; otherwise write the settings to it.

    Raises:
        SettingsError: The folder holds a run, and `resume` is False or its settings differ.
        DataError: The settings of the run there are damaged.
    """
    path = config.output / SETTINGS_FILE
    if checkpoint_folders(config.output) and not resume:
        raise SettingsError(
            f"{config.output} already holds a run: continue it with --resume or choose another "
            "--output"
        )
    if resume and path.is_file():
        check_unchanged(config, read_object(path))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        config.output.mkdir(parents=True, exist_ok=True)
        config.save(path)


def check_unchanged(config: RunSettings, saved: dict[str, Any]) -> None:
    """Refuse to resume with settings that would give other weights.

    Args:
        config: The settings now.
        saved: The settings that the run was started with.

    Raises:
        SettingsError: Some differ; the message names them, and the way to train on for longer.
    """
    # A setting that was added after the run was started had its default then.
    before = config.defaults() | saved
    changed = {
        name: f"{name} was {before.get(name)!r}, is now {value!r}"
        for name, value in config.as_json().items()
        if name not in FREE_ON_RESUME and before.get(name) != value
    }
    if not changed:
        return
    why = ""
    if set(changed) <= LENGTH:
        start_from = "--initial-weights" if "initial_weights" in before else "--model"
        why = (
            " (the learning rate rises and falls once over the whole length, so a run cannot be "
            f"made longer; train on from its weights: {start_from} {config.output} and another "
            "--output)"
        )
    raise SettingsError(f"cannot resume {config.output}: {'; '.join(changed.values())}{why}")
