"""The training loop, the same for every task: steps, measurements, validation, checkpoints.

In: a `TrainingRun`. Out: its model, trained, and `history.json`, `best/` and `checkpoints/` in the
output folder. The loop waits for the device only in steps with a measurement or a checkpoint.
Guarded by tests/training/run/test_pretrain_loop.py, tests/training/run/test_pretrain_resume.py
and tests/training/run/test_finetune.py.

Shapes: M = barcodes per micro-batch, T = predicted tokens, K = classes.
"""

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from barcodemae.errors import TrainingError
from barcodemae.modeling_barcodemae import BarcodeMAEPreTrainedModel
from barcodemae.training.export.folders import export, export_full
from barcodemae.training.run.checkpoints import save_checkpoint
from barcodemae.training.run.history import History
from barcodemae.training.run.progress import TrainingProgress
from barcodemae.training.run.training_run import Batch, TrainingRun


BEST_FOLDER = "best"
HISTORY_FILE, PLOT_FILE = "history.json", "loss.png"


@dataclass(frozen=True)
class TrainingResult:
    """The result of a finished run.

    Attributes:
        output: Folder of the run, which is a model folder now.
        steps: Number of optimiser steps.
        history: All records of the run.
    """

    output: Path
    steps: int
    history: History


def train(run: TrainingRun, until: int | None = None) -> None:
    """Take the remaining steps of a run.

    Args:
        run: The run.
        until: Number of steps, of the whole run, after which to stop; None for all. Choose a
            multiple of `checkpoint_every`, so that the run can be continued.

    Raises:
        TrainingError: The loss is no longer a finite number, or the device's memory is too small.
        CheckpointError: A checkpoint cannot be written.
    """
    config = run.config
    steps_left = None if until is None else max(until - run.step, 0)
    with TrainingProgress(run.num_steps, run.step, run.accelerator) as progress:
        started = time.monotonic() - run.seconds
        bad_step = torch.tensor(0, device=run.accelerator.device)
        for batches in islice(load_batches(run), steps_left):
            # Take a step, and note on the device when the loss was first not finite.
            run.step += 1
            try:
                metrics = train_step(run, batches, wants_accuracy=run.is_due(config.log_every))
            except torch.OutOfMemoryError as error:
                raise TrainingError(too_large(run)) from error
            is_first_bad = (bad_step == 0) & ~metrics["loss"].isfinite()
            bad_step = torch.where(is_first_bad, run.step, bad_step)  # no sync with the device
            progress.advance()
            intervals = [config.log_every, config.checkpoint_every, config.validate_every]
            if not any(map(run.is_due, intervals)):
                continue

            # Measure, validate and save what is due; all of these wait for the device.
            stop_if_not_finite(run, bad_step)
            run.seconds = time.monotonic() - started
            if run.is_due(config.log_every):
                record(run, summarise(run, metrics), progress)
            if run.val is not None and run.is_due(config.validate_every):
                record(run, validate(run), progress)
                keep_best(run)
            run.seconds = time.monotonic() - started
            if run.is_due(config.checkpoint_every):
                save_checkpoint(
                    run.accelerator, config.output, run.step, run.state(), config.keep_checkpoints
                )


def too_large(run: TrainingRun) -> str:
    """Say that a step did not fit into the memory of the device, and what would."""
    config = run.config
    size = config.micro_batch_size or config.batch_size // run.accelerator.num_processes
    smaller = max(1, size // 2)
    return (
        f"the memory of {run.accelerator.device} is too small for step {run.step} with {size} "
        f"barcodes at once: use --micro-batch-size {smaller}, which gives the same weights, or "
        "--gradient-checkpointing"
    )


def load_batches(run: TrainingRun) -> Iterator[list[Any]]:
    """Load the micro-batches of this process, step by step, from the current step on."""
    loader: DataLoader[list[Any]] = DataLoader(
        run.train,  # type: ignore[arg-type]  # anything with __getitem__ and __len__
        batch_size=None,
        sampler=range(run.step, run.num_steps),
        num_workers=run.config.num_workers,
        pin_memory=run.accelerator.device.type == "cuda",
        collate_fn=list,
    )
    yield from loader


def train_step(run: TrainingRun, batches: list[Any], *, wants_accuracy: bool) -> dict[str, Tensor]:
    """Take one optimiser step, in which all predictions of the whole batch have equal weight.

    Args:
        run: The run.
        batches: Micro-batches of this process in the step.
        wants_accuracy: Whether to count correct predictions too.

    Returns:
        `loss`, this process's part of the mean loss over all predictions, and `accuracy`, if
        wanted, its part of the percentage of correct predictions: both sum over the processes to
        the value of the step and have no gradient. `grad_norm` if gradients are clipped, and
        `learning_rate`, that of the step.
    """
    accelerator, model = run.accelerator, run.model
    seed_dropout(run)

    # Count the predictions of all processes.
    num_targets = torch.tensor(
        sum(batch.num_targets for batch in batches), device=accelerator.device
    )
    total = accelerator.reduce(num_targets).clamp(min=1)

    # Accumulate the gradients of the micro-batches, each weighted by its predictions.
    metrics: dict[str, Tensor] = {}
    for index, batch in enumerate(batches):
        is_last = index == len(batches) - 1
        with nullcontext() if is_last else accelerator.no_sync(model):
            loss, logits, inputs = forward(run, batch)
            loss = loss * batch.num_targets / total
            # DDP averages the gradients over the processes; this turns the mean into a sum.
            accelerator.backward(loss * accelerator.num_processes)
        add_to(metrics, "loss", loss.detach())
        if wants_accuracy:
            add_to(metrics, "accuracy", 100 * run.count_correct(logits, inputs) / total)

    # Clip the gradients, update the weights, advance the schedule.
    if run.config.max_grad_norm is not None:
        metrics["grad_norm"] = accelerator.clip_grad_norm_(
            model.parameters(), run.config.max_grad_norm
        )
    run.optimizer.step()
    # The rate of this step, which the schedule is about to replace by that of the next.
    metrics["learning_rate"] = torch.tensor(run.scheduler.get_last_lr()[0], dtype=torch.float64)
    run.scheduler.step()
    run.optimizer.zero_grad()
    return metrics


def forward(run: TrainingRun, batch: Batch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Run the model on a micro-batch.

    Returns:
        loss: Mean loss over the predictions of the micro-batch, fp32.
        logits: Logits at the predicted positions, (M, T, K), or of the classes, (M, K).
        inputs: The arguments of the model.
    """
    inputs = batch.inputs(run.accelerator.device)
    outputs = run.model(**inputs)
    # Without predictions the mean is not a number, but every parameter still needs a gradient.
    if batch.num_targets == 0:
        return 0 * outputs.logits.float().sum(), outputs.logits, inputs
    return outputs.loss.float(), outputs.logits, inputs


def add_to(sums: dict[str, Tensor], name: str, value: Tensor) -> None:
    """Add `value` to an entry of a dictionary, which may not exist yet."""
    sums[name] = sums[name] + value if name in sums else value


def seed_dropout(run: TrainingRun) -> None:
    """Make dropout a function of (seed, step, process), so that resuming needs no RNG state."""
    key = [run.config.seed, run.step, run.accelerator.process_index]
    torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))


def summarise(run: TrainingRun, metrics: dict[str, Tensor]) -> dict[str, Any]:
    """Turn the metrics of a step into a training record.

    Args:
        run: The run.
        metrics: Metrics of this process from `train_step`.

    Returns:
        The metrics of all processes, epoch, learning rate, and barcodes per second since the last
        training record.
    """
    values = {name: float(run.accelerator.reduce(metrics[name])) for name in ("loss", "accuracy")}
    if "grad_norm" in metrics:
        values["grad_norm"] = float(metrics["grad_norm"])
    steps, seconds = run.step - run.last_record[0], run.seconds - run.last_record[1]
    run.last_record = (run.step, run.seconds)
    return {
        **values,
        "epoch": round(run.step * run.config.batch_size / run.train.num_barcodes, 4),
        "learning_rate": float(metrics["learning_rate"]),
        "barcodes_per_second": round(steps * run.config.batch_size / max(seconds, 1e-9), 2),
        "seconds": round(run.seconds, 1),
    }


def record(run: TrainingRun, values: dict[str, Any], progress: TrainingProgress) -> None:
    """Add a measurement to the history, the trackers and the progress line."""
    run.history.add(step=run.step, **values)
    run.accelerator.log(values, step=run.step)
    progress.show(run.step, values)
    if run.accelerator.is_main_process:
        run.history.save(run.config.output / HISTORY_FILE)


def validate(run: TrainingRun) -> dict[str, Any]:
    """Measure loss and accuracy (%) on the validation partition."""
    assert run.val is not None
    loss, accuracy = evaluate(run, run.val)
    return {"val_loss": loss, "val_accuracy": accuracy}


# Validation has shapes that training has not, and to compile for them would take minutes.
@torch.compiler.set_stance("force_eager")
@torch.no_grad()
def evaluate(run: TrainingRun, data: Any) -> tuple[float, float]:
    """Measure mean loss and accuracy (%) over all predictions; called by every process."""
    run.model.eval()
    sums = torch.zeros(3, device=run.accelerator.device)  # loss, correct, predicted
    for index in range(len(data)):
        (batch,) = data[index]
        loss, logits, inputs = forward(run, batch)
        count = torch.tensor(float(batch.num_targets), device=sums.device)
        correct = run.count_correct(logits, inputs).float()
        sums += torch.stack([loss * count, correct, count])
    run.model.train()
    loss_sum, num_correct, num_targets = run.accelerator.reduce(sums).tolist()
    return loss_sum / max(num_targets, 1), 100 * num_correct / max(num_targets, 1)


def keep_best(run: TrainingRun) -> None:
    """Save the model to `best/` if its validation accuracy is the highest so far."""
    accuracy = run.history.records[-1]["val_accuracy"]
    if accuracy <= run.best_accuracy:
        return
    run.best_accuracy = accuracy
    model = run.model_to_save()
    if run.accelerator.is_main_process:
        export_full(model, run.tokenizer, run.config.output / BEST_FOLDER, force=True)
    run.accelerator.wait_for_everyone()


def stop_if_not_finite(run: TrainingRun, bad_step: Tensor) -> None:
    """Stop a run whose loss has become infinite or not a number.

    Args:
        run: The run.
        bad_step: First step in which this process's loss was not finite, counted from 1; 0 if
            there was none.

    Raises:
        TrainingError: The loss of some process was not finite; names the barcodes of the step.
    """
    everywhere: list[int] = run.accelerator.gather(bad_step.reshape(1)).tolist()
    if not any(everywhere):
        return
    first = min(step for step in everywhere if step)
    raise TrainingError(
        f"the loss is not a finite number in step {first}; lower the learning rate or use "
        f"another precision. Barcodes of that step: {', '.join(run.train.processids(first - 1))}"
    )


def finish(run: TrainingRun, chosen: BarcodeMAEPreTrainedModel | None = None) -> TrainingResult:
    """Write the model, the history and its plot to the output folder.

    Args:
        run: The finished run.
        chosen: Model to write instead of the run's current one.
    """
    output = run.config.output
    model = chosen or run.model_to_save()
    if run.accelerator.is_main_process:
        export(model, run.tokenizer, output, force=True)
        run.history.save(output / HISTORY_FILE)
        run.history.plot(output / PLOT_FILE)
    run.accelerator.wait_for_everyone()
    run.accelerator.end_training()
    return TrainingResult(output=output, steps=run.step, history=run.history)
