"""`barcodemae pretrain` and `barcodemae finetune`: the programs in `training/` as commands.

For several devices start the programs themselves: `accelerate launch training/pretrain.py`.
Guarded by tests/barcodemae/cli/test_training_commands.py.
"""

from pathlib import Path

import typer

from barcodemae.cli.help.command_help import add_command
from barcodemae.dataset import parquet_files
from barcodemae.training.run.command_line import command_from_settings
from barcodemae.training.run.finetune_settings import FinetuneConfig
from barcodemae.training.run.pretrain_settings import PretrainConfig


def pretrain(config: PretrainConfig, resume: bool | Path) -> None:
    """Pre-train a model on DNA barcodes: half of the k-mers hidden, the other half read."""
    parquet_files(config.data)  # complains before a folder is made for the run
    from barcodemae.training.pretrain import pretrain

    result = pretrain(config, resume)
    typer.echo(f"wrote {result.output} after {result.steps} steps", err=True)


def finetune(config: FinetuneConfig, resume: bool | Path) -> None:
    """Fine-tune a pre-trained model to name taxa at one rank."""
    parquet_files(config.data)
    from barcodemae.training.batches.labelled import count_named
    from barcodemae.training.finetune import finetune
    from barcodemae.training.run.classifier import find_model

    find_model(config.model)  # complains before anything is counted
    splits = [config.train_split, config.val_split, config.test_split]
    for counted in count_named(config.data, list(filter(None, splits)), config.rank):
        typer.echo(counted.told(config.rank), err=True)
    result = finetune(config, resume)
    accuracy = result.history.records[-1].get("test_accuracy")
    reported = "" if accuracy is None else f"; {accuracy:.2f} % right on {config.test_split}"
    typer.echo(f"wrote {result.output} after {result.steps} steps{reported}", err=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the command line."""
    add_command(app, "pretrain", command_from_settings(PretrainConfig, pretrain))
    add_command(app, "finetune", command_from_settings(FinetuneConfig, finetune, has_presets=False))
