"""Commands that turn one kind of model folder into another: `export` and `convert`.

Guarded by tests/training/test_export.py and tests/training/test_convert.py.
"""

from enum import StrEnum
from pathlib import Path

import typer


class WeightType(StrEnum):
    """Number formats that weights can be stored in."""

    float32 = "float32"
    bfloat16 = "bfloat16"


def export(
    model_folder: Path = typer.Argument(
        None, metavar="MODEL_DIR", help="A BarcodeMAE folder, e.g. what pre-training left."
    ),
    *,
    model: str = typer.Option(
        None, help="In place of MODEL_DIR: a folder, or `default` for the bundled model."
    ),
    out: Path = typer.Option(..., "--out", "-o", metavar="DIR", help="The folder to write."),
    dtype: WeightType = typer.Option(
        None, help="Store weights in this format; as they are by default."
    ),
    force: bool = typer.Option(False, "--force", help="Write into a foreign, non-empty folder."),
) -> None:
    """Write a trained model as DIR (full) and DIR/encoder (plain BERT, no custom code)."""
    import torch

    from barcodemae.default_model import resolve_model
    from barcodemae.errors import SettingsError
    from barcodemae.training.export import ENCODER_FOLDER, load_model_folder
    from barcodemae.training.export import export as write_artefacts

    if (model_folder is None) == (model is None):
        raise SettingsError("name one model to export: either MODEL_DIR or --model")
    write_artefacts(
        *load_model_folder(model_folder or resolve_model(model)),
        out,
        dtype=None if dtype is None else getattr(torch, dtype.value),
        force=force,
    )
    typer.echo(f"wrote {out} (full) and {out / ENCODER_FOLDER} (native encoder)", err=True)


def convert(
    original: Path = typer.Argument(
        ..., metavar="ORIGINAL.pt", help="A checkpoint of the original code."
    ),
    out: Path = typer.Argument(..., metavar="OUT", help="The folder to write."),
    force: bool = typer.Option(False, "--force", help="Write into a foreign, non-empty folder."),
) -> None:
    """Convert a checkpoint of the original BarcodeMAE or BarcodeBERT code into OUT and OUT/encoder.

    The file is read without running anything in it; only weights and plain settings are accepted.
    """
    from barcodemae.modeling_barcodemae import BarcodeMAEModel
    from barcodemae.training.convert import convert as convert_checkpoint
    from barcodemae.training.export import ENCODER_FOLDER

    model = convert_checkpoint(original, out, force=force)
    name = "BarcodeMAE encoder" if isinstance(model, BarcodeMAEModel) else "BarcodeBERT"
    config = model.config
    typer.echo(
        f"{name}: k={config.k}, {config.num_hidden_layers} layers, width {config.hidden_size}\n"
        f"wrote {out} (full) and {out / ENCODER_FOLDER} (native encoder)",
        err=True,
    )
    if isinstance(model, BarcodeMAEModel):
        typer.echo(
            "note: the original code never stores the decoder; the encoder is complete, but "
            "pre-training on from here starts with a new decoder",
            err=True,
        )


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the command line."""
    app.command()(export)
    app.command()(convert)
