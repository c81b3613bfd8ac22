import pytest
import torch
from torch import nn

from barcodemae.errors import SettingsError
from barcodemae.eval.embed import number_format
from barcodemae.eval.embed.number_format import (
    choose_dtype,
    computes_bfloat16,
    onednn_takes_bfloat16,
    set_number_format,
)


pytestmark = pytest.mark.number_format


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"architecture": "x86_64", "avx512_f": True, "avx512_bf16": False}, "float32"),
        ({"architecture": "x86_64", "avx512_bf16": True}, "bfloat16"),
        ({"architecture": "x86_64", "amx_bf16": True, "amx_tile": True}, "bfloat16"),
        ({"architecture": "arm64", "bf16": True}, "bfloat16"),
        ({}, "float32"),
    ],
)
def test_a_processor_with_the_instructions_computes_in_bfloat16(
    monkeypatch, capabilities, expected
):
    monkeypatch.setattr(number_format, "cpu_capabilities", lambda: capabilities)
    monkeypatch.setattr(number_format, "onednn_takes_bfloat16", lambda: True)
    assert choose_dtype("auto", "cpu") == expected
    assert choose_dtype("float16", "cpu") == "float16"


def test_instructions_that_onednn_may_not_use_are_none(monkeypatch):
    monkeypatch.setattr(number_format, "cpu_capabilities", lambda: {"amx_bf16": True})
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(number_format, "onednn_takes_bfloat16", lambda: False)
    assert choose_dtype("auto", "cpu") == "float32"


def test_a_torch_without_onednn_has_the_instructions_of_the_processor(monkeypatch):
    monkeypatch.setattr(number_format, "cpu_capabilities", lambda: {"bf16": True})
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not onednn_takes_bfloat16()
    assert choose_dtype("auto", "cpu") == "bfloat16"


def test_onednn_is_believed_in_what_it_says_of_itself(monkeypatch):
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    assert onednn_takes_bfloat16() is torch.ops.mkldnn._is_mkldnn_bf16_supported()


def test_a_torch_that_does_not_know_the_processor_computes_in_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not computes_bfloat16("cpu")


@pytest.mark.parametrize(("generation", "expected"), [((7, 5), False), ((8, 0), True)])
def test_graphics_cards_compute_bfloat16_from_ampere_on(monkeypatch, generation, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: generation)
    monkeypatch.setattr(torch.version, "hip", None)
    assert computes_bfloat16("cuda:0") is expected


def test_an_unknown_format_is_refused():
    with pytest.raises(SettingsError, match="dtype 'int8' is not one of auto, float32"):
        choose_dtype("int8", "cpu")


def test_weights_change_their_format_and_buffers_keep_theirs():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2)))
    model[1].register_buffer("frequencies", torch.tensor([1 / 3]))
    set_number_format(model, torch.bfloat16)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert torch.equal(model[1].frequencies, torch.tensor([1 / 3]))
