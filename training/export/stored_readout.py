"""Copying and removing the stored readout of a model folder.

A readout is the layers that follow the mean of the tokens, fitted to one model's weights. So it is
copied with the weights it belongs to, and removed when a folder gets others.

In: a model folder. Out: the same `modules.json` and layers in a folder that is being written, or no
readout any more. Files are copied unread; `eval/embed/readout.py` interprets them.
Guarded by tests/eval/embed/test_whitening.py.
"""

import shutil
from pathlib import Path

from barcodemae.errors import CheckpointError
from barcodemae.model_files import (
    DENSE_FOLDER,
    MODULES_FILE,
    POOLING_FOLDER,
    read_modules,
    readout_modules,
)


def copy_readout(source: Path, target: Path) -> None:
    """Copy the layers and `modules.json` if `source` has a readout.

    Raises:
        CheckpointError: `modules.json` names a folder that is missing, or not inside `source`.
    """
    if not readout_modules(source):
        return
    for kind, path in read_modules(source):
        if kind == "Normalize" or not path:  # these have no files
            continue
        if Path(path).name != path or not (source / path).is_dir():
            raise CheckpointError(f"{source / MODULES_FILE}: no folder {path} beside it")
        shutil.copytree(source / path, target / path, dirs_exist_ok=True)
    shutil.copyfile(source / MODULES_FILE, target / MODULES_FILE)


def drop_readout(folder: Path, unless_in: Path) -> None:
    """Remove the readout in `folder`, unless the new content in `unless_in` has modules itself."""
    if (unless_in / MODULES_FILE).exists() or not (folder / MODULES_FILE).exists():
        return
    (folder / MODULES_FILE).unlink()
    for name in (POOLING_FOLDER, DENSE_FOLDER):
        shutil.rmtree(folder / name, ignore_errors=True)
