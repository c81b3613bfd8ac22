"""The files of a model folder that decide an embedding: weights, barcode frame and readout.

In: a model folder. Out: one fingerprint of everything that decides an embedding, and the list of
the modules in `modules.json`. Those after the mean of the tokens are the readout, which
`barcodemae.eval.embed.readout` reads and writes. Guarded by tests/eval/embed/test_whitening.py and
tests/model_cards/test_model_folder.py.
"""

import hashlib
import json
from pathlib import Path

from barcodemae.errors import CheckpointError


MODULES_FILE = "modules.json"
POOLING_FOLDER = "1_Pooling"
DENSE_FOLDER = "2_Dense"
FITTED_ON_FILE = "fitted_on.json"
# Modules of every model, with or without a readout.
BEFORE_READOUT = ("Transformer", "Pooling")


def read_modules(folder: Path) -> list[tuple[str, str]]:
    """Read the modules of a folder.

    Returns:
        Kind, and path below the folder, of each module in order; empty without `modules.json`.

    Raises:
        CheckpointError: `modules.json` is not a list of modules.
    """
    listing = folder / MODULES_FILE
    if not listing.is_file():
        return []
    try:
        return [
            (str(module["type"]).rsplit(".", maxsplit=1)[-1], str(module["path"]))
            for module in json.loads(listing.read_text())
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{listing}: cannot be read: {error!r}") from error


def readout_modules(folder: Path) -> list[tuple[str, str]]:
    """Read kind and path of the modules that follow the mean; empty without a readout."""
    return [module for module in read_modules(folder) if module[0] not in BEFORE_READOUT]


def hash_weights(folder: Path) -> str:
    """Fingerprint a model folder: SHA-256 over weights, frame and readout, first 16 hex digits.

    Raises:
        CheckpointError: The weights, or those of the readout, are missing.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError(f"{folder}: no *.safetensors weights in it")
    digest = hashlib.sha256()
    for file in files:
        digest.update(hash_file(file))
    for row in read_frame(folder):
        digest.update(row.encode())
    for kind, path in readout_modules(folder):
        digest.update(kind.encode())
        if kind == "Dense":
            digest.update(hash_file(folder / path / "model.safetensors"))
    return digest.hexdigest()[:16]


def read_frame(folder: Path) -> list[str]:
    """Read the rows of the frame in which the tokenizer places barcodes; empty without one.

    Raises:
        CheckpointError: `tokenizer_config.json` exists but cannot be read.
    """
    config = folder / "tokenizer_config.json"
    if not config.is_file():
        return []
    try:
        settings = json.loads(config.read_text())
        return [str(row) for row in settings.get("frame") or ()]
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{config}: cannot be read: {error!r}") from error


def hash_file(path: Path) -> bytes:
    """Hash the content of a file with SHA-256.

    Raises:
        CheckpointError: The file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
