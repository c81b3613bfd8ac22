"""What a GPU may do otherwise than a CPU: number formats, compiling, pinned memory, its limit."""

import pytest
import torch
from safetensors.torch import load_file

from barcodemae.errors import TrainingError
from barcodemae.training.pretrain import pretrain
from barcodemae.training.run import loop
from barcodemae.training.run.loop import load_batches, train
from barcodemae.training.run.pretrain_run import prepare_pretraining


pytestmark = pytest.mark.gpu


def losses(result):
    return [record["loss"] for record in result.history.records if "loss" in record]


def weights(output):
    return load_file(output / "model.safetensors")


def test_the_first_steps_are_those_of_the_cpu(small_run, monkeypatch):
    on_gpu = losses(pretrain(small_run("gpu")))
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    on_cpu = losses(pretrain(small_run("cpu")))
    assert on_gpu == pytest.approx(on_cpu, rel=1e-3)


@pytest.mark.parametrize("precision", ["bf16", "bf16-weights", "fp16"])
def test_half_precisions_train_to_about_the_same_loss(small_run, precision):
    whole = losses(pretrain(small_run("fp32")))
    half = losses(pretrain(small_run("half", precision=precision)))
    assert half == pytest.approx(whole, rel=0.03)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "bf16-weights"])
def test_compiled_layers_train_to_about_the_same_loss(small_run, precision):
    plain = losses(pretrain(small_run("plain", precision=precision)))
    compiled = losses(pretrain(small_run("compiled", precision=precision, compile=True)))
    assert compiled == pytest.approx(plain, rel=0.03)


def test_the_optimiser_is_fused(small_run):
    run = prepare_pretraining(small_run())
    assert run.optimizer.optimizer.defaults["fused"]
    assert all(parameter.is_cuda for parameter in run.model.parameters())


def test_fused_steps_equal_those_of_the_plain_optimiser():
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(50, 50, generator=generator).cuda().requires_grad_()
    second = first.detach().clone().requires_grad_()
    fused = torch.optim.AdamW([first], lr=1e-2, fused=True)
    plain = torch.optim.AdamW([second], lr=1e-2, fused=False, foreach=False)
    for _ in range(5):
        for parameter, optimizer in ((first, fused), (second, plain)):
            (parameter**2).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_reach_the_device_through_pinned_memory(small_run, num_workers):
    run = prepare_pretraining(small_run(num_workers=num_workers))
    (batch,) = next(iter(load_batches(run)))
    inputs = batch.inputs(run.accelerator.device)
    assert all(value.is_cuda for value in inputs.values())
    assert batch.input_ids.is_pinned()


@pytest.mark.parametrize("precision", ["fp32", "bf16-weights"])
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(small_run, precision):
    whole = small_run("whole", precision=precision)
    pretrain(whole)
    parts = small_run("parts", precision=precision)
    train(prepare_pretraining(parts), until=6)
    pretrain(parts, resume=True)
    expected, found = weights(whole.output), weights(parts.output)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4)


def test_too_large_a_batch_is_told_with_what_would_fit(small_run):
    run = prepare_pretraining(small_run())
    torch.cuda.set_per_process_memory_fraction(1e-6)
    try:
        torch.cuda.empty_cache()
        with pytest.raises(TrainingError, match=r"--micro-batch-size 8"):
            loop.train(run)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
