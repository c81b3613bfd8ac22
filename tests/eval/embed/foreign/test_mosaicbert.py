"""The port of DNABERT-2 and DNABERT-S against the original's numbers."""

from pathlib import Path

import pytest
import torch

from barcodemae.errors import CheckpointError
from barcodemae.eval.embed.foreign.checkpoint import fill, select
from barcodemae.eval.embed.foreign.loading import load_foreign
from barcodemae.eval.embed.foreign.mosaicbert import (
    PREFIX,
    UNUSED,
    MosaicBertConfig,
    MosaicBertModel,
    alibi_bias,
    alibi_slopes,
    recognises,
)


SOURCE = Path("golden")


@pytest.fixture
def ported(golden):
    original = golden("mosaicbert")
    model = MosaicBertModel(MosaicBertConfig.from_settings(original.config, SOURCE)).eval()
    fill(model, select(original.weights, PREFIX), unused=UNUSED, source=SOURCE)
    return model


@torch.no_grad()
def test_hidden_states_equal_the_original_including_its_zeros_at_padding(ported, golden):
    tensors = golden("mosaicbert").tensors
    hidden_states = ported(tensors["input_ids"], tensors["attention_mask"]).last_hidden_state
    assert tensors["attention_mask"].sum(dim=1).tolist() == [14, 9, 1]
    torch.testing.assert_close(hidden_states, tensors["hidden_states"], atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_row_without_padding_gives_what_it_gives_within_a_padded_batch(ported, golden):
    tensors = golden("mosaicbert").tensors
    alone = ported(tensors["input_ids"][1:2, :9]).last_hidden_state
    torch.testing.assert_close(alone, tensors["hidden_states"][1:2, :9], atol=1e-5, rtol=0)


def test_slopes_are_the_geometric_sequence_of_the_alibi_paper():
    assert alibi_slopes(8) == [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]
    assert alibi_slopes(16)[:2] == [2**-0.5, 2**-1]
    assert alibi_slopes(1) == [2**-8]


def test_slopes_of_twelve_heads_add_every_second_one_of_sixteen():
    assert alibi_slopes(12) == [*alibi_slopes(8), *alibi_slopes(16)[0:8:2]]


def test_biases_fall_with_the_distance_on_both_sides():
    bias = alibi_bias(2, 4, torch.device("cpu"))
    assert bias.shape == (1, 2, 4, 4)
    assert bias[0, 0, 1].tolist() == [-(2**-4), 0.0, -(2**-4), -2 * 2**-4]


@torch.no_grad()
def test_alibi_is_on_so_the_order_of_the_tokens_matters(ported):
    ids = torch.arange(6, 16).unsqueeze(0)
    forwards = ported(ids).last_hidden_state.mean(dim=1)
    shuffled = ported(ids[:, torch.randperm(10)]).last_hidden_state.mean(dim=1)
    assert (forwards - shuffled).abs().max() > 1e-2


@torch.no_grad()
def test_without_alibi_the_pooled_output_would_not_see_the_order(ported, monkeypatch):
    flat = torch.zeros(1, 6, 10, 10)
    monkeypatch.setattr("barcodemae.eval.embed.foreign.mosaicbert.alibi_bias", lambda *_: flat)
    ids = torch.arange(6, 16).unsqueeze(0)
    forwards = ported(ids).last_hidden_state.mean(dim=1)
    shuffled = ported(ids[:, torch.randperm(10)]).last_hidden_state.mean(dim=1)
    torch.testing.assert_close(forwards, shuffled, atol=1e-5, rtol=0)


def test_it_is_recognised_by_its_config_with_and_without_a_model_type(golden):
    config = golden("mosaicbert").config
    assert "model_type" not in config
    assert recognises(config, SOURCE)
    assert recognises(config | {"model_type": "bert"}, SOURCE)
    assert recognises(
        {"auto_map": {"AutoModel": "zhihan1996/DNABERT-S--bert_layers.BertModel"}}, SOURCE
    )
    assert not recognises({"model_type": "bert", "hidden_size": 24}, SOURCE)


def test_a_config_without_a_size_is_refused_by_name():
    with pytest.raises(CheckpointError, match=r"here: its config lacks .*intermediate_size"):
        MosaicBertConfig.from_settings({"hidden_size": 24}, Path("here"))


def test_the_layouts_of_dnabert_2_and_dnabert_s_give_the_same_encoder(dnabert_2, dnabert_s):
    first, second = load_foreign(dnabert_2), load_foreign(dnabert_s)
    barcodes = ["ACGTTAGGCCA", "TTTTACG"]
    assert first.fingerprint == second.fingerprint
    assert (first.embed(barcodes) == second.embed(barcodes)).all()


def test_an_n_is_an_unknown_token_and_cls_and_sep_are_left_out(dnabert_2):
    embedder = load_foreign(dnabert_2)
    (tokens,) = embedder.tokenize(["ACGTNTTA"])
    assert embedder.tokenizer.convert_ids_to_tokens(tokens) == ["ACGT", "[UNK]", "TTA"]
