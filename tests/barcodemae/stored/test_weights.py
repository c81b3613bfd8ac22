import json

import pytest
import torch
from safetensors.torch import save_file

from barcodemae.errors import CheckpointError
from barcodemae.stored.weights import StoredTensor, check_finite, read_header, stored_tensors


def write(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(text) if length is None else length
    path.write_bytes(size.to_bytes(8, "little") + text + data)
    return path


def entry(shape=(2,), offsets=(0, 8), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_what_safetensors_writes_is_read(tmp_path):
    weights = {
        "a": torch.zeros(2, 3),
        "b": torch.zeros(4, dtype=torch.bfloat16),
        "none": torch.zeros(0, 7),
        "one": torch.tensor(1, dtype=torch.int64),
    }
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    found = stored_tensors(tmp_path)
    assert {name: tensor.shape for name, tensor in found.items()} == {
        name: tuple(tensor.shape) for name, tensor in weights.items()
    }
    assert found["b"] == StoredTensor("BF16", (4,))
    assert found["a"].size == 6


@pytest.mark.parametrize(
    ("header", "data", "length", "words"),
    [
        (b"", b"", None, "is not a safetensors file"),
        (b"{", b"", None, "is not a safetensors file"),
        (b"[" * 100_000, b"", None, "is not a safetensors file"),
        (b"[]", b"", None, "is not a safetensors file"),
        ({}, b"", 1 << 62, "is not a safetensors file"),
        ({"a": entry()}, bytes(7), None, r"has \d+ bytes, its header says"),
        ({"a": entry()}, bytes(9), None, r"has \d+ bytes, its header says"),
        ({"a": entry(offsets=(0, 4))}, bytes(4), None, "is not what its shape"),
        ({"a": entry(offsets=(4, 12))}, bytes(12), None, "damaged at 'a'"),
        ({"a": entry(), "b": entry()}, bytes(8), None, "damaged at 'b'"),
        ({"a": entry(offsets=(0, 8.0))}, bytes(8), None, "damaged"),
        ({"a": entry(shape=(-2,))}, bytes(8), None, "header is damaged"),
        ({"a": entry(shape=(True, 2))}, bytes(8), None, "header is damaged"),
        ({"a": entry(shape=(10**30,))}, bytes(8), None, "is not what its shape"),
        ({"a": entry(dtype="X")}, bytes(8), None, "header is damaged"),
        ({"a": entry(dtype=["F32"])}, bytes(8), None, "header is damaged"),
        ({"a": {"dtype": "F32", "shape": [2]}}, bytes(8), None, "header is damaged"),
        ({"a": 5}, b"", None, "header is damaged"),
        ({"a": entry(offsets=())}, b"", None, "header is damaged"),
        ({"a": entry(offsets=("0", "8"))}, bytes(8), None, "damaged"),
    ],
)
def test_an_odd_header_is_one_line(tmp_path, header, data, length, words):
    path = write(tmp_path / "model.safetensors", header, data, length)
    with pytest.raises(CheckpointError, match=words) as caught:
        read_header(path)
    assert "\n" not in str(caught.value)


def test_every_way_to_cut_a_file_is_found(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.zeros(2, 2)}, path)
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(CheckpointError):
            read_header(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_weight_that_is_no_number_is_named(tmp_path, value, dtype):
    good = torch.full((3, 3), torch.finfo(dtype).max, dtype=dtype)
    check_finite([("a", good), ("b", torch.zeros(0))], tmp_path)
    bad = good.clone()
    bad[1, 1] = value
    with pytest.raises(CheckpointError, match="weight b holds NaN or infinite"):
        check_finite([("a", good), ("b", bad)], tmp_path)
