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
        ..., metavar="MODEL_DIR", help="A BarcodeMAE folder, e.g. what pre-training left."
    ),
    out: Path = typer.Option(..., "--out", "-o", metavar="DIR", help="The folder to write."),
    dtype: WeightType = typer.Option(
        None, help="Store weights in this format; as they are by default."
    ),
    force: bool = typer.Option(False, "--force", help="Write into a foreign, non-empty folder."),
) -> None:
    """Write a trained model as DIR (full) and DIR/encoder (plain BERT, no custom code)."""
    import torch

    from barcodemae.training.export import ENCODER_FOLDER, load_model_folder
    from barcodemae.training.export import export as write_artefacts

    model, tokenizer = load_model_folder(model_folder)
    write_artefacts(
        model,
        tokenizer,
        out,
        dtype=None if dtype is None else getattr(torch, dtype.value),
        force=force,
    )
    typer.echo(f"wrote {out} (full) and {out / ENCODER_FOLDER} (native encoder)", err=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the command line."""
    app.command()(export)
