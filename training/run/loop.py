"""The training loop: steps, measurements, validation, checkpoints; the same for every task.

In: a `TrainingRun`. Out: its model trained, `history.json`, `best/` and `checkpoints/` in the
output folder. The loop waits for the device only where something is due.
Guarded by tests/training/test_pretrain*.py and test_finetune.py.
"""

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
    """Where a finished run ended.

    Attributes:
        output: The loadable model folder.
        steps: Optimiser steps.
        history: All records.
    """

    output: Path
    steps: int
    history: History


def train(run: TrainingRun) -> None:
    """Take the remaining steps of a run.

    Raises:
        TrainingError: The loss is no longer a number.
        CheckpointError: A checkpoint cannot be written.
    """
    config = run.config
    with TrainingProgress(run.num_steps, run.step, run.accelerator) as progress:
        started = time.monotonic() - run.seconds
        bad_step = torch.tensor(0, device=run.accelerator.device)
        for batches in load_batches(run):
            run.step += 1
            metrics = train_step(run, batches, wants_accuracy=run.is_due(config.log_every))
            is_first_bad = (bad_step == 0) & ~metrics["loss"].isfinite()
            bad_step = torch.where(is_first_bad, run.step, bad_step)  # no sync with the device
            progress.advance()
            due = [config.log_every, config.checkpoint_every, config.validate_every]
            if not any(map(run.is_due, due)):
                continue
            stop_if_bad(run, bad_step)
            run.seconds = time.monotonic() - started
            if run.is_due(config.log_every):
                record(run, described(run, metrics), progress)
            if run.val is not None and run.is_due(config.validate_every):
                record(run, validate(run), progress)
                keep_best(run)
            run.seconds = time.monotonic() - started
            if run.is_due(config.checkpoint_every):
                save_checkpoint(
                    run.accelerator, config.output, run.step, run.state(), config.keep_checkpoints
                )


def load_batches(run: TrainingRun) -> Iterator[list[Any]]:
    """Prepare the micro-batches of every remaining step."""
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
    """Take one optimiser step; every prediction of the whole batch weighs the same.

    Args:
        run: The run.
        batches: This process's micro-batches of the step.
        wants_accuracy: Whether to count correct predictions too.

    Returns:
        `loss`, this process's share of the mean over all predictions, and, if wanted, `accuracy`,
        its share of the percentage predicted correctly; both without gradient.
    """
    accelerator, model = run.accelerator, run.model
    seed_dropout(run)
    num_targets = torch.tensor(
        sum(batch.num_targets for batch in batches), device=accelerator.device
    )
    total = accelerator.reduce(num_targets).clamp(min=1)
    metrics: dict[str, Tensor] = {}
    for index, batch in enumerate(batches):
        is_last = index == len(batches) - 1
        with nullcontext() if is_last else accelerator.no_sync(model):
            loss, logits, inputs = forward(run, batch)
            loss = loss * batch.num_targets / total
            # DDP averages gradients over the processes, hence times their number.
            accelerator.backward(loss * accelerator.num_processes)
        add_to(metrics, "loss", loss.detach())
        if wants_accuracy:
            add_to(metrics, "accuracy", 100 * run.count_correct(logits, inputs) / total)
    if run.config.max_grad_norm is not None:
        metrics["grad_norm"] = accelerator.clip_grad_norm_(
            model.parameters(), run.config.max_grad_norm
        )
    run.optimizer.step()
    run.scheduler.step()
    run.optimizer.zero_grad()
    return metrics


def forward(run: TrainingRun, batch: Batch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Run the model on a batch.

    Returns:
        The mean loss over the batch's predictions, the logits, and what the model was given.
    """
    inputs = batch.inputs(run.accelerator.device)
    outputs = run.model(**inputs)
    if batch.num_targets == 0:  # a mean of nothing is not a number; gradients still have to flow
        return 0 * outputs.logits.float().sum(), outputs.logits, inputs
    return outputs.loss.float(), outputs.logits, inputs


def add_to(sums: dict[str, Tensor], name: str, value: Tensor) -> None:
    """Add `value` to an entry that may not exist yet."""
    sums[name] = sums[name] + value if name in sums else value


def seed_dropout(run: TrainingRun) -> None:
    """Make dropout a function of (seed, step, process), so that resuming needs no RNG state."""
    key = [run.config.seed, run.step, run.accelerator.process_index]
    torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))


def described(run: TrainingRun, metrics: dict[str, Tensor]) -> dict[str, Any]:
    """Sum the processes' shares and describe the step; the rate is since the last record."""
    values = {name: float(run.accelerator.reduce(metrics[name])) for name in ("loss", "accuracy")}
    if "grad_norm" in metrics:
        values["grad_norm"] = float(metrics["grad_norm"])
    steps, seconds = run.step - run.mark[0], run.seconds - run.mark[1]
    run.mark = (run.step, run.seconds)
    return {
        **values,
        "epoch": round(run.step * run.config.batch_size / run.train.num_barcodes, 4),
        "learning_rate": run.scheduler.get_last_lr()[0],
        "barcodes_per_second": round(steps * run.config.batch_size / max(seconds, 1e-9), 2),
        "seconds": round(run.seconds, 1),
    }


def record(run: TrainingRun, values: dict[str, Any], progress: TrainingProgress) -> None:
    """Put a measurement into the history, the trackers and the progress line."""
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


# Validation meets shapes that training never does; compiling them anew would take minutes.
@torch.compiler.set_stance("force_eager")
@torch.no_grad()
def evaluate(run: TrainingRun, data: Any) -> tuple[float, float]:
    """Measure mean loss and accuracy (%) over batches; called by every process."""
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
    """Save the model to `best/` whenever validation accuracy is the highest so far."""
    accuracy = run.history.records[-1]["val_accuracy"]
    if accuracy <= run.best_accuracy:
        return
    run.best_accuracy = accuracy
    model = run.whole_model()
    if run.accelerator.is_main_process:
        export_full(model, run.tokenizer, run.config.output / BEST_FOLDER, force=True)
    run.accelerator.wait_for_everyone()


def stop_if_bad(run: TrainingRun, bad_step: Tensor) -> None:
    """Stop a run whose loss became infinite or not a number, naming the barcodes.

    Args:
        run: The run.
        bad_step: First bad step seen by this process, counted from 1; 0 if there was none.

    Raises:
        TrainingError: Some process saw one.
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
    """Write the model as it is now, or the one that was chosen, the history and its plot."""
    output = run.config.output
    model = chosen or run.whole_model()
    if run.accelerator.is_main_process:
        export(model, run.tokenizer, output, force=True)
        run.history.save(output / HISTORY_FILE)
        run.history.plot(output / PLOT_FILE)
    run.accelerator.wait_for_everyone()
    run.accelerator.end_training()
    return TrainingResult(output=output, steps=run.step, history=run.history)
