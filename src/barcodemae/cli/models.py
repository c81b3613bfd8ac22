"""Commands that make or change model folders: `export`, `convert` and `whiten`.

Guarded by tests/training/export/test_folders.py, tests/training/export/test_convert.py and
tests/eval/embed/test_whitening.py.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from barcodemae.cli import options
from barcodemae.cli.help.command_help import add_command


class WeightType(StrEnum):
    """Number formats that weights can be stored in."""

    float32 = "float32"
    bfloat16 = "bfloat16"


def export(
    model_folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="MODEL_DIR", help="A BarcodeMAE folder, e.g. what pre-training left."
        ),
    ] = None,
    *,
    model: Annotated[
        str | None,
        typer.Option(help="In place of MODEL_DIR: a folder, or `default` for the bundled model."),
    ] = None,
    output: options.OutputFolder,
    dtype: Annotated[
        WeightType, typer.Option(help="Number format of the stored weights.")
    ] = WeightType.float32,
    onnx: Annotated[
        bool,
        typer.Option(
            "--onnx",
            help="Also write DIR/onnx: graphs in float32 and int8, letters in, vector out.",
        ),
    ] = False,
    calibrate: Annotated[
        str,
        typer.Option(
            metavar="FASTA",
            help="Barcodes to measure the numbers of int8 on; bundled ones if none.",
        ),
    ] = "",
    force: options.Force = False,
) -> None:
    """Write a trained model as DIR (full) and DIR/encoder (plain BERT or ModernBERT).

    A readout that the folder stores (see `whiten`) goes along to both.
    """
    import torch

    from barcodemae.default_model import resolve_model
    from barcodemae.errors import SettingsError
    from barcodemae.output.places import claimed
    from barcodemae.training.export.folders import ENCODER_FOLDER, load_model_folder
    from barcodemae.training.export.folders import export as write_artefacts

    if (model_folder is None) == (model is None):
        raise SettingsError("name one model to export: either MODEL_DIR or --model")
    source = Path(model_folder or resolve_model(str(model)))
    with claimed(output, folder=True):
        write_artefacts(
            *load_model_folder(source),
            output,
            readout_from=source,
            dtype=getattr(torch, dtype.value),
            force=force,
        )
    typer.echo(f"wrote {output} (full) and {output / ENCODER_FOLDER} (native encoder)", err=True)
    if onnx:
        write_graphs(output, calibrate)


def write_graphs(folder: Path, calibrate: str) -> None:
    """Write the ONNX graphs of a model folder.

    Args:
        folder: Model folder.
        calibrate: File of barcodes to measure ranges on; empty for the bundled ones.
    """
    from itertools import islice

    from barcodemae.demonstration import REFERENCES
    from barcodemae.eval.embed.graph.exporting import NUM_READ, export_graphs
    from barcodemae.fasta import read_records

    source = calibrate or str(REFERENCES)
    barcodes = [record.sequence for record in islice(read_records(source), NUM_READ)]
    for path in export_graphs(folder, barcodes, source):
        typer.echo(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)", err=True)


def convert(
    original: Annotated[
        Path, typer.Argument(metavar="ORIGINAL.pt", help="A checkpoint of the original code.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write.")],
    force: options.Force = False,
) -> None:
    """Convert a checkpoint of the original BarcodeMAE or BarcodeBERT code into OUT and OUT/encoder.

    The file is read without running anything in it; only weights and plain settings are accepted.
    """
    from barcodemae.modeling_barcodemae import BarcodeMAEModel
    from barcodemae.output.places import claimed
    from barcodemae.training.export.convert import convert as convert_checkpoint
    from barcodemae.training.export.folders import ENCODER_FOLDER

    with claimed(out, folder=True):
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
    model_folder: Annotated[
        Path,
        typer.Argument(metavar="MODEL_DIR", help="A model folder, full or encoder; it is changed."),
    ],
    *,
    data: options.Data,
    splits: options.Splits = "pretrain,train",
    power: Annotated[
        float, typer.Option(help="0 centres and rotates, 0.5 evens out all axes.")
    ] = 0.25,
    sample: Annotated[int, typer.Option(help="Fit on at most this many barcodes.")] = 20_000,
    seed: options.Seed = 0,
    device: options.Device = "",
    batch_size: options.BatchSize = 64,
) -> None:
    """Fit a readout (centring, partial whitening) on barcodes and store it in MODEL_DIR.

    `embed`, probes, `dna-embedding` and sentence-transformers apply it from then on, also in
    MODEL_DIR/encoder. A readout that is there already is replaced.
    """
    from barcodemae.eval.embed.whitening import WhiteningSettings, whiten_folder
    from barcodemae.output.places import claimed

    settings = WhiteningSettings(
        dataset=data,
        splits=tuple(name.strip() for name in splits.split(",")),
        power=power,
        sample=sample,
        seed=seed,
    )
    with claimed(model_folder, folder=True):
        number = whiten_folder(model_folder, settings, device=device or None, batch_size=batch_size)
    typer.echo(
        f"wrote a readout of power {power:g}, fitted on {number} barcodes, to {model_folder}",
        err=True,
    )


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the command line."""
    add_command(app, "export", export)
    add_command(app, "convert", convert)
    add_command(app, "whiten", whiten)
