"""Fine-tune an encoder to name taxa.

    accelerate launch training/finetune.py --data DIR --model MODEL --rank species --output OUT

In: a labelled data set, a pre-trained folder and settings (`FinetuneConfig`). Out, in OUT: a
classifier that `pipeline("text-classification")` opens, its classes named in the config;
`test.json` with the accuracy on the test partition; and, as after pre-training, `best/`,
`checkpoints/`, `settings.json`, `history.json`, `loss.png`. The weights reported and saved are
those with the highest accuracy on the validation partition. Guarded by
tests/training/run/test_finetune.py.
"""

import json
from typing import Any

from accelerate import DistributedType
from torch import Tensor

from barcodemae.errors import DataError, SettingsError
from barcodemae.modeling_barcodemae import BarcodeMAEForSequenceClassification
from barcodemae.training.batches.labelled import LabelledBarcodes, LabelledInOrder, LabelledSteps
from barcodemae.training.batches.step_batches import StreamSettings
from barcodemae.training.export.folders import load_model_folder
from barcodemae.training.run.classifier import build_classifier
from barcodemae.training.run.command_line import command_from_settings, run_as_script
from barcodemae.training.run.finetune_settings import FinetuneConfig
from barcodemae.training.run.loop import BEST_FOLDER, TrainingResult, evaluate, finish, train
from barcodemae.training.run.training_run import (
    Task,
    TrainingRun,
    assemble,
    share_of,
    start_accelerator,
)


TEST_FILE = "test.json"


def finetune(config: FinetuneConfig, resume: bool = False) -> TrainingResult:
    """Fine-tune a pre-trained model to name taxa at one rank.

    Args:
        config: The settings.
        resume: Continue from the newest checkpoint in `config.output`, if there is one.

    Returns:
        The classifier's folder and the history, test accuracy (%) in its last record.

    Raises:
        SettingsError: `config.output` holds a run with other settings, or one and not `resume`.
        CheckpointError: `config.model` cannot be opened, or a checkpoint not written or read.
        DataError: A partition has no labelled barcodes, or there is only one class.
        TrainingError: The loss is no longer a number.
    """
    run = prepare_finetuning(config, resume=resume)
    train(run)
    model = take_best(run) if config.val_split else None
    if config.test_split:
        report_test(run, config)
    return finish(run, model)


def prepare_finetuning(config: FinetuneConfig, *, resume: bool = False) -> TrainingRun:
    """Build classifier, optimiser and batches, and restore the newest checkpoint if asked to."""
    accelerator = start_accelerator(config, resume=resume)
    if accelerator.distributed_type == DistributedType.FSDP:
        raise SettingsError("fine-tuning goes with DDP, not with FSDP")
    share = share_of(config, accelerator)
    model, tokenizer, barcodes = build_classifier(config)
    classes = class_names(model)
    stream = StreamSettings(
        seed=config.seed,
        random_offset=config.random_offset,
        num_steps=config.num_steps(len(barcodes.reader)),
    )
    task = Task(
        train=LabelledSteps(barcodes.reader, share, stream, barcodes.labels(classes)),
        val=None,
        count_correct=count_correct,
        tokenizer=tokenizer,
    )
    run = assemble(config, accelerator, model, task, resume=resume)
    if config.val_split:
        run.val, _ = held_out(run, config, config.val_split)
    return run


def class_names(model: BarcodeMAEForSequenceClassification) -> list[str]:
    """The classes of a classifier, in the order of their numbers."""
    names: dict[int, str] = model.config.id2label  # type: ignore[assignment]
    return [names[number] for number in sorted(names)]


def held_out(
    run: TrainingRun, config: FinetuneConfig, split: str
) -> tuple[LabelledInOrder, LabelledBarcodes]:
    """Open a partition with the classes of the model.

    Raises:
        DataError: None of its barcodes belongs to a class.
    """
    barcodes = LabelledBarcodes.read(config.data, split, config.rank, run.tokenizer)
    model = run.accelerator.unwrap_model(run.model)
    labels = barcodes.labels(class_names(model))
    if (labels < 0).all():
        raise DataError(config.data, f"no {config.rank} of split {split} is one trained on")
    return LabelledInOrder(barcodes.reader, labels, share_of(config, run.accelerator)), barcodes


def take_best(run: TrainingRun) -> BarcodeMAEForSequenceClassification:
    """Load the weights that were best on the validation partition into the run's model."""
    best, _ = load_model_folder(run.config.output / BEST_FOLDER)
    assert isinstance(best, BarcodeMAEForSequenceClassification)
    run.accelerator.unwrap_model(run.model).load_state_dict(best.state_dict())
    return best


def report_test(run: TrainingRun, config: FinetuneConfig) -> None:
    """Measure accuracy on the test partition; a barcode of an unknown class counts as wrong."""
    data, barcodes = held_out(run, config, config.test_split)
    loss, accuracy = evaluate(run, data)
    num_known = int((data.labels >= 0).sum())
    result: dict[str, Any] = {
        "rank": config.rank,
        "split": config.test_split,
        "accuracy": accuracy * num_known / len(barcodes.names),
        "num_barcodes": len(barcodes.names),
        "num_of_unknown_class": len(barcodes.names) - num_known,
        "num_classes": len(class_names(run.accelerator.unwrap_model(run.model))),
        "data_hash": run.data_hash,
        "seed": config.seed,
    }
    run.history.add(step=run.step, test_loss=loss, test_accuracy=result["accuracy"])
    if run.accelerator.is_main_process:
        (config.output / TEST_FILE).write_text(json.dumps(result, indent=2) + "\n")


def count_correct(logits: Tensor, inputs: dict[str, Tensor]) -> Tensor:
    """Number of barcodes whose most likely class is the true one; logits are (M, classes)."""
    return (logits.argmax(dim=-1) == inputs["labels"]).sum()


if __name__ == "__main__":
    run_as_script(command_from_settings(FinetuneConfig, finetune, has_presets=False))
