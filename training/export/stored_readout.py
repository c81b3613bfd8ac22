"""A stored readout goes where its model goes, and does not outlive it.

In: a model folder. Out: the same `modules.json` and layers in a folder being written; or, in a
folder that gets other weights, no readout any more. Files are copied, not read: what they mean is
`eval/embed/readout.py`'s business. Guarded by tests/eval/embed/test_whitening.py.
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
    """Copy modules and `modules.json` if `source` has a readout.

    Raises:
        CheckpointError: `modules.json` names a folder that is not there, or one elsewhere.
    """
    if not readout_modules(source):
        return
    for kind, path in read_modules(source):
        if kind == "Normalize" or not path:  # nothing is stored for them
            continue
        if Path(path).name != path or not (source / path).is_dir():
            raise CheckpointError(f"{source / MODULES_FILE}: no folder {path} beside it")
        shutil.copytree(source / path, target / path, dirs_exist_ok=True)
    shutil.copyfile(source / MODULES_FILE, target / MODULES_FILE)


def drop_readout(folder: Path, unless_in: Path) -> None:
    """Remove an older readout from `folder` if the new content `unless_in` brings no modules."""
    if (unless_in / MODULES_FILE).exists() or not (folder / MODULES_FILE).exists():
        return
    (folder / MODULES_FILE).unlink()
    for name in (POOLING_FOLDER, DENSE_FOLDER):
        shutil.rmtree(folder / name, ignore_errors=True)
