"""Learning curve of a pre-training run: python benchmarks/learning_curve.py RUN [NEXT_RUN ...].

For the untrained weights and each checkpoint in RUN/checkpoints, exports the encoder and measures
(in bf16) 1-NN genus accuracy on unseen species (`val_unseen`, references `train`). Writes one
record per checkpoint, which its `protocol` names, and plots the accuracy over the training loss.
A next run is one that started from the weights of the run before; the count of barcodes seen
continues.
"""

import dataclasses
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from matplotlib.figure import Figure
from safetensors.torch import load_file
from transformers.utils.logging import disable_progress_bar

from barcodemae import BarcodeKmerTokenizer, BarcodeMAEForPreTraining
from barcodemae.eval.embed.loading import ModelOptions
from barcodemae.eval.probe.probing import probe_nearest
from barcodemae.eval.probe.subjects import ProbeSettings, open_subject
from barcodemae.eval.report.records import ResultRecord, read_records, write_records
from barcodemae.files import whole_file
from barcodemae.training.export.folders import export_native
from barcodemae.training.run.checkpoints import STATE_FILE, checkpoint_folders
from barcodemae.training.run.history import History
from barcodemae.training.run.pretrain_run import build_model
from barcodemae.training.run.pretrain_settings import PretrainConfig


@dataclass
class Stage:
    """One run of a chain of runs.

    Attributes:
        folder: Output folder of the run.
        config: Settings of the run.
        seen_before: Number of barcodes seen in the runs before it.
    """

    folder: Path
    config: PretrainConfig
    seen_before: int

    @classmethod
    def open_all(cls, folders: list[Path], data: Path) -> list["Stage"]:
        """Open runs, each of which continues the one before."""
        stages: list[Stage] = []
        seen = 0
        for folder in folders:
            saved = json.loads((folder / "settings.json").read_text())
            # Weights are read from checkpoints, so the initial ones of the run are not needed.
            own = {"data": data, "output": folder, "initial_weights": None}
            stages.append(cls(folder, PretrainConfig.resolve(saved | own), seen))
            seen += stages[-1].history.records[-1]["step"] * stages[-1].config.batch_size
        return stages

    @property
    def history(self) -> History:
        """History that the run has recorded."""
        return History(json.loads((self.folder / "history.json").read_text()))

    def seen(self, step: int) -> int:
        """Return the number of barcodes seen after a step, in this run and those before it."""
        return self.seen_before + step * self.config.batch_size

    def states(self, every: int) -> Iterator[tuple[int, BarcodeMAEForPreTraining]]:
        """Yield step and model of one in `every` checkpoints; in the first run also of step 0."""
        model = build_model(self.config)
        if self.seen_before == 0:
            yield 0, model
        for folder in checkpoint_folders(self.folder)[every - 1 :: every]:
            model.load_state_dict(load_file(folder / "model.safetensors"))
            yield json.loads((folder / STATE_FILE).read_text())["step"], model


def probe_weights(
    model: BarcodeMAEForPreTraining, stage: Stage, step: int, settings: ProbeSettings
) -> ResultRecord:
    """Measure the accuracy of one state of the model; the protocol records step and barcodes."""
    tokenizer = BarcodeKmerTokenizer.from_pretrained(stage.folder)
    with tempfile.TemporaryDirectory() as folder:
        encoder = Path(folder) / "encoder"
        export_native(model, tokenizer, encoder)
        subject = open_subject(
            f"{stage.config.recipe}, step {step}={encoder}", ModelOptions(dtype="bfloat16")
        )
        records = probe_nearest(subject, settings)
    accuracy = next(record for record in records if record.metric == "accuracy")
    where = {"run": stage.config.recipe, "step": step, "barcodes_seen": stage.seen(step)}
    return dataclasses.replace(accuracy, protocol={**accuracy.protocol, **where})


def draw(records: list[ResultRecord], stages: list[Stage], path: Path) -> None:
    """Plot accuracy against barcodes seen, with intervals, over the training loss."""
    seen = [record.protocol["barcodes_seen"] / 1000 for record in records]
    figure = Figure(figsize=(7, 4), layout="constrained")
    panel = figure.subplots()
    values = [record.value for record in records]
    low = [record.low if record.low is not None else record.value for record in records]
    high = [record.high if record.high is not None else record.value for record in records]
    panel.fill_between(seen, low, high, alpha=0.2, linewidth=0)
    panel.plot(seen, values, marker="o", markersize=4, label="1-NN genus, unseen species")
    panel.set(xlabel="barcodes seen (thousands)", ylabel="accuracy (%)", ylim=(0, None))
    loss_panel = panel.twinx()
    for stage in stages:  # one line per run, because losses of two runs are not on one scale
        steps, losses = stage.history.column("loss")
        loss_panel.plot(
            [stage.seen(int(step)) / 1000 for step in steps], losses, color="grey", linewidth=1
        )
    loss_panel.set_ylabel("training loss (nats, grey)")
    panel.spines[["top"]].set_visible(False)
    loss_panel.spines[["top"]].set_visible(False)
    panel.legend(frameon=False, loc="center right")
    with whole_file(path) as file:
        figure.savefig(file, dpi=150)


def main(
    run: Annotated[list[Path], typer.Argument(help="Folders of pre-training runs, in order.")],
    data: Annotated[Path, typer.Option(help="Data set with labels.")],
    json_file: Annotated[Path, typer.Option("--json", help="JSON file for the records.")],
    plot: Annotated[Path | None, typer.Option(help="File for the plot.")] = None,
    every: Annotated[int, typer.Option(help="Probe one in so many checkpoints.")] = 1,
    queries: Annotated[str, typer.Option(help="Split of the queries.")] = "val_unseen",
) -> None:
    """Probe the checkpoints of runs; those in the JSON file are not probed again."""
    disable_progress_bar()
    stages = Stage.open_all(run, data)
    command = f"python benchmarks/learning_curve.py RUN... --data {data.resolve().name}"
    settings = ProbeSettings(dataset=data, queries=queries, command=command)
    records = read_records(json_file) if json_file.is_file() else []
    known = {(record.protocol["run"], record.protocol["step"]) for record in records}
    for stage in stages:
        for step, model in stage.states(every):
            if (stage.config.recipe, step) in known:
                continue
            probed = probe_weights(model, stage, step, settings)
            records.append(probed)
            records.sort(key=lambda record: record.protocol["barcodes_seen"])
            write_records(json_file, records)
            typer.echo(f"{stage.seen(step):>9} barcodes  {probed.value:.2f} %")
    if plot is not None:
        draw(records, stages, plot)


if __name__ == "__main__":
    typer.run(main)
