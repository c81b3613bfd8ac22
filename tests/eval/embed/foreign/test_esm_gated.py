"""The port of Nucleotide Transformer v2 against the original's numbers."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from barcodemae.errors import CheckpointError
from barcodemae.eval.embed.foreign.checkpoint import fill, select
from barcodemae.eval.embed.foreign.esm_gated import (
    PREFIX,
    UNUSED,
    EsmGatedConfig,
    EsmGatedModel,
    recognises,
)
from barcodemae.eval.embed.foreign.loading import load_foreign


SOURCE = Path("golden")


@pytest.fixture
def ported(golden):
    original = golden("esm_gated")
    model = EsmGatedModel(EsmGatedConfig.from_settings(original.config, SOURCE)).eval()
    fill(model, select(original.weights, PREFIX), unused=UNUSED, source=SOURCE)
    return model


@torch.no_grad()
def test_hidden_states_equal_the_original_on_every_token(ported, golden):
    tensors = golden("esm_gated").tensors
    hidden_states = ported(tensors["input_ids"], tensors["attention_mask"]).last_hidden_state
    is_token = tensors["attention_mask"].bool()
    assert is_token.sum(dim=1).tolist() == [14, 9, 1]
    torch.testing.assert_close(
        hidden_states[is_token], tensors["hidden_states"][is_token], atol=1e-5, rtol=0
    )


@torch.no_grad()
def test_a_row_without_padding_gives_what_it_gives_within_a_padded_batch(ported, golden):
    tensors = golden("esm_gated").tensors
    alone = ported(tensors["input_ids"][1:2, :9]).last_hidden_state
    torch.testing.assert_close(alone, tensors["hidden_states"][1:2, :9], atol=1e-5, rtol=0)


def test_tokens_are_those_of_the_published_tokenizer(nucleotide_transformer, golden):
    embedder = load_foreign(nucleotide_transformer)
    expected = golden("esm_gated").config["tokens"]
    assert embedder.tokenize(list(expected)) == list(expected.values())


def test_feed_forward_layers_are_twice_as_wide_and_without_biases(ported):
    layer = ported.encoder.layer[0]
    assert layer.intermediate.dense.weight.shape == (2 * 20, 24)
    assert layer.intermediate.dense.bias is None
    assert layer.output.dense.bias is None


def test_biases_are_read_where_the_config_has_them(golden):
    original = golden("esm_gated")
    config = EsmGatedConfig.from_settings(original.config | {"add_bias_fnn": True}, SOURCE)
    with pytest.raises(CheckpointError, match=r"lacks weights: encoder\.layer\.0\.intermediate"):
        fill(
            EsmGatedModel(config),
            select(original.weights, PREFIX),
            unused=UNUSED,
            source=SOURCE,
        )


def test_rotary_frequencies_are_those_of_the_checkpoint(nucleotide_transformer, golden):
    before = load_foreign(nucleotide_transformer).embed(["ACGTTAGGCC"])
    weights = {
        name: tensor / 2 if name.endswith("inv_freq") else tensor
        for name, tensor in golden("esm_gated").weights.items()
    }
    save_file(weights, nucleotide_transformer / "model.safetensors")
    assert abs(load_foreign(nucleotide_transformer).embed(["ACGTTAGGCC"]) - before).max() > 1e-3


def test_it_is_told_from_the_esm_of_transformers_by_its_feed_forward_setting(golden):
    config = golden("esm_gated").config
    assert recognises(config, SOURCE)
    assert recognises(config | {"model_type": "esm"}, SOURCE)
    assert not recognises({"model_type": "esm", "position_embedding_type": "rotary"}, SOURCE)


@pytest.mark.parametrize(
    ("name", "value"), [("position_embedding_type", "absolute"), ("token_dropout", True)]
)
def test_variants_never_published_are_refused(golden, name, value):
    with pytest.raises(CheckpointError, match=f"{name}={value!r} is not supported"):
        EsmGatedConfig.from_settings(golden("esm_gated").config | {name: value}, SOURCE)
