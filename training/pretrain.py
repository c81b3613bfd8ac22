"""Pre-train an encoder by predicting hidden k-mers: the main job.

    accelerate launch training/pretrain.py --preset small --data DIR --output OUT

In: a data set and settings (`PretrainConfig`). Out, in OUT: the model (full folder), `encoder/`
(plain BERT), `best/`, `checkpoints/`, `settings.json`, `history.json`, `loss.png`. The same script
runs on a laptop and, through `accelerate launch`, on many devices; `--resume` continues a killed
run to the same weights. Guarded by tests/training/test_pretrain*.py.
"""

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from barcodemae.errors import TrainingError
from barcodemae.modeling_barcodemae.configuration_barcodemae import NUM_SPECIAL_TOKENS
from barcodemae.training.checkpoints import save_checkpoint
from barcodemae.training.command_line import command_from_settings, run_as_script
from barcodemae.training.export import export, export_full
from barcodemae.training.history import History
from barcodemae.training.masking import MaskedBatch
from barcodemae.training.pretrain_run import PretrainRun, prepare_run
from barcodemae.training.progress import TrainingProgress
from barcodemae.training.settings import PretrainConfig


@dataclass(frozen=True)
class PretrainResult:
    """Where a finished run ended.

    Attributes:
        output: The loadable model folder.
        steps: Optimiser steps.
        history: All records.
    """

    output: Path
    steps: int
    history: History


def pretrain(config: PretrainConfig, resume: bool = False) -> PretrainResult:
    """Pre-train a model on DNA barcodes.

    Args:
        config: The settings.
        resume: Continue from the newest checkpoint in `config.output`, if there is one.

    Returns:
        The model folder and the history.

    Raises:
        SettingsError: `config.output` holds a run with other settings, or one and not `resume`.
        TrainingError: The loss is no longer a number.
        CheckpointError: A checkpoint cannot be written or read.
    """
    run = prepare_run(config, resume=resume)
    with TrainingProgress(run.train.num_steps, run.step, run.accelerator) as progress:
        started = time.monotonic() - run.seconds
        bad_step = torch.tensor(0, device=run.accelerator.device)
        for batches in load_batches(run):
            run.step += 1
            metrics = train_step(run, batches, wants_accuracy=run.is_due(config.log_every))
            is_first_bad = (bad_step == 0) & ~metrics["loss"].isfinite()
            bad_step = torch.where(is_first_bad, run.step, bad_step)  # no sync with the device
            run.seconds = time.monotonic() - started
            progress.advance()
            if run.is_due(math.gcd(config.log_every, config.checkpoint_every)):
                stop_if_bad(run, int(bad_step))
            if run.is_due(config.log_every):
                record(run, reduced(run, metrics), progress)
            if run.val is not None and run.is_due(config.validate_every):
                record(run, validate(run), progress)
                keep_best(run)
            if run.is_due(config.checkpoint_every):
                save_checkpoint(
                    run.accelerator, config.output, run.step, run.state(), config.keep_checkpoints
                )
    return finish(run)


def load_batches(run: PretrainRun) -> Iterator[list[MaskedBatch]]:
    """Prepare the micro-batches of every remaining step."""
    loader = DataLoader(
        run.train,
        batch_size=None,
        sampler=range(run.step, run.train.num_steps),
        num_workers=run.config.num_workers,
        pin_memory=run.accelerator.device.type == "cuda",
        collate_fn=list,
    )
    yield from loader


def train_step(
    run: PretrainRun, batches: list[MaskedBatch], *, wants_accuracy: bool
) -> dict[str, Tensor]:
    """Take one optimiser step; every predicted k-mer of the whole batch weighs the same.

    Args:
        run: The run.
        batches: This process's micro-batches of the step.
        wants_accuracy: Whether to count correct predictions too.

    Returns:
        `loss`, this process's share of the mean over all predicted k-mers, and, if wanted,
        `accuracy`, its share of the percentage predicted correctly; both without gradient.
    """
    accelerator, model = run.accelerator, run.model
    seed_dropout(run)
    total = accelerator.reduce(
        torch.tensor(sum(batch.num_targets for batch in batches), device=accelerator.device)
    )
    metrics: dict[str, Tensor] = {}
    for index, batch in enumerate(batches):
        is_last = index == len(batches) - 1
        with nullcontext() if is_last else accelerator.no_sync(model):
            inputs = batch.inputs(accelerator.device)
            outputs = model(**inputs)
            share = batch.num_targets / total
            # DDP averages gradients over the processes, hence times their number.
            accelerator.backward(outputs.loss * share * accelerator.num_processes)
        add_to(metrics, "loss", outputs.loss.detach() * share)
        if wants_accuracy:
            add_to(metrics, "accuracy", 100 * count_correct(outputs.logits, inputs) / total)
    if run.config.max_grad_norm is not None:
        metrics["grad_norm"] = accelerator.clip_grad_norm_(
            model.parameters(), run.config.max_grad_norm
        )
    run.optimizer.step()
    run.scheduler.step()
    run.optimizer.zero_grad()
    return metrics


def add_to(sums: dict[str, Tensor], name: str, value: Tensor) -> None:
    """Add `value` to an entry that may not exist yet."""
    sums[name] = sums[name] + value if name in sums else value


def count_correct(logits: Tensor, inputs: dict[str, Tensor]) -> Tensor:
    """Number of predicted k-mers whose most likely class is the true one.

    Args:
        logits: At the predicted positions, (B, T, K).
        inputs: The batch, with `labels` (B, L) and `target_positions` (B, T).
    """
    positions = inputs["target_positions"]  # (B, T)
    truth = inputs["labels"].gather(1, positions.clamp(min=0))  # (B, T)
    is_correct = logits.argmax(dim=-1) + NUM_SPECIAL_TOKENS == truth
    return (is_correct & (positions >= 0)).sum()


def seed_dropout(run: PretrainRun) -> None:
    """Make dropout a function of (seed, step, process), so that resuming needs no RNG state."""
    key = [run.config.seed, run.step, run.accelerator.process_index]
    torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))


def reduced(run: PretrainRun, metrics: dict[str, Tensor]) -> dict[str, Any]:
    """Sum the processes' shares and describe the step; the rate is since the last record."""
    values = {name: float(run.accelerator.reduce(metrics[name])) for name in ("loss", "accuracy")}
    if "grad_norm" in metrics:
        values["grad_norm"] = float(metrics["grad_norm"])
    steps, seconds = run.step - run.mark[0], run.seconds - run.mark[1]
    run.mark = (run.step, run.seconds)
    return {
        **values,
        "epoch": round(run.step * run.config.batch_size / len(run.train.reader), 4),
        "learning_rate": run.scheduler.get_last_lr()[0],
        "barcodes_per_second": round(steps * run.config.batch_size / max(seconds, 1e-9), 2),
        "seconds": round(run.seconds, 1),
    }


def record(run: PretrainRun, values: dict[str, Any], progress: TrainingProgress) -> None:
    """Put a measurement into the history, the trackers and the progress line."""
    run.history.add(step=run.step, **values)
    run.accelerator.log(values, step=run.step)
    progress.show(run.step, values)
    if run.accelerator.is_main_process:
        run.history.save(run.config.output / "history.json")


@torch.no_grad()
def validate(run: PretrainRun) -> dict[str, Any]:
    """Measure loss and masked-token accuracy (%) on the validation partition."""
    assert run.val is not None
    run.model.eval()
    device = run.accelerator.device
    sums = torch.zeros(3, device=device)  # loss, correct, predicted
    for index in range(len(run.val)):
        (batch,) = run.val[index]
        inputs = batch.inputs(device)
        outputs = run.model(**inputs)
        correct = count_correct(outputs.logits, inputs).float()
        count = torch.tensor(float(batch.num_targets), device=device)
        sums += torch.stack([outputs.loss.float() * count, correct, count])
    run.model.train()
    loss, correct, count = run.accelerator.reduce(sums).tolist()
    return {"val_loss": loss / count, "val_accuracy": 100 * correct / count}


def keep_best(run: PretrainRun) -> None:
    """Save the model to `best/` whenever validation accuracy is the highest so far."""
    accuracy = run.history.records[-1]["val_accuracy"]
    if accuracy <= run.best_accuracy:
        return
    run.best_accuracy = accuracy
    if run.accelerator.is_main_process:
        export_full(run.unwrapped_model, run.tokenizer, run.config.output / "best", force=True)
    run.accelerator.wait_for_everyone()


def stop_if_bad(run: PretrainRun, bad_step: int) -> None:
    """Stop a run whose loss became infinite or not a number, naming the barcodes.

    Raises:
        TrainingError: `bad_step`, counted from 1, is not 0.
    """
    if bad_step == 0:
        return
    rows = run.train.barcodes(bad_step - 1)
    names = run.train.reader.processids
    ids = [names[int(row)].as_py() for row in rows] if names is not None else rows.tolist()
    raise TrainingError(
        f"the loss is not a finite number in step {bad_step}; lower the learning rate or use "
        f"another precision. Barcodes of that step: {', '.join(map(str, ids))}"
    )


def finish(run: PretrainRun) -> PretrainResult:
    """Write the model, the history and its plot."""
    output = run.config.output
    if run.accelerator.is_main_process:
        export(run.unwrapped_model, run.tokenizer, output, force=True)
        run.history.save(output / "history.json")
        run.history.plot(output / "loss.png")
    run.accelerator.wait_for_everyone()
    run.accelerator.end_training()
    return PretrainResult(output=output, steps=run.step, history=run.history)


if __name__ == "__main__":
    run_as_script(command_from_settings(PretrainConfig, pretrain))
