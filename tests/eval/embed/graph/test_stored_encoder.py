"""What is read without torch is what torch reads."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from barcodemae.errors import CheckpointError
from barcodemae.eval.embed.graph.stored_encoder import read_encoder
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.stored.weights import read_tensors


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_every_kind_are_read_as_torch_reads_them(kind, tmp_path):
    torch.manual_seed(0)
    weights = {"a": torch.randn(3, 5).to(kind), "b": torch.randn(7).to(kind)}
    save_file({**weights, "whole": torch.arange(3)}, tmp_path / "x.safetensors")
    found = read_tensors(tmp_path / "x.safetensors")
    assert found.keys() == {"a", "b"}
    for name, weight in weights.items():
        assert np.array_equal(found[name], weight.float().numpy())


@pytest.mark.parametrize("inside", [".", "encoder"])
def test_a_full_folder_and_its_native_encoder_hold_the_same_encoder(framed_folder, inside):
    encoder = read_encoder(framed_folder / inside, "tiny")
    opened = load_embedder(framed_folder / inside, device="cpu")
    assert encoder.fingerprint == opened.fingerprint
    assert encoder.architecture == opened.architecture
    assert (encoder.k, encoder.max_tokens, encoder.num_heads) == (3, opened.max_tokens, 2)
    table = opened.model.get_input_embeddings().weight.detach().numpy()
    assert np.array_equal(encoder.tokens, table)
    assert len(encoder.layers) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "modernbert"}, "this is modernbert with gelu; use --engine torch"),
        ({"hidden_act": "relu"}, "this is barcodemae with relu"),
    ],
)
def test_what_is_no_such_encoder_is_refused(tiny_folder, tmp_path, change, words):
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(CheckpointError, match=words):
        read_encoder(folder, "other")


def test_sizes_that_a_config_leaves_out_are_not_guessed(tiny_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder / "encoder", folder)
    config = json.loads((folder / "config.json").read_text())
    del config["num_attention_heads"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="all sizes in their config only"):
        read_encoder(folder, "other")


@pytest.mark.parametrize(
    ("part", "words"), [("", "for k-mers of 3, its"), ("encoder", "makes 258 tokens")]
)
def test_weights_that_do_not_fit_the_tokenizer_are_refused(tiny_folder, tmp_path, part, words):
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder / part, folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"k": 4}))
    with pytest.raises(CheckpointError, match=words):
        read_encoder(folder, "other")


@pytest.mark.parametrize("name", ["query.weight", "LayerNorm.bias", "word_embeddings.weight"])
def test_a_weight_of_another_shape_is_named(tiny_folder, tmp_path, name):
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder / "encoder", folder)
    weights = {k: torch.tensor(v) for k, v in read_tensors(folder / "model.safetensors").items()}
    full = next(key for key in weights if key.endswith(name))
    weights[full] = torch.cat([weights[full], weights[full]], dim=-1)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=f"{full} is of shape .*, and the config wants"):
        read_encoder(folder, "other")


@pytest.mark.parametrize(
    ("name", "words"), [("layer.1", "is not in its"), ("layer.0", "holds NaN")]
)
def test_a_weight_that_is_missing_or_no_number_is_named(tiny_folder, tmp_path, name, words):
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder / "encoder", folder)
    weights = {
        key: torch.tensor(v) for key, v in read_tensors(folder / "model.safetensors").items()
    }
    full = f"encoder.{name}.output.dense.weight"
    if "missing" in words or "not" in words:
        del weights[full]
    else:
        weights[full][0, 0] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=words):
        read_encoder(folder, "other")
