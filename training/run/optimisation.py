"""Optimiser and learning-rate schedule, as published: AdamW, and OneCycle over the whole run.

In: settings and a model. Out: its optimiser and schedule. Guarded by
tests/training/run/test_master_weights.py and tests/training/run/test_pretrain_loop.py.
"""

import torch
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from barcodemae.training.run.master_weights import MasterWeightAdamW
from barcodemae.training.run.run_settings import RunSettings


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
    """Build the OneCycle schedule over the whole run, as published."""
    total_steps = max(num_steps, 2)
    warmup = config.warmup_fraction
    if warmup * total_steps == 1:  # torch would divide by the steps of the warm-up less one
        warmup *= 1 + 1e-9
    return OneCycleLR(
        optimizer, max_lr=config.peak_learning_rate, total_steps=total_steps, pct_start=warmup
    )
