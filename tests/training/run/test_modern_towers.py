"""Training with ModernBERT towers: precise positions, resuming, the saved folders."""

import json

import pytest
import torch
from transformers import ModernBertModel

from barcodemae.training.pretrain import pretrain
from barcodemae.training.run.pretrain_run import build_model
from barcodemae.training.run.training_run import make_ready


MODERN = {"tower_type": "modernbert"}


def frequencies(model):
    return [value for name, value in model.named_buffers() if name.endswith("inv_freq")]


def test_a_model_in_bf16_keeps_its_rotary_frequencies(settings):
    config = settings(**MODERN, precision="bf16-weights")
    model = build_model(config)
    expected = [value.clone() for value in frequencies(model)]
    make_ready(model, config, torch.device("cpu"))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert len(expected) == 4
    for found, value in zip(frequencies(model), expected, strict=True):
        assert torch.equal(found, value)


@pytest.mark.number_format
@pytest.mark.parametrize("precision", ["fp32", "bf16", "bf16-weights"])
def test_a_run_learns_and_leaves_a_modern_encoder(settings, precision):
    result = pretrain(settings(**MODERN, precision=precision))
    losses = result.history.column("loss")[1]
    assert losses[-1] < losses[0]
    assert json.loads((result.output / "settings.json").read_text())["tower_type"] == "modernbert"
    assert json.loads((result.output / "config.json").read_text())["tower_type"] == "modernbert"
    encoder = ModernBertModel.from_pretrained(result.output / "encoder")
    assert all(value.isfinite().all() for value in frequencies(encoder))


def test_a_run_that_was_cut_off_continues_bitwise(settings, cut_off):
    options = {**MODERN, "precision": "bf16-weights"}
    whole = pretrain(settings("whole", **options)).output
    cut_off(settings("cut", **options), 7)
    resumed = pretrain(settings("cut", **options), resume=True).output
    weights = [(folder / "model.safetensors").read_bytes() for folder in (whole, resumed)]
    assert weights[0] == weights[1]
