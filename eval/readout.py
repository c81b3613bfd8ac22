"""What happens to a pooled vector before anybody sees it, as stored in the model folder.

In: a model folder, possibly with sentence-transformers' `modules.json`. Out: a function of the
pooled vectors. Without the file, or with mean pooling alone, the readout is the identity; `Dense`
layers (e.g. whitening) and `Normalize` are applied in the order written, so that `embed`, every
probe and sentence-transformers return the same numbers. Guarded by tests/eval/test_readout.py.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from barcodemae.errors import CheckpointError


IDENTITY_ACTIVATION = "torch.nn.modules.linear.Identity"


@dataclass(frozen=True)
class Dense:
    """A linear layer, y = x W' + b.

    Attributes:
        weight: (out, in).
        bias: (out,).
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Apply to vectors (N, in), giving (N, out)."""
        # einsum, not a matrix product: its sums do not depend on how many rows there are.
        projected: NDArray[np.float32] = np.einsum("nd,ed->ne", vectors, self.weight)
        return projected + self.bias


@dataclass(frozen=True)
class Normalize:
    """Scale every vector to length 1."""

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Apply to vectors (N, D)."""
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        scaled: NDArray[np.float32] = vectors / np.maximum(lengths, np.float32(1e-12))
        return scaled


@dataclass(frozen=True)
class Readout:
    """The steps between the masked mean and the embedding; none by default."""

    steps: tuple[Dense | Normalize, ...] = ()

    def __call__(self, pooled: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn pooled vectors (N, D) into embeddings (N, E)."""
        for step in self.steps:
            pooled = step(pooled)
        return pooled


def read_json(path: Path) -> Any:
    """Read a JSON file of a model folder.

    Raises:
        CheckpointError: Missing or not JSON.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error


def load_dense(folder: Path) -> Dense:
    """Read a sentence-transformers `Dense` module without an activation function."""
    settings = read_json(folder / "config.json")
    if settings.get("activation_function", IDENTITY_ACTIVATION) != IDENTITY_ACTIVATION:
        raise CheckpointError(
            f"{folder}: only linear Dense layers are read, not {settings['activation_function']}"
        )
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise CheckpointError(f"{folder}: no model.safetensors in it")
    tensors = load_file(weights)
    weight = tensors["linear.weight"].astype(np.float32)
    bias = tensors.get("linear.bias", np.zeros(len(weight))).astype(np.float32)
    return Dense(weight, bias)


def load_readout(folder: Path) -> Readout:
    """Read the readout of a model folder.

    Raises:
        CheckpointError: `modules.json` asks for another pooling than the mean, or for a module
            that is not read here; guessing would give another embedding than the model's own.
    """
    listing = folder / "modules.json"
    if not listing.is_file():
        return Readout()
    steps: list[Dense | Normalize] = []
    for module in read_json(listing):
        kind = str(module["type"]).rsplit(".", maxsplit=1)[-1]
        place = folder / module["path"]
        if kind == "Pooling":
            check_mean_pooling(place)
        elif kind == "Dense":
            steps.append(load_dense(place))
        elif kind == "Normalize":
            steps.append(Normalize())
        elif kind != "Transformer":
            raise CheckpointError(f"{listing}: module {kind} is not supported")
    return Readout(tuple(steps))


def check_mean_pooling(folder: Path) -> None:
    """Insist that a `Pooling` module is the mean over tokens.

    Raises:
        CheckpointError: It is another pooling.
    """
    settings = read_json(folder / "config.json")
    flags = {name for name, value in settings.items() if name.startswith("pooling_mode") and value}
    if not flags <= {"pooling_mode_mean_tokens", "pooling_mode"} or (
        settings.get("pooling_mode", "mean") != "mean"
    ):
        raise CheckpointError(f"{folder / 'config.json'}: pooling is not the mean over tokens")
