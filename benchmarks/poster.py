"""The poster's three models at the whole cost of the bundled model: python benchmarks/poster.py ...

    python benchmarks/poster.py --data data/coi --out OUT --json curve.json --until 0.25

BarcodeBERT, BarcodeMAE w/MASK and BarcodeMAE with the layers of the bundled model's encoder, in the
frame, each trained to predict hidden k-mers and nothing else; none has site embeddings. The horizon
of each is the FLOP of the bundled model's training, cut into slices; the three take a slice in
turn, so that at any moment they have cost about the same. The learning rate is constant after a
warm-up, so a run may stop at any slice (`--until`, a share of the horizon, at most `LONGEST`) and
go on later with the same command: its curve at equal FLOP, and at equal barcodes, is read off along
the way. After some slices the encoder is exported and names the genera of `val_unseen` from a fixed
random subset of `train` (1-NN).

In: a prepared data set. Out: in OUT, the runs with checkpoints and their exported encoders; a file
of records. Guarded by tests/benchmarks/test_poster.py.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from comparison import flop_per_step
from transformers.utils.logging import disable_progress_bar

from barcodemae.dataset import dataset_hash
from barcodemae.eval.embed.loading import ModelOptions
from barcodemae.eval.probe.nearest_probe import run_nearest_probe
from barcodemae.eval.probe.probe_data import LabelledRows, read_labelled
from barcodemae.eval.probe.subjects import Subject, open_subject
from barcodemae.eval.report.records import ResultRecord, read_records, write_records
from barcodemae.files import write_json
from barcodemae.training.export.folders import ENCODER_FOLDER, export
from barcodemae.training.run.claim import run_folder
from barcodemae.training.run.history import History
from barcodemae.training.run.loop import train
from barcodemae.training.run.pretrain_run import prepare_pretraining
from barcodemae.training.run.pretrain_settings import PretrainConfig
from barcodemae.training.run.run_settings import load_recipe
from barcodemae.training.run.training_run import TrainingRun


ROOT = Path(__file__).parents[1]
BUNDLED = "compact"  # recipe of the bundled model
HISTORY = ROOT / "src/barcodemae/default/history.json"  # says how many steps it took
LAYERS = load_recipe(BUNDLED)
BASE: dict[str, Any] = load_recipe("bundled_control") | {
    "recipe": "bundled_control",
    "hidden_size": LAYERS["tower_size"],
    "num_hidden_layers": LAYERS["num_hidden_layers"],
    "num_attention_heads": LAYERS["num_attention_heads"],
    "intermediate_size": LAYERS["intermediate_size"],
    "schedule": "constant",
    "warmup_fraction": 0.02,
    "train_splits": "pretrain,train",
    "val_split": "",
    "validate_every": 1_000_000,
    "keep_checkpoints": 1,
}
DECODER = {key: value for key, value in LAYERS.items() if key.startswith("decoder_")}
MODELS: dict[str, dict[str, Any]] = {
    "BarcodeBERT": {},
    "BarcodeMAE w/MASK": {**DECODER, "encoder_sees_mask": True},
    "BarcodeMAE": {**DECODER, "encoder_sees_mask": False},
}
LONGEST = 4  # horizons that a run may take; the warm-up is a share of this length
SLICES = 32  # of the horizon
EARLY = (1, 2, 4)  # slices after which the encoder is probed, beside every LATE-th
LATE = 8
MAX_REFERENCES = 6000  # a random subset of `train`; the whole takes longer than a slice
PROBE = "curve"  # in records; no column of a leaderboard


@dataclass(frozen=True)
class Plan:
    """One run.

    Attributes:
        model: Key of `MODELS`.
        seed: Seed of weights, order of barcodes and masks.
        slice_steps: Number of steps of a slice.
        flop_per_step: FLOP of a step.
    """

    model: str
    seed: int
    slice_steps: int
    flop_per_step: float

    @property
    def folder(self) -> str:
        """Name of the run's folder."""
        return f"{self.model.lower().replace(' ', '-').replace('/', '')}-seed{self.seed}"

    def progress(self, step: int) -> tuple[dict[str, Any], dict[str, int]]:
        """Return how far the run is after a number of steps, as protocol and counts of a record."""
        counts = {
            "training_steps": step,
            "barcodes_seen": step * int(BASE["batch_size"]),
            "training_gigaflop": round(step * self.flop_per_step / 1e9),
        }
        return {"share_of_horizon": step / (SLICES * self.slice_steps)}, counts

    def config(self, data: Path, out: Path, changes: dict[str, Any]) -> PretrainConfig:
        """Return the training settings.

        Args:
            data: Prepared data set.
            out: Folder of all runs.
            changes: Settings that replace those of `BASE` and `MODELS`.
        """
        return PretrainConfig.resolve(
            BASE | MODELS[self.model] | changes,
            data=data,
            output=out / self.folder,
            seed=self.seed,
            max_steps=LONGEST * SLICES * self.slice_steps,
            checkpoint_every=self.slice_steps,
        )


@dataclass(frozen=True)
class Curve:
    """How the runs are probed along the way.

    Attributes:
        references: Labelled barcodes that the query's neighbour is taken from.
        queries: Labelled barcodes of species that no training and no reference has.
        data: Prepared data set they are from.
        command: Command line, for the records.
    """

    references: LabelledRows
    queries: LabelledRows
    data: Path
    command: str

    @classmethod
    def read(cls, data: Path, command: str) -> "Curve":
        """Read the barcodes of the curve: `val_unseen`, and the same subset of `train` always."""
        whole = read_labelled(data, ["train"], "genus")
        chosen = np.random.default_rng(0).permutation(len(whole.labels))[:MAX_REFERENCES]
        return cls(
            whole.select(np.sort(chosen)),
            read_labelled(data, ["val_unseen"], "genus"),
            data,
            command,
        )

    def measure(
        self, subject: Subject, seed: int, protocol: dict[str, Any], counts: dict[str, int]
    ) -> ResultRecord:
        """Probe a model as it is after some steps.

        Args:
            subject: The model.
            seed: Seed of its training.
            protocol: Further choices, for the record.
            counts: Further counts, for the record.
        """
        outcome = run_nearest_probe(subject.model, self.references, self.queries)
        score = outcome.scores["accuracy"]
        return ResultRecord(
            model=subject.label,
            dataset=self.data.resolve().name,
            probe=PROBE,
            metric="accuracy",
            value=score.value,
            low=score.low,
            high=score.high,
            architecture=subject.model.architecture,
            weights=subject.model.fingerprint,
            dataset_hash=dataset_hash(self.data),
            protocol={
                "rank": "genus",
                "references": "train",
                "max_references": MAX_REFERENCES,
                "queries": "val_unseen",
                "neighbors": 1,
                "similarity": "cosine",
                **protocol,
                **subject.precision,
            },
            training_seed=seed,
            counts={**outcome.counts, **counts},
            command=self.command,
        )


def bundled_flop(data: Path, out: Path) -> float:
    """Count the FLOP of the bundled model's training: its steps, times what one costs."""
    steps = max(record["step"] for record in History(json.loads(HISTORY.read_text())).records)
    return steps * flop_per_step(LAYERS, data, out)


def make_plans(seed: int, data: Path, out: Path, changes: dict[str, Any]) -> list[Plan]:
    """Plan the three runs of a seed; what a step costs is counted once and kept in OUT."""
    file = out / "flop.json"
    if not file.is_file():
        flop = {name: flop_per_step(BASE | m | changes, data, out) for name, m in MODELS.items()}
        write_json(file, {"horizon": bundled_flop(data, out), "step": flop})
    counted = json.loads(file.read_text())
    horizon = counted["horizon"]
    return [
        Plan(model, seed, max(1, round(horizon / counted["step"][model] / SLICES)), flop)
        for model, flop in counted["step"].items()
    ]


def is_probed(part: int, last: int) -> bool:
    """Whether the encoder is probed after slice `part`, `last` being the last that is run."""
    return part in EARLY or part % LATE == 0 or part == last


def export_encoder(run: TrainingRun) -> Path:
    """Export the model as it is now, and return the folder of its encoder."""
    folder = run.config.output / f"at-{run.step:08d}"
    export(run.model_to_save(), run.tokenizer, folder, force=True)
    return folder / ENCODER_FOLDER


def run_slices(
    plans: Sequence[Plan], runs: Sequence[TrainingRun], curve: Curve, last: int
) -> Iterator[ResultRecord]:
    """Let the runs take their slices in turn.

    Args:
        plans: Plans of the runs.
        runs: The runs, restored from their newest checkpoints.
        curve: How they are probed.
        last: Number of the last slice.

    Yields:
        One record for each probe that has not been made before.
    """
    for part in range(last + 1):
        for plan, run in zip(plans, runs, strict=True):
            step = part * plan.slice_steps
            cache = run.config.output / f"curve-{step:08d}.json"
            if run.step > step or (run.step == step and cache.is_file()):
                continue
            if part:
                train(run, until=step)
            if part == 0 or is_probed(part, last):
                options = ModelOptions(device="cpu", dtype="float32")
                subject = open_subject(f"{plan.model}={export_encoder(run)}", options)
                protocol, counts = plan.progress(step)
                protocol["learning_rate"] = run.config.learning_rate
                record = curve.measure(subject, plan.seed, protocol, counts)
                write_records(cache, [record])
                yield record


def collect(out: Path) -> list[ResultRecord]:
    """Read the records of all runs in OUT, by seed, model and step."""
    files = sorted(out.glob("*-seed*/curve-*.json"))
    records = [record for file in files for record in read_records(file)]
    order = list(MODELS)
    return sorted(
        records,
        key=lambda r: (r.training_seed, order.index(r.model), r.counts["training_steps"]),
    )


def main(
    data: Annotated[Path, typer.Option(help="Prepared data set.")],
    out: Annotated[Path, typer.Option(help="Folder of the runs.")],
    json_file: Annotated[Path, typer.Option("--json", help="JSON file for the records.")],
    seed: Annotated[int, typer.Option(help="The training seed.")] = 0,
    until: Annotated[
        float, typer.Option(help="Share of the horizon to stop at.", min=0.0, max=LONGEST)
    ] = 1.0,
    threads: Annotated[int, typer.Option(help="Threads; the weights depend on them.")] = 1,
    settings: Annotated[
        str, typer.Option(help="JSON object of settings to change, for rehearsals.")
    ] = "{}",
) -> None:
    """Train the three models in turns, and probe them along the way."""
    disable_progress_bar()
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    command = f"python benchmarks/poster.py --data {data.name} --seed {seed} --until {until}"
    changes = json.loads(settings)
    command += f" --settings '{settings}'" if changes else ""
    curve = Curve.read(data, command)
    plans = make_plans(seed, data, out, changes)
    with contextlib.ExitStack() as stack:
        configs = [plan.config(data, out, changes) for plan in plans]
        for config in configs:
            stack.enter_context(run_folder(config))
        runs = [prepare_pretraining(config, resume=True) for config in configs]
        for record in run_slices(plans, runs, curve, max(1, round(until * SLICES))):
            write_records(json_file, collect(out))
            steps = record.counts["training_steps"]
            typer.echo(f"{record.model}, seed {seed}, step {steps}: {record.value:.1f} %")


if __name__ == "__main__":
    typer.run(main)
