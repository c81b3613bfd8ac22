"""The port of HyenaDNA against the original's numbers."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from barcodemae.errors import CheckpointError
from barcodemae.eval.embed.foreign.checkpoint import fill, select
from barcodemae.eval.embed.foreign.hyenadna import (
    PREFIXES,
    UNUSED,
    HyenaConfig,
    HyenaModel,
    causal_convolution,
    recognises,
)
from barcodemae.eval.embed.foreign.loading import load_foreign


SOURCE = Path("golden")


@pytest.fixture
def ported(golden):
    original = golden("hyenadna")
    model = HyenaModel(HyenaConfig.from_settings(original.config, SOURCE)).eval()
    fill(model, select(original.weights, PREFIXES[0]), unused=UNUSED, source=SOURCE)
    return model


@torch.no_grad()
def test_hidden_states_equal_the_original(ported, golden):
    tensors = golden("hyenadna").tensors
    hidden_states = ported(tensors["input_ids"]).last_hidden_state
    torch.testing.assert_close(hidden_states, tensors["hidden_states"], atol=1e-5, rtol=0)


@torch.no_grad()
def test_no_token_sees_what_comes_after_it(ported, golden):
    ids = golden("hyenadna").tensors["input_ids"]
    whole = ported(ids).last_hidden_state[:, :9]
    torch.testing.assert_close(ported(ids[:, :9]).last_hidden_state, whole, atol=1e-5, rtol=0)


def test_the_fast_convolution_equals_the_sum_it_stands_for():
    signal, kernel = torch.randn(2, 3, 7), torch.randn(3, 7)
    expected = torch.zeros_like(signal)
    for position in range(7):
        for back in range(position + 1):
            expected[..., position] += kernel[:, back] * signal[..., position - back]
    torch.testing.assert_close(causal_convolution(signal, kernel), expected, atol=1e-5, rtol=1e-4)


def test_frequencies_stored_once_are_given_to_every_sine(hyenadna, golden):
    embedder = load_foreign(hyenadna)
    weights = golden("hyenadna").weights
    for layer, published in enumerate(embedder.model.layers):
        for index in (1, 3, 5):
            name = f"hyena.backbone.layers.{layer}.mixer.filter_fn.implicit_filter.{index}.freq"
            sine = published.mixer.filter_fn.implicit_filter[index]
            assert torch.equal(sine.freq, weights[name])


def test_a_backbone_without_a_head_is_the_same_model(hyenadna):
    fingerprint = load_foreign(hyenadna).fingerprint
    path = hyenadna / "model.safetensors"
    weights = {
        name.removeprefix("hyena."): tensor
        for name, tensor in load_file(path).items()
        if name.startswith("hyena.")
    }
    save_file(weights, path)
    assert load_foreign(hyenadna).fingerprint == fingerprint


def test_there_is_one_token_per_base_with_the_published_ids(hyenadna):
    assert load_foreign(hyenadna).tokenize(["ACGTNA", "ARA"]) == [[7, 8, 9, 10, 11, 7], [7, 6, 7]]


def test_longer_sequences_are_cut_at_the_longest_input(hyenadna):
    assert len(load_foreign(hyenadna).tokenize(["ACGT" * 20])[0]) == 34


def test_it_is_recognised_by_its_model_type(golden):
    assert recognises(golden("hyenadna").config, SOURCE)
    assert not recognises({"model_type": "bert"}, SOURCE)


def test_an_order_never_published_is_refused(golden):
    with pytest.raises(CheckpointError, match="hyena_order=3 is not supported, only 2"):
        HyenaConfig.from_settings(golden("hyenadna").config | {"hyena_order": 3}, SOURCE)
