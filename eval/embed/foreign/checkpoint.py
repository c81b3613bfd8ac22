"""Reading of published checkpoints: settings and tensors, without running any of their code.

In: a folder with `config.json` and `model.safetensors` or `pytorch_model.bin` (also sharded), or
one `.pt` file. Out: plain dictionaries, and tokenizers of known classes. Pickled files go through
PyTorch's weights-only reader, which refuses everything but tensors and plain containers.
Guarded by tests/eval/embed/foreign/test_checkpoint.py.
"""

import hashlib
import json
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from barcodemae.errors import CheckpointError, first_line
from barcodemae.stored.weights import check_finite


SAFETENSORS = "model*.safetensors"
PICKLED = "pytorch_model*.bin"
READ_ERRORS = (OSError, EOFError, RuntimeError, KeyError, ValueError, pickle.UnpicklingError)
MAX_TOKENS = 512  # BarcodeBERT's authors compare systems at this length; no barcode exceeds it
SHOWN_NAMES = 3  # names of weights in a message; more are counted


@dataclass(frozen=True)
class OpenedSystem:
    """A published system: a network with its weights, and its tokenizer.

    Attributes:
        tokenizer: Tokenizer of a class of transformers; none of the system's code is run.
        model: Network in float32 on the CPU; called with ids it returns `last_hidden_state`.
        fingerprint: First 16 hex digits of the SHA-256 of the weights.
        max_tokens: Largest number of tokens that the model reads.
        k: Length of a k-mer, bp, if all tokens are k-mers, else None.
        architecture: Architecture it was trained as, e.g. `encoder-only`.
    """

    tokenizer: Any
    model: Any
    fingerprint: str
    max_tokens: int = MAX_TOKENS
    k: int | None = None
    architecture: str = "encoder-only"


def read_settings(folder: Path) -> dict[str, Any]:
    """Return the `config.json` of a model folder.

    Raises:
        CheckpointError: The file cannot be read or is not a JSON object.
    """
    path = folder / "config.json"
    try:
        settings = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    if not isinstance(settings, dict):
        raise CheckpointError(f"{path}: not a JSON object")
    return settings


def require(settings: Mapping[str, Any], names: Iterable[str], source: Path) -> list[Any]:
    """Return the settings of the given names, in that order.

    Raises:
        CheckpointError: One is missing.
    """
    missing = [name for name in names if name not in settings]
    if missing:
        raise CheckpointError(f"{source}: its config lacks {', '.join(missing)}")
    return [settings[name] for name in names]


def read_pickled(path: Path, safe_globals: Iterable[Any] = ()) -> Any:
    """Read a file written by `torch.save` without running anything in it.

    Args:
        path: File to read.
        safe_globals: Classes and functions allowed beside tensors and plain containers, as for
            `torch.serialization.safe_globals`.

    Raises:
        CheckpointError: The file is damaged, or holds something that is not allowed.
    """
    try:
        with torch.serialization.safe_globals(list(safe_globals)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = [line.strip() for line in str(error).splitlines() if "GLOBAL" in line]
        reason = found[0] if found else "damaged, or it holds more than tensors and settings"
        raise CheckpointError(f"{path}: refused as unsafe: {reason}") from error
    except READ_ERRORS as error:
        raise CheckpointError(
            f"{path}: damaged or not a PyTorch checkpoint ({type(error).__name__})"
        ) from error


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        CheckpointError: The file is damaged.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: cannot be read as safetensors: {error}") from error


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Return all tensors of a model folder under their published names.

    Safetensors files are preferred; `pytorch_model.bin` is read without unpickling objects.

    Raises:
        CheckpointError: There are no weights, or they are damaged or unsafe.
    """
    safe = sorted(folder.glob(SAFETENSORS))
    files = safe or sorted(folder.glob(PICKLED))
    if not files:
        raise CheckpointError(
            f"{folder}: weights not available here: no {SAFETENSORS}, no {PICKLED}"
        )
    weights: dict[str, Tensor] = {}
    for path in files:
        part = read_safetensors(path) if safe else read_pickled(path)
        if not isinstance(part, dict) or not all(map(torch.is_tensor, part.values())):
            raise CheckpointError(f"{path}: holds more than named tensors")
        weights |= part
    return weights


def select(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the weights of the encoder, without the prefix of the model around it.

    Args:
        weights: All weights of the checkpoint.
        prefix: Prefix of the encoder's weights in a model with a head, e.g. `bert.`; a checkpoint
            without such names is taken for the encoder itself.
    """
    inside = {
        name.removeprefix(prefix): tensor
        for name, tensor in weights.items()
        if name.startswith(prefix)
    }
    return inside or dict(weights)


def fill(
    model: nn.Module, weights: Mapping[str, Tensor], *, unused: tuple[str, ...], source: Path
) -> str:
    """Copy published weights into a model; every name and shape must fit.

    Args:
        model: Model to fill.
        weights: Tensors by their names within the encoder.
        unused: Prefixes of the weights that embeddings do not depend on (poolers, heads).
        source: Folder or file, for messages.

    Returns:
        First 16 hex digits of the SHA-256 over names, types, shapes and values of what was used.

    Raises:
        CheckpointError: A weight is missing, unexpected, of another shape, or no number.
    """
    used = {name: tensor for name, tensor in weights.items() if not name.startswith(unused)}
    wanted = model.state_dict()
    raise_for_names(source, "lacks weights", sorted(wanted.keys() - used.keys()))
    raise_for_names(
        source, "has weights this model does not know", sorted(used.keys() - wanted.keys())
    )
    misfits = [
        f"{name} {tuple(used[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if used[name].shape != tensor.shape
    ]
    raise_for_names(source, "has weights of another shape than its config says", misfits)
    check_finite(used.items(), source)
    model.load_state_dict(used)
    return hash_tensors(used)


def open_tokenizer(kind: Any, folder: Path, vocab_size: int) -> Any:
    """Open a tokenizer of a known class, and check that its ids fit the embedding table.

    Args:
        kind: Tokenizer class of transformers; the class that the folder names is ignored.
        folder: Model folder.
        vocab_size: Number of rows of the embedding table.

    Raises:
        CheckpointError: The tokenizer is missing, damaged, or of another model.
    """
    try:
        tokenizer = kind.from_pretrained(folder)
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{folder}: cannot open its tokenizer: {first_line(error)}"
        ) from error
    largest = max(tokenizer.get_vocab().values(), default=-1)
    if not 0 <= largest < vocab_size:
        raise CheckpointError(
            f"{folder}: its tokenizer has ids up to {largest}, its weights {vocab_size} tokens"
        )
    return tokenizer


def load_encoder(model: nn.Module, folder: Path, *, prefix: str, unused: tuple[str, ...]) -> str:
    """Fill a model with the encoder weights of a folder, see `select` and `fill`.

    Args:
        model: Model to fill.
        folder: Model folder.
        prefix: Prefix of the encoder's weights in a model with a head.
        unused: Prefixes of the weights that embeddings do not depend on.

    Returns:
        Fingerprint of the weights.
    """
    return fill(model, select(read_weights(folder), prefix), unused=unused, source=folder)


def raise_for_names(source: Path, what: str, names: list[str]) -> None:
    """Raise an error about weights if there are any.

    Args:
        source: Folder or file.
        what: What is wrong with the weights.
        names: Names of the weights.

    Raises:
        CheckpointError: There are such weights; the message names the first of them.
    """
    if names:
        more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
        raise CheckpointError(f"{source} {what}: {', '.join(names[:SHOWN_NAMES])}{more}")


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Hash tensors by name, type, shape and value, whatever kind of file they came from."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
