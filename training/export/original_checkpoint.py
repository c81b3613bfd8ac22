"""A safe reader of checkpoints of the original BarcodeMAE and BarcodeBERT code.

In: a `.pt` file as written by `safe_save_model` of the original code: the encoder (BarcodeMAE) or
the whole `BertForTokenClassification` (BarcodeBERT), its `BertConfig` as a dictionary, the command
line as `argparse.Namespace`, the state of the optimiser. Out: weights and settings.

Such a file is a pickle, which could run code. So only weights and plain settings are read, and
anything else that the file asks for is refused by name.
Guarded by tests/training/export/test_convert.py.
"""

import argparse
import collections
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from barcodemae.errors import CheckpointError
from barcodemae.stored.weights import check_finite


# What DistributedDataParallel and torch.compile, in any nesting, put before and into names.
WRAPPERS = re.compile(r"(?<![^.])(?:module|_orig_mod)\.")
REQUIRED_ENTRIES = ("model", "bert_config", "config")


class Discarded:
    """An inert replacement for objects in the optimiser's state."""

    def __new__(cls, *_: Any) -> "Discarded":
        """Make an empty object, whatever the arguments."""
        return object.__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Ignore the state."""


def discard(*_: Any) -> None:
    """Replace a function that the optimiser's state calls; do nothing."""


# What a checkpoint may name beside tensors. The original code pins torch < 2.4, whose schedule
# stores its annealing function through `getattr` (pytorch/pytorch#123775); with torch < 2.1 it
# stores the whole schedule, and the optimiser with it. None of these is needed, so inert
# replacements are loaded in their places.
SAFE_GLOBALS: list[Any] = [
    argparse.Namespace,
    dict,
    collections.defaultdict,
    (discard, "builtins.getattr"),
    (Discarded, "torch.optim.lr_scheduler.OneCycleLR"),
    (Discarded, "torch.optim.adamw.AdamW"),
]


@dataclass(frozen=True)
class Original:
    """The content of an original checkpoint.

    Attributes:
        path: Path of the file, for messages.
        encoder: State dictionary of the `BertModel`, names without prefix.
        head: State dictionary of the k-mer classifier; empty for BarcodeMAE.
        bert_config: The stored `BertConfig`.
        settings: The stored command line: option -> value.
    """

    path: Path
    encoder: Mapping[str, Tensor]
    head: Mapping[str, Tensor]
    bert_config: Mapping[str, Any]
    settings: Mapping[str, Any]

    @property
    def has_head(self) -> bool:
        """Whether this is BarcodeBERT, whose head is stored, and not BarcodeMAE."""
        return bool(self.head)


def read_original(path: Path) -> Original:
    """Read a checkpoint without running any code in it.

    Raises:
        CheckpointError: The file is missing, damaged, unsafe, not of the original code, or a weight
            is NaN or infinite.
    """
    stored = load_safely(path)
    missing = [name for name in REQUIRED_ENTRIES if name not in stored]
    if missing:
        raise CheckpointError(
            f"{path}: is not a checkpoint of the original code: no entry {', '.join(missing)}"
        )
    kinds = zip(REQUIRED_ENTRIES, (Mapping, Mapping, argparse.Namespace), strict=True)
    for name, kind in kinds:
        if not isinstance(stored[name], kind):
            raise CheckpointError(f"{path}: entry {name} is not a {kind.__name__}")
    if not all(isinstance(value, Tensor) for value in stored["model"].values()):
        raise CheckpointError(f"{path}: entry model does not hold tensors only")
    weights = {WRAPPERS.sub("", name): value for name, value in stored["model"].items()}
    check_finite(weights.items(), path)
    is_classifier = any(name.startswith("bert.") for name in weights)
    prefix = "bert." if is_classifier else ""
    original = Original(
        path=path,
        encoder={
            name.removeprefix(prefix): value
            for name, value in weights.items()
            if not name.startswith("classifier.") and is_parameter(name)
        },
        head={
            name.removeprefix("classifier."): value
            for name, value in weights.items()
            if name.startswith("classifier.")
        },
        bert_config=stored["bert_config"],
        settings=vars(stored["config"]),
    )
    if is_classifier and not original.has_head:
        raise CheckpointError(f"{path}: weights start with 'bert.' but there is no classifier")
    return original


def load_safely(path: Path) -> dict[str, Any]:
    """Unpickle tensors, plain containers and settings; refuse anything else by name.

    Raises:
        CheckpointError: The file is missing, damaged, or asks for anything else.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        with torch.serialization.safe_globals(SAFE_GLOBALS):
            stored = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL ([\w.]+)", str(error))
        if refused is None:
            raise CheckpointError(f"{path}: is not a PyTorch checkpoint, or is damaged") from error
        raise CheckpointError(
            f"{path}: refused, because it asks to load {refused[1]}, which is neither weights nor "
            "plain settings and could run code"
        ) from error
    except Exception as error:  # torch raises half a dozen types for other files
        raise CheckpointError(f"{path}: is not a PyTorch checkpoint, or is damaged") from error
    if not isinstance(stored, dict):
        raise CheckpointError(f"{path}: holds a {type(stored).__name__}, not a checkpoint")
    return stored


def is_parameter(name: str) -> bool:
    """Whether a weight is kept: not a buffer of old releases, nor BERT's untrained pooler."""
    return not name.endswith((".position_ids", ".token_type_ids")) and "pooler." not in name
