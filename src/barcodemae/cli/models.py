"""Commands that make or change model folders: `export`, `convert` and `whiten`.

Guarded by tests/training/export/test_folders.py, tests/training/export/test_convert.py and
tests/eval/embed/test_whitening.py.
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
    """Write a trained model as DIR (full) and DIR/encoder (plain BERT).

    A readout that the folder stores (see `whiten`) goes along to both.
    """
    import torch

    from barcodemae.default_model import resolve_model
    from barcodemae.errors import SettingsError
    from barcodemae.training.export.folders import ENCODER_FOLDER, load_model_folder
    from barcodemae.training.export.folders import export as write_artefacts

    if (model_folder is None) == (model is None):
        raise SettingsError("name one model to export: either MODEL_DIR or --model")
    source = Path(model_folder or resolve_model(model))
    write_artefacts(
        *load_model_folder(source),
        out,
        readout_from=source,
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
    from barcodemae.training.export.convert import convert as convert_checkpoint
    from barcodemae.training.export.folders import ENCODER_FOLDER

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


def whiten(
    model_folder: Path = typer.Argument(
        ..., metavar="MODEL_DIR", help="A model folder, full or encoder; it is changed."
    ),
    *,
    data: Path = typer.Option(..., help="Folder of a prepared data set; labels are not read."),
    splits: str = typer.Option("pretrain,train", help="Partitions to draw from; commas."),
    power: float = typer.Option(0.25, help="0 centres and rotates, 0.5 evens out all axes."),
    sample: int = typer.Option(20_000, help="Fit on at most this many barcodes."),
    seed: int = typer.Option(0, help="Of the draw."),
    device: str = typer.Option("", help="cpu, cuda, ...; default: a GPU if there is one."),
    batch_size: int = typer.Option(64, help="Sequences per forward pass; changes speed only."),
) -> None:
    """Fit a readout (centring, partial whitening) on barcodes and store it in MODEL_DIR.

    `embed`, probes, `dna-embedding` and sentence-transformers apply it from then on, also in
    MODEL_DIR/encoder. A readout that is there already is replaced.
    """
    from barcodemae.eval.embed.whitening import WhiteningSettings, whiten_folder

    settings = WhiteningSettings(
        dataset=data,
        splits=tuple(name.strip() for name in splits.split(",")),
        power=power,
        sample=sample,
        seed=seed,
    )
    number = whiten_folder(model_folder, settings, device=device or None, batch_size=batch_size)
    typer.echo(
        f"wrote a readout of power {power:g}, fitted on {number} barcodes, to {model_folder}",
        err=True,
    )


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the command line."""
    app.command()(export)
    app.command()(convert)
    app.command()(whiten)
