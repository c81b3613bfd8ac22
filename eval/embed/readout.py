"""Readout: the steps between the pooled vector and the embedding, as stored in the model folder.

In: a model folder, possibly with sentence-transformers' `modules.json`. Out: a function of pooled
vectors. Without that file, or with mean pooling alone, the readout is the identity. `Dense` layers
(e.g. whitening) and `Normalize` are applied in the order of the file, so that `embed`, all probes,
the pipeline and sentence-transformers return the same numbers. `save_readout` writes what
`load_readout` reads.
Guarded by tests/eval/embed/test_readout.py and tests/eval/embed/test_whitening.py.

Shapes: N = sequences, D = width of the encoder, E = width of the embedding.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from barcodemae.errors import CheckpointError
from barcodemae.files import staged_folder, write_json
from barcodemae.model_files import (
    DENSE_FOLDER,
    FITTED_ON_FILE,
    MODULES_FILE,
    POOLING_FOLDER,
    read_modules,
)
from barcodemae.stored.weights import read_header


IDENTITY_ACTIVATION = "torch.nn.modules.linear.Identity"


@dataclass(frozen=True)
class Dense:
    """A linear layer, y = x W' + b.

    Attributes:
        weight: Weight W, (out, in).
        bias: Bias b, (out,).
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Apply the layer to vectors, (N, in) to (N, out)."""
        # Not a matrix product: the sums of einsum do not depend on the number of rows.
        projected: NDArray[np.float32] = np.einsum("nd,ed->ne", vectors, self.weight)
        return projected + self.bias


@dataclass(frozen=True)
class Normalize:
    """Scaling of every vector to length 1."""

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale vectors (N, D)."""
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        scaled: NDArray[np.float32] = vectors / np.maximum(lengths, np.float32(1e-12))
        return scaled


@dataclass(frozen=True)
class Readout:
    """Steps between the masked mean and the embedding.

    Attributes:
        steps: Steps in the order they are applied; none by default.
    """

    steps: tuple[Dense | Normalize, ...] = ()

    def __call__(self, pooled: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn pooled vectors (N, D) into embeddings (N, E)."""
        for step in self.steps:
            pooled = step(pooled)
        return pooled


def read_json(path: Path) -> Any:
    """Read a JSON file of a model folder.

    Raises:
        CheckpointError: The file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error


def load_dense(folder: Path) -> Dense:
    """Read a sentence-transformers `Dense` module without an activation function.

    Raises:
        CheckpointError: The module has an activation function, or a file is missing.
    """
    settings = read_json(folder / "config.json")
    if settings.get("activation_function", IDENTITY_ACTIVATION) != IDENTITY_ACTIVATION:
        raise CheckpointError(
            f"{folder}: only linear Dense layers are read, not {settings['activation_function']}"
        )
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise CheckpointError(f"{folder}: no model.safetensors in it")
    read_header(weights)
    tensors = load_file(weights)
    weight = tensors.get("linear.weight", np.zeros(())).astype(np.float32)
    bias = tensors.get("linear.bias", np.zeros(len(weight) if weight.ndim else 0))
    if weight.ndim != 2 or bias.shape != weight.shape[:1]:
        raise CheckpointError(f"{weights}: its weights are not those of a linear layer")
    if not np.isfinite(weight).all() or not np.isfinite(bias).all():
        raise CheckpointError(f"{weights}: its weights hold NaN or infinite values")
    return Dense(weight, bias.astype(np.float32))


def load_readout(folder: Path) -> Readout:
    """Read the readout of a model folder.

    Raises:
        CheckpointError: `modules.json` names a pooling other than the mean, or a module that is
            not supported; without it the embedding would not be the model's own.
    """
    steps: list[Dense | Normalize] = []
    for kind, path in read_modules(folder):
        if kind == "Pooling":
            check_mean_pooling(folder / path)
        elif kind == "Dense":
            steps.append(load_dense(folder / path))
        elif kind == "Normalize":
            steps.append(Normalize())
        elif kind != "Transformer":
            raise CheckpointError(f"{folder / MODULES_FILE}: module {kind} is not supported")
    return Readout(tuple(steps))


def check_mean_pooling(folder: Path) -> None:
    """Check that a `Pooling` module is the mean over tokens.

    Raises:
        CheckpointError: It is another pooling.
    """
    settings = read_json(folder / "config.json")
    flags = {name for name, value in settings.items() if name.startswith("pooling_mode") and value}
    if not flags <= {"pooling_mode_mean_tokens", "pooling_mode"} or (
        settings.get("pooling_mode", "mean") != "mean"
    ):
        raise CheckpointError(f"{folder / 'config.json'}: pooling is not the mean over tokens")


def save_readout(
    folder: Path, dense: Dense, *, fitted_on: Mapping[str, object] | None = None
) -> None:
    """Store a linear layer as the readout of a model folder, in place of any other `Dense`.

    `modules.json`, which lists the layer, is written last: an interrupted call leaves the folder
    as it was, or a readout that is refused because its weights are missing.

    Args:
        folder: Model folder, full or of the native encoder.
        dense: Linear layer.
        fitted_on: Provenance of the layer, kept beside its weights.

    Raises:
        CheckpointError: The folder holds no model, one of another width, or a pooling other than
            the mean.
    """
    width = int(read_json(folder / "config.json")["hidden_size"])
    num_out, num_in = dense.weight.shape
    if num_in != width:
        raise CheckpointError(
            f"{folder}: the model is {width} wide, but the readout is for {num_in}"
        )
    ensure_mean_pooling(folder, width)
    settings = {
        "in_features": num_in,
        "out_features": num_out,
        "bias": True,
        "activation_function": IDENTITY_ACTIVATION,
    }
    tensors = {"linear.weight": dense.weight, "linear.bias": dense.bias}
    contiguous = {name: np.ascontiguousarray(values) for name, values in tensors.items()}
    try:
        with staged_folder(folder / DENSE_FOLDER, overwrite=True) as staging:
            save_file(contiguous, staging / "model.safetensors", metadata={"format": "pt"})
            write_json(staging / "config.json", settings)
            if fitted_on is not None:
                write_json(staging / FITTED_ON_FILE, fitted_on)
    except SafetensorError as error:  # safetensors wraps every OSError in this type
        raise CheckpointError(f"{folder}: the readout cannot be written: {error}") from error
    after = [module for module in read_modules(folder) if module[0] == "Normalize"]
    write_modules(
        folder,
        [("Transformer", ""), ("Pooling", POOLING_FOLDER), ("Dense", DENSE_FOLDER), *after],
    )


def ensure_mean_pooling(folder: Path, width: int) -> None:
    """Check the pooling of a folder, or write mean pooling if it has none."""
    config = folder / POOLING_FOLDER / "config.json"
    if config.is_file():
        check_mean_pooling(config.parent)
        return
    config.parent.mkdir(exist_ok=True)
    write_json(
        config,
        {
            "word_embedding_dimension": width,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
    )


def write_modules(folder: Path, modules: list[tuple[str, str]]) -> None:
    """Write `modules.json` with class names that every release of sentence-transformers reads."""
    listing = [
        {
            "idx": index,
            "name": str(index),
            "path": path,
            "type": f"sentence_transformers.models.{kind}",
        }
        for index, (kind, path) in enumerate(modules)
    ]
    write_json(folder / MODULES_FILE, listing)
