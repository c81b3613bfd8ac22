"""The layer for a CPU equals the stock layer, and its dropout is random."""

import pytest
import torch
from transformers.models.bert.modeling_bert import BertConfig, BertLayer

from barcodemae.training.cpu.layers import (
    LayerSettings,
    LayerWeights,
    bert_layer,
    draw_keys,
    hash_dropout,
    keep_mask,
)


def make_layer(dropout=0.0):
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=32,
        num_attention_heads=4,
        intermediate_size=64,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        attn_implementation="eager",
    )
    layer = BertLayer(config)
    for parameter in layer.parameters():  # so that a forgotten bias or weight changes the output
        torch.nn.init.normal_(parameter, std=0.3)
    return layer


def run(function, layer, rows=None, padding=None, **inputs):
    hidden_states = inputs["hidden_states"].clone().requires_grad_()
    settings, keys = LayerSettings.of(layer), draw_keys(3)
    output = function(hidden_states, rows, padding, LayerWeights.of(layer), settings, keys)
    return hidden_states, output


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the compiler's own modules
@pytest.mark.parametrize("backend", ["none", "aot_eager"])
@pytest.mark.parametrize("is_partial", [False, True])
def test_a_layer_equals_the_stock_layer_and_its_gradients(backend, is_partial):
    layer = make_layer()
    hidden_states = torch.randn(3, 7, 32)
    padding = torch.zeros(3, 1, 1, 7)
    padding[1, :, :, 5:] = torch.finfo(torch.float32).min
    rows = torch.tensor([[0, 4], [3, 2], [6, 1]]) if is_partial else None
    function = bert_layer
    if backend != "none":  # one graph, without a break
        function = torch.compile(bert_layer, backend=backend, dynamic=False, fullgraph=True)
    theirs_in = hidden_states.clone().requires_grad_()
    theirs = layer(theirs_in, padding.expand(3, 1, 7, 7))
    if is_partial:
        theirs = theirs.gather(1, rows.unsqueeze(-1).expand(-1, -1, 32))
    ours_in, ours = run(function, layer, rows, padding, hidden_states=hidden_states)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    slope = torch.randn_like(theirs)
    parameters = list(layer.parameters())
    their_grads = torch.autograd.grad(theirs, [theirs_in, *parameters], slope)
    our_grads = torch.autograd.grad(ours, [ours_in, *parameters], slope)
    for their_grad, our_grad in zip(their_grads, our_grads, strict=True):
        torch.testing.assert_close(our_grad, their_grad, atol=2e-5, rtol=1e-4)


@pytest.mark.number_format
def test_gradients_of_bf16_and_dropout_fit_the_outputs():
    layer = make_layer(dropout=0.3).double()
    hidden_states = torch.randn(2, 5, 32)
    keys, settings = draw_keys(3), LayerSettings.of(layer)
    layer.float()

    def output(values):
        return bert_layer(values, None, None, LayerWeights.of(layer), settings, keys).sum(-1)

    step = 1e-2 * torch.randn_like(hidden_states)
    base = hidden_states.clone().requires_grad_()
    slope = torch.randn(2, 5)
    (grad,) = torch.autograd.grad((output(base) * slope).sum(), base)
    with torch.no_grad():
        rise = ((output(hidden_states + step) - output(hidden_states - step)) / 2 * slope).sum()
    assert (grad * step).sum().item() == pytest.approx(rise.item(), rel=0.02, abs=1e-3)
    half = layer.bfloat16()
    rounded = bert_layer(
        hidden_states.bfloat16(), None, None, LayerWeights.of(half), settings, keys
    )
    assert rounded.dtype == torch.bfloat16
    assert torch.allclose(rounded.float(), bert_layer_in_fp32(half, hidden_states, keys), atol=0.1)


def bert_layer_in_fp32(layer, hidden_states, keys):
    settings = LayerSettings.of(layer)
    return bert_layer(hidden_states, None, None, LayerWeights.of(layer.float()), settings, keys)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_hash_drops_the_rate_and_keeps_the_mean(rate):
    torch.manual_seed(0)
    keys = draw_keys(1)[:, 0]
    values = hash_dropout(torch.ones(400, 501), rate, keys)
    assert values.unique().numel() == 2
    # Six standard deviations of a binomial fraction.
    deviation = (rate * (1 - rate) / values.numel()) ** 0.5
    assert (values == 0).float().mean() == pytest.approx(rate, abs=6 * deviation)
    assert values.max().item() == pytest.approx(1 / (1 - rate), rel=1e-6)


def test_neighbours_rows_keys_and_consecutive_seeds_are_independent():
    torch.manual_seed(0)
    shape = torch.Size([1000, 1000])
    keys = draw_keys(4)[0]
    near = torch.stack([keys[0], keys[0] + 1, keys[0] ^ 1])
    masks = [keep_mask(shape, 0.5, key).double() for key in (*keys, *near)]
    pairs = [(one, other) for i, one in enumerate(masks[:4]) for other in masks[:i]]
    pairs += [(masks[0], masks[5]), (masks[0], masks[6])]
    for distance in (1, 2, 3, 4, 8, 16, 109, 1000):
        flat = masks[0].flatten()
        pairs.append((flat[:-distance], flat[distance:]))
    for one, other in pairs:
        together = torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))
        assert abs(together[0, 1].item()) < 0.006


def test_both_passes_drop_the_same_values_and_the_seed_decides_which():
    values = torch.ones(64, 33, requires_grad=True)
    torch.manual_seed(3)
    dropped = hash_dropout(values, 0.4, draw_keys(1)[:, 0])
    dropped.sum().backward()
    assert torch.equal(values.grad, dropped)
    torch.manual_seed(3)
    again = hash_dropout(values, 0.4, draw_keys(1)[:, 0])
    assert torch.equal(dropped, again)
    assert not torch.equal(again, hash_dropout(values, 0.4, draw_keys(1)[:, 0]))
