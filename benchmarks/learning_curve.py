"""How good the encoder is after each checkpoint of a run: python benchmarks/learning_curve.py RUN.

For the untrained weights and the checkpoints in RUN/checkpoints, exports the encoder and measures
(in bf16) 1-NN genus accuracy on unseen species (`val_unseen`, references `train`), then writes
the records (one per checkpoint, `protocol.step` says which) and draws them over the training loss.
"""

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from matplotlib.figure import Figure
from safetensors.torch import load_file
from transformers.utils.logging import disable_progress_bar

from barcodemae import BarcodeKmerTokenizer, BarcodeMAEForPreTraining
from barcodemae.eval.probing import probe_nearest
from barcodemae.eval.records import ResultRecord, write_records
from barcodemae.eval.subjects import ProbeSettings, open_subject
from barcodemae.training.checkpoints import STATE_FILE, checkpoint_folders
from barcodemae.training.export import export_native
from barcodemae.training.history import History
from barcodemae.training.pretrain_run import build_model
from barcodemae.training.settings import PretrainConfig


def probe_weights(
    model: BarcodeMAEForPreTraining, config: PretrainConfig, step: int, settings: ProbeSettings
) -> ResultRecord:
    """Accuracy of one state of the model, with the step and the barcodes seen in its protocol."""
    tokenizer = BarcodeKmerTokenizer(k=config.k, max_length_bp=config.max_length_bp)
    with tempfile.TemporaryDirectory() as folder:
        encoder = Path(folder) / "encoder"
        export_native(model, tokenizer, encoder)
        records = probe_nearest(open_subject(f"step-{step}={encoder}", dtype="bfloat16"), settings)
    accuracy = next(record for record in records if record.metric == "accuracy")
    seen = {"step": step, "barcodes_seen": step * config.batch_size}
    return dataclasses.replace(accuracy, protocol={**accuracy.protocol, **seen})


def draw(records: list[ResultRecord], history: History, path: Path) -> None:
    """Draw accuracy by barcodes seen, with intervals, over the training loss."""
    seen = [record.protocol["barcodes_seen"] / 1000 for record in records]
    figure = Figure(figsize=(7, 4), layout="constrained")
    panel = figure.subplots()
    values = [record.value for record in records]
    low = [record.low if record.low is not None else record.value for record in records]
    high = [record.high if record.high is not None else record.value for record in records]
    panel.fill_between(seen, low, high, alpha=0.2, linewidth=0)
    panel.plot(seen, values, marker="o", markersize=4, label="1-NN genus, unseen species")
    panel.set(xlabel="barcodes seen (thousands)", ylabel="accuracy (%)", ylim=(0, None))
    steps, losses = history.column("loss")
    per_step = records[-1].protocol["barcodes_seen"] / records[-1].protocol["step"] / 1000
    other = panel.twinx()
    other.plot([step * per_step for step in steps], losses, color="grey", linewidth=1)
    other.set_ylabel("training loss (nats, grey)")
    panel.spines[["top"]].set_visible(False)
    other.spines[["top"]].set_visible(False)
    panel.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=150)


def main(
    run: Annotated[Path, typer.Argument(help="Folder of a pre-training run.")],
    data: Annotated[Path, typer.Option(help="Data set with labels.")],
    json_file: Annotated[Path, typer.Option("--json", help="Where the records go.")],
    plot: Annotated[Path | None, typer.Option(help="Where the picture goes.")] = None,
    every: Annotated[int, typer.Option(help="Probe every so many checkpoints.")] = 1,
    queries: Annotated[str, typer.Option(help="Split that is asked.")] = "val_unseen",
) -> None:
    """Probe the checkpoints of a run."""
    disable_progress_bar()
    saved = json.loads((run / "settings.json").read_text())
    config = PretrainConfig.resolve({**saved, "data": data, "output": run})
    command = f"python benchmarks/learning_curve.py RUN --data {data.resolve().name}"
    settings = ProbeSettings(dataset=data, queries=queries, command=command)
    model = build_model(config)
    folders = checkpoint_folders(run)[every - 1 :: every]
    records: list[ResultRecord] = []
    for folder in (None, *folders):  # None: before the first step
        step = 0
        if folder is not None:
            model.load_state_dict(load_file(folder / "model.safetensors"))
            step = json.loads((folder / STATE_FILE).read_text())["step"]
        records.append(probe_weights(model, config, step, settings))
        write_records(json_file, records)
        seen, value = records[-1].protocol["barcodes_seen"], records[-1].value
        typer.echo(f"{seen:>9} barcodes  {value:.2f} %")
    if plot is not None:
        draw(records, History(json.loads((run / "history.json").read_text())), plot)


if __name__ == "__main__":
    typer.run(main)
