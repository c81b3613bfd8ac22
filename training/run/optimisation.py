"""Optimiser and learning-rate schedule: AdamW, and OneCycle over the whole run, as published.

A OneCycle run says little before its end. Where runs are compared along the way, or may have to
stop early, the schedule is constant after a warm-up; a run that goes on from one of its checkpoints
with a cooldown ends near zero as well (arXiv 2405.18392).

In: settings and a model. Out: its optimiser and schedule. Guarded by
tests/training/run/test_master_weights.py and tests/training/run/test_pretrain_loop.py.
"""

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from barcodemae.training.run.master_weights import MasterWeightAdamW
from barcodemae.training.run.run_settings import RunSettings


START_FACTOR = 1 / 25  # of the peak rate, before the first step of either warm-up


def trainable(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    """List the parameters that are trained."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def build_optimizer(config: RunSettings, model: torch.nn.Module) -> torch.optim.Optimizer:
    """Build AdamW for all trainable parameters, with fp32 master weights for a bf16 model."""
    kind = MasterWeightAdamW if config.precision == "bf16-weights" else torch.optim.AdamW
    return kind(
        trainable(model),
        lr=config.peak_learning_rate,
        weight_decay=config.weight_decay,
        fused=True,
    )


def build_schedule(
    config: RunSettings, optimizer: torch.optim.Optimizer, *, num_steps: int
) -> LRScheduler:
    """Build the schedule of a run.

    Args:
        config: The settings.
        optimizer: The optimiser, with the peak learning rate.
        num_steps: Number of steps of the whole run.
    """
    total_steps = max(num_steps, 2)
    warmup = config.warmup_fraction
    if config.schedule == "constant":
        warmup_steps = max(1, round(warmup * total_steps))
        cooldown_steps = round(config.cooldown_fraction * total_steps)

        def share_of_peak(step: int) -> float:
            rising = START_FACTOR + (1 - START_FACTOR) * step / warmup_steps
            falling = (total_steps - step) / cooldown_steps if cooldown_steps else 1.0
            return max(0.0, min(rising, 1.0, falling))

        return LambdaLR(optimizer, share_of_peak)
    if warmup * total_steps == 1:  # torch would divide by the steps of the warm-up less one
        warmup *= 1 + 1e-9
    return OneCycleLR(
        optimizer,
        max_lr=config.peak_learning_rate,
        total_steps=total_steps,
        pct_start=warmup,
        div_factor=1 / START_FACTOR,
    )
