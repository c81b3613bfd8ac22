"""Fine-tune a pre-trained encoder as a classifier of taxa at one rank.

    accelerate launch training/finetune.py --data DIR --model MODEL --rank species --output OUT

In: a labelled data set, a pre-trained model folder and settings (`FinetuneConfig`). Out, in OUT: a
classifier that `pipeline("text-classification")` opens, with its classes named in the config;
`test.json` with the accuracy on the test partition; and, as after pre-training, `best/`,
`checkpoints/`, `settings.json`, `history.json`, `loss.png`. The weights that are tested and saved
are those with the highest accuracy on the validation partition.
Guarded by tests/training/run/test_finetune.py.
"""

from typing import Any

from accelerate import DistributedType
from torch import Tensor

from barcodemae.errors import DataError, SettingsError
from barcodemae.files import write_json
from barcodemae.modeling_barcodemae import BarcodeMAEForSequenceClassification
from barcodemae.training.batches.labelled import LabelledBarcodes, LabelledInOrder, LabelledSteps
from barcodemae.training.batches.step_batches import StreamSettings
from barcodemae.training.export.folders import load_model_folder
from barcodemae.training.run.claim import Resume, run_folder
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


def finetune(config: FinetuneConfig, resume: Resume = False) -> TrainingResult:
    """Fine-tune a pre-trained model to name taxa at one rank.

    Args:
        config: The settings.
        resume: True to continue from the newest checkpoint in `config.output`, if there is one;
            or the checkpoint to continue from.

    Returns:
        The classifier's folder and the history, with the test accuracy (%) in its last record.

    Raises:
        SettingsError: `config.output` holds a run, and `resume` is False or its settings differ;
            or another run is writing there.
        CheckpointError: `config.model` cannot be opened, or a checkpoint cannot be written or read.
        DataError: A partition has no labelled barcodes, or there is only one class.
        TrainingError: The loss is no longer a finite number.
    """
    with run_folder(config):
        run = prepare_finetuning(config, resume=resume)
        train(run)
        model = take_best(run) if config.val_split else None
        if config.test_split:
            report_test(run, config)
        return finish(run, model)


def prepare_finetuning(config: FinetuneConfig, *, resume: Resume = False) -> TrainingRun:
    """Build classifier, optimiser and batches; restore a checkpoint if `resume`."""
    accelerator = start_accelerator(config, resume=resume)
    if accelerator.distributed_type == DistributedType.FSDP:
        raise SettingsError("fine-tuning does not support FSDP: use DDP")
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
        run.val, _ = open_partition(run, config, config.val_split)
    return run


def class_names(model: BarcodeMAEForSequenceClassification) -> list[str]:
    """List the classes of a classifier in the order of their numbers."""
    names: dict[int, str] = model.config.id2label  # type: ignore[assignment]
    return [names[number] for number in sorted(names)]


def open_partition(
    run: TrainingRun, config: FinetuneConfig, split: str
) -> tuple[LabelledInOrder, LabelledBarcodes]:
    """Open a held-out partition, labelled with the classes of the model.

    Args:
        run: The run, with its model and tokenizer.
        config: The settings.
        split: Partition to open.

    Returns:
        batches: Its batches in stored order.
        barcodes: Its barcodes that have a name at the rank.

    Raises:
        DataError: None of the barcodes belongs to a class.
    """
    barcodes = LabelledBarcodes.read(config.data, split, config.rank, run.tokenizer)
    model = run.accelerator.unwrap_model(run.model)
    labels = barcodes.labels(class_names(model))
    if (labels < 0).all():
        raise DataError(
            config.data, f"no {config.rank} of split {split} is among those of the training split"
        )
    return LabelledInOrder(barcodes.reader, labels, share_of(config, run.accelerator)), barcodes


def take_best(run: TrainingRun) -> BarcodeMAEForSequenceClassification:
    """Load the model with the best validation accuracy, put its weights into the run, return it."""
    best, _ = load_model_folder(run.config.output / BEST_FOLDER)
    assert isinstance(best, BarcodeMAEForSequenceClassification)
    run.accelerator.unwrap_model(run.model).load_state_dict(best.state_dict())
    return best


def report_test(run: TrainingRun, config: FinetuneConfig) -> None:
    """Measure the accuracy on the test partition; a barcode of an unknown class counts as wrong."""
    data, barcodes = open_partition(run, config, config.test_split)
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
        write_json(config.output / TEST_FILE, result)


def count_correct(logits: Tensor, inputs: dict[str, Tensor]) -> Tensor:
    """Count the barcodes whose most likely class is the true one.

    Args:
        logits: Logits of the classes, (barcodes, classes).
        inputs: Arguments of the model, with `labels`, (barcodes,).

    Returns:
        The number of correct predictions, a scalar.
    """
    return (logits.argmax(dim=-1) == inputs["labels"]).sum()


if __name__ == "__main__":
    run_as_script(command_from_settings(FinetuneConfig, finetune, has_presets=False))
