"""bf16 weights with fp32 master weights: the updates are those of AdamW in fp32."""

import pytest
import torch

from barcodemae.training.run.master_weights import MasterWeightAdamW


pytestmark = pytest.mark.number_format


OPTIONS = {"lr": 0.25, "betas": (0.5, 0.5), "eps": 0.0, "weight_decay": 0.0}


def steps(optimizer, weight, gradients):
    for value in gradients:
        weight.grad = torch.full_like(weight, value)
        optimizer.step()
        optimizer.zero_grad()


def test_on_numbers_that_bf16_holds_it_equals_adamw_in_fp32():
    start = torch.tensor([0.5, -1.0, 2.0])
    half = torch.nn.Parameter(start.to(torch.bfloat16))
    full = torch.nn.Parameter(start.clone())
    gradients = [1.0, 1.0, 1.0]  # sign-like updates: every weight moves by lr exactly
    optimizer = MasterWeightAdamW([half], **OPTIONS)
    steps(optimizer, half, gradients)
    steps(torch.optim.AdamW([full], **OPTIONS), full, gradients)
    assert torch.equal(half.float(), full)
    assert torch.equal(optimizer.masters[0], full)
    assert torch.equal(full, start - 0.75)


def test_masters_follow_adamw_in_fp32_whatever_bf16_rounds():
    torch.manual_seed(0)
    start = torch.randn(64).to(torch.bfloat16)
    half, full = (torch.nn.Parameter(start.to(kind)) for kind in (torch.bfloat16, torch.float32))
    mine = MasterWeightAdamW([half], lr=1e-3, weight_decay=0.1, fused=True)
    theirs = torch.optim.AdamW([full], lr=1e-3, weight_decay=0.1, fused=True)
    for _ in range(20):
        gradient = torch.randn(64).to(torch.bfloat16)
        half.grad, full.grad = gradient, gradient.float()
        mine.step()
        theirs.step()
    assert torch.equal(mine.masters[0], full)
    assert torch.equal(half, full.to(torch.bfloat16))


def test_updates_too_small_for_bf16_add_up():
    weight = torch.nn.Parameter(torch.ones(1, dtype=torch.bfloat16))
    optimizer = MasterWeightAdamW([weight], lr=1e-4, weight_decay=0.0)
    steps(optimizer, weight, [1.0])
    assert weight.item() == 1.0  # below the resolution of bf16 near 1
    steps(optimizer, weight, [1.0] * 99)
    assert weight.item() == pytest.approx(0.99, abs=0.004)


def test_saved_and_restored_it_continues_bitwise(tmp_path):
    def fresh():
        weight = torch.nn.Parameter(torch.linspace(-1, 1, 7).to(torch.bfloat16))
        return weight, MasterWeightAdamW([weight], lr=1e-3, fused=True)

    weight, optimizer = fresh()
    steps(optimizer, weight, [0.3, -0.1, 0.7])
    torch.save(optimizer.state_dict(), tmp_path / "state")
    steps(optimizer, weight, [0.2, 0.4])
    other_weight, other = fresh()
    other.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    steps(other, other_weight, [0.2, 0.4])
    assert torch.equal(weight, other_weight)
    assert torch.equal(optimizer.masters[0], other.masters[0])


def test_clearing_gradients_clears_those_of_the_masters():
    weight = torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
    optimizer = MasterWeightAdamW([weight], lr=1e-3)
    steps(optimizer, weight, [1.0])
    assert weight.grad is None
    assert optimizer.masters[0].grad is None
    before = optimizer.masters[0].clone()
    optimizer.step()  # a weight without gradient stays
    assert torch.equal(before, optimizer.masters[0])
