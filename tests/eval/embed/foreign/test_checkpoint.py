"""Reading of published checkpoints: every name must fit, no code may run."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedTokenizerFast

from barcodemae.errors import CheckpointError
from barcodemae.eval.embed.foreign.checkpoint import (
    fill,
    hash_tensors,
    open_tokenizer,
    read_pickled,
    read_settings,
    read_weights,
    select,
)


@pytest.fixture
def model():
    return nn.Linear(3, 2)


@pytest.fixture
def weights():
    return {"weight": torch.ones(2, 3), "bias": torch.arange(2.0)}


def test_filling_copies_every_weight(model, weights):
    fill(model, weights, unused=("head.",), source=Path("x"))
    assert model(torch.ones(1, 3)).tolist() == [[3.0, 4.0]]


def test_a_missing_weight_is_named(model, weights):
    del weights["bias"]
    with pytest.raises(CheckpointError, match=r"^x lacks weights: bias$"):
        fill(model, weights, unused=(), source=Path("x"))


def test_unexpected_weights_are_named_and_counted(model, weights):
    weights |= {f"extra.{index}": torch.ones(1) for index in range(5)}
    with pytest.raises(CheckpointError, match=r"does not know: extra\.0, .*extra\.2 and 2 more$"):
        fill(model, weights, unused=("head.",), source=Path("x"))


def test_a_weight_of_another_shape_is_named_with_both_shapes(model, weights):
    weights["bias"] = torch.ones(5)
    with pytest.raises(CheckpointError, match=r"another shape .*: bias \(5,\) instead of \(2,\)"):
        fill(model, weights, unused=(), source=Path("x"))


def test_heads_are_ignored_and_do_not_change_the_fingerprint(model, weights):
    plain = fill(model, weights, unused=("head.",), source=Path("x"))
    weights["head.weight"] = torch.ones(7)
    assert fill(model, weights, unused=("head.",), source=Path("x")) == plain


def test_the_fingerprint_sees_values_names_and_types(weights):
    plain = hash_tensors(weights)
    assert hash_tensors(dict(reversed(weights.items()))) == plain
    others = [
        weights | {"bias": torch.tensor([0.0, 2.0])},
        {"weight": weights["weight"], "offset": weights["bias"]},
        weights | {"bias": weights["bias"].bfloat16()},
    ]
    assert len({plain, *(hash_tensors(other) for other in others)}) == 4


def test_the_encoder_is_taken_out_of_a_model_with_a_head():
    tensors = {"bert.a": torch.ones(1), "cls.b": torch.ones(1)}
    assert list(select(tensors, "bert.")) == ["a"]
    assert list(select({"a": torch.ones(1)}, "bert.")) == ["a"]


def test_safetensors_are_preferred_to_a_pickle(tmp_path, weights):
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "pytorch_model.bin").write_bytes(b"never opened")
    assert read_weights(tmp_path).keys() == weights.keys()


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_shards_are_put_together(tmp_path, weights, suffix):
    for number, name in enumerate(weights, start=1):
        part = {name: weights[name]}
        if suffix == "safetensors":
            save_file(part, tmp_path / f"model-0000{number}-of-00002.safetensors")
        else:
            torch.save(part, tmp_path / f"pytorch_model-0000{number}-of-00002.bin")
    assert hash_tensors(read_weights(tmp_path)) == hash_tensors(weights)


def test_a_folder_without_weights_says_that_they_are_not_here(tmp_path):
    with pytest.raises(CheckpointError, match="weights not available here"):
        read_weights(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_damaged_weights_are_refused_with_the_name_of_the_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match=name):
        read_weights(tmp_path)


@pytest.mark.parametrize("content", [[1, 2], {"step": 3}, {"state": {"a": 1}}])
def test_a_pickle_of_anything_but_named_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin: holds more than named tensors"):
        read_weights(tmp_path)


def test_a_truncated_pickle_is_refused(tmp_path, weights):
    path = tmp_path / "pytorch_model.bin"
    torch.save(weights, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged"):
        read_pickled(path)


@pytest.mark.parametrize("text", ["{", "[1, 2]", ""])
def test_a_config_that_is_no_json_object_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        read_settings(tmp_path)


def test_a_tokenizer_with_more_tokens_than_the_weights_is_refused(dnabert_2):
    with pytest.raises(CheckpointError, match=r"ids up to 17, its weights 10 tokens"):
        open_tokenizer(PreTrainedTokenizerFast, dnabert_2, 10)


def test_a_missing_tokenizer_is_refused(dnabert_2):
    (dnabert_2 / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match="cannot open its tokenizer"):
        open_tokenizer(PreTrainedTokenizerFast, dnabert_2, 32)


def test_a_config_is_read(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 3}))
    assert read_settings(tmp_path) == {"hidden_size": 3}
