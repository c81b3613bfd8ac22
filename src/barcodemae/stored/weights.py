"""The header of a safetensors file, read before any of its weights are; and weights without torch.

In: a file. Out: type and shape of each tensor, of a file whose header is sound: JSON of the size
that it states, tensors that lie one after the other, each as long as its shape and type say, and
that end where the file ends. And once they are read: whether all are numbers. `read_tensors` reads
the weights as float32 where torch is not installed; NumPy alone has no bfloat16.
Guarded by tests/barcodemae/stored/test_weights.py.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barcodemae.errors import CheckpointError


LENGTH_BYTES = 8  # of the number at the start that says how long the header is
MAX_HEADER_BYTES = 100_000_000  # the format's own limit
METADATA = "__metadata__"
BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8,
    "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8,
}  # fmt: skip
FLOATS: dict[str, Any] = {"F32": np.float32, "F16": np.float16, "F64": np.float64, "BF16": "<u2"}


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as its header describes it.

    Attributes:
        kind: Number format, one of `BITS`.
        shape: Its shape.
    """

    kind: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Read the headers of all safetensors files of a folder.

    Raises:
        CheckpointError: One of them is damaged.
    """
    return {
        name: tensor
        for path in sorted(folder.glob("*.safetensors"))
        for name, tensor in read_header(path).items()
    }


def read_header(path: Path) -> dict[str, StoredTensor]:
    """Read type and shape of each tensor of a file.

    Raises:
        CheckpointError: It is truncated, contradicts itself, or is something else.
    """
    header, start = _read_json(path)
    end = 0
    found = {}
    entries = [(name, entry) for name, entry in header.items() if name != METADATA]
    try:
        for name, entry in sorted(entries, key=lambda item: item[1]["data_offsets"]):
            tensor = _tensor(entry)
            first, last = entry["data_offsets"]
            if type(first) is not int or type(last) is not int or first != end:
                raise CheckpointError(f"{path}: its header is damaged at {name[:80]!r}")
            if 8 * (last - first) != tensor.size * BITS[tensor.kind]:
                raise CheckpointError(
                    f"{path}: {name[:80]!r} has {last - first} bytes, which is not what its shape "
                    f"{list(tensor.shape)} takes"
                )
            found[name], end = tensor, last
    except (TypeError, KeyError, ValueError, IndexError) as error:
        raise CheckpointError(f"{path}: its header is damaged") from error
    size, expected = path.stat().st_size, start + end
    if size != expected:
        raise CheckpointError(f"{path}: has {size} bytes, its header says {expected}")
    return found


def read_tensors(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read all floating-point tensors of a file as float32.

    Raises:
        CheckpointError: The file is damaged.
    """
    described = read_header(path)
    header, start = _read_json(path)
    content = np.memmap(path, np.uint8, "r")
    found = {}
    for name, tensor in described.items():
        if tensor.kind in FLOATS:
            first, last = header[name]["data_offsets"]
            stored = np.array(content[start + first : start + last]).view(FLOATS[tensor.kind])
            if tensor.kind == "BF16":  # the upper half of a float32
                stored = (stored.astype(np.uint32) << 16).view(np.float32)
            found[name] = stored.astype(np.float32).reshape(tensor.shape)
    return found


def check_finite(weights: Iterable[tuple[str, Any]], folder: Path) -> None:
    """Check that every weight is a number.

    Args:
        weights: Names and tensors of torch.
        folder: Where they come from, for the message.

    Raises:
        CheckpointError: One is NaN or infinite.
    """
    for name, weight in weights:
        if not weight.isfinite().all():
            raise CheckpointError(f"{folder}: weight {name} holds NaN or infinite values")


def _tensor(entry: dict[str, Any]) -> StoredTensor:
    shape = tuple(entry["shape"])
    if any(type(length) is not int or length < 0 for length in shape):
        raise ValueError
    if entry["dtype"] not in BITS:
        raise ValueError
    return StoredTensor(entry["dtype"], shape)


def _read_json(path: Path) -> tuple[dict[str, Any], int]:
    """Return the header and where the data begin."""
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(LENGTH_BYTES), "little")
            is_long = length > min(MAX_HEADER_BYTES, size - LENGTH_BYTES)
            header = None if is_long else json.loads(stream.read(length))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise CheckpointError(f"{path}: is not a safetensors file, or is truncated")
    return header, LENGTH_BYTES + length
