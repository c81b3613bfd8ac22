"""The faster dropout and attention for a CPU equal the stock ones."""

import pytest
import torch
from torch import nn

from barcodemae import BarcodeMAEForPreTraining
from barcodemae.training.cpu.kernels import QuickDropout, quick_dropout, use_cpu_kernels


@pytest.mark.number_format
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_quick_dropout_drops_the_rate_and_keeps_the_mean(rate, dtype):
    torch.manual_seed(0)
    values = quick_dropout(torch.ones(400, 501, dtype=dtype), rate)
    num = values.numel()
    assert values.unique().numel() == 2
    # Six standard deviations of a binomial fraction.
    assert (values == 0).float().mean() == pytest.approx(
        rate, abs=6 * (rate * (1 - rate) / num) ** 0.5
    )
    assert values.max().item() == pytest.approx(1 / (1 - rate), rel=1e-2)


def test_neighbouring_values_are_dropped_independently():
    torch.manual_seed(0)
    is_dropped = (quick_dropout(torch.ones(1_000_000), 0.5) == 0).double()
    for distance in range(1, 9):  # one 64-bit number decides about four values
        together = torch.corrcoef(torch.stack([is_dropped[:-distance], is_dropped[distance:]]))
        assert abs(together[0, 1].item()) < 0.006


def test_gradient_flows_only_through_kept_values():
    values = torch.randn(64, 3, requires_grad=True)
    dropped = quick_dropout(values, 0.4)
    dropped.sum().backward()
    assert torch.equal(values.grad == 0, dropped == 0)


def test_same_seed_drops_the_same_values():
    results = []
    for _ in range(2):
        torch.manual_seed(3)
        results.append(quick_dropout(torch.ones(1001), 0.2))
    assert torch.equal(*results)


def test_outputs_and_gradients_equal_the_stock_model_without_dropout(make_config):
    config = make_config(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    torch.manual_seed(0)
    stock = BarcodeMAEForPreTraining(config).train()
    changed = BarcodeMAEForPreTraining(config).train()
    changed.load_state_dict(stock.state_dict())
    use_cpu_kernels(changed)
    ids = torch.randint(2, config.vocab_size, (3, 12))
    attention_mask = torch.ones_like(ids)
    attention_mask[1, 9:] = 0
    labels = torch.where(torch.rand(3, 12) < 0.5, ids, -100).masked_fill(attention_mask == 0, -100)
    inputs = {"input_ids": ids.masked_fill(labels != -100, 0), "attention_mask": attention_mask}
    losses = [model(**inputs, labels=labels).loss for model in (stock, changed)]
    assert torch.allclose(*losses, atol=1e-6)
    for loss in losses:
        loss.backward()
    for theirs, ours in zip(stock.parameters(), changed.parameters(), strict=True):
        assert torch.allclose(theirs.grad, ours.grad, atol=1e-6)


def test_every_dropout_is_replaced_and_names_stay(tiny_model):
    names = list(tiny_model.state_dict())
    use_cpu_kernels(tiny_model)
    kinds = {type(module) for module in tiny_model.modules() if isinstance(module, nn.Dropout)}
    assert kinds == {QuickDropout}
    assert list(tiny_model.state_dict()) == names


def test_nothing_is_dropped_in_evaluation():
    values = torch.randn(5, 5)
    assert torch.equal(QuickDropout(0.5).eval()(values), values)
