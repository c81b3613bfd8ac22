"""The paper's three models at 6-6-768 in equal minutes: the last stage of the GPU kit.

Published architecture, masks and learning rate; as the poster's comparison here, in the frame and
with a constant rate after a warm-up, so that a run is worth something whenever it stops. The three
take turns, a share of the minutes each, so that a kit that is cut off has trained them alike; after
each turn a checkpoint is saved, and the encoder names the genera of `val_unseen` from a random
subset of `train`.

In: the kit. Out: `records.json`, `histories.json`, and for each model `vectors-MODEL.npz`: its
vectors of those barcodes at length 1 in half precision, which loses nothing there that a 1-NN sees,
with their names and genera; checkpoints and encoders stay in `work/`.
Guarded by tests/benchmarks/test_gpu_kit.py.
"""

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer
from poster import Curve
from transformers.utils.logging import disable_progress_bar

from barcodemae.eval.embed.loading import ModelOptions
from barcodemae.eval.probe.subjects import Subject, open_subject
from barcodemae.eval.report.records import ResultRecord, read_records, write_records
from barcodemae.files import write_json
from barcodemae.training.export.folders import ENCODER_FOLDER, export
from barcodemae.training.run.checkpoints import save_checkpoint
from barcodemae.training.run.claim import run_folder
from barcodemae.training.run.loop import train
from barcodemae.training.run.pretrain_run import prepare_pretraining
from barcodemae.training.run.pretrain_settings import PretrainConfig
from barcodemae.training.run.run_settings import load_recipe
from barcodemae.training.run.training_run import TrainingRun


if TYPE_CHECKING:
    from gpu_stages import Kit

RECIPES = {
    "BarcodeBERT": "barcodebert",
    "BarcodeMAE w/MASK": "barcodemae_with_mask",
    "BarcodeMAE": "barcodemae",
}
SHARED: dict[str, Any] = {
    "frame": True,
    "random_offset": False,
    "schedule": "constant",
    "warmup_fraction": 0.003,
    "max_steps": 100_000,  # more than there is time for
    "batch_size": 256,
    "precision": "bf16",
    "compile": True,
    "num_workers": 4,
    "max_grad_norm": 1.0,
    "train_splits": "pretrain,train",
    "val_split": "",
    "checkpoint_every": 1_000_000,  # after every turn instead
    "keep_checkpoints": 1,
    "validate_every": 1_000_000,
    "log_every": 20,
}
MINIATURE: dict[str, Any] = {
    "hidden_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 96,
    "decoder_hidden_size": 48,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 96,
    "batch_size": 8,
    "precision": "fp32",
    "compile": False,
    "num_workers": 0,
    "log_every": 2,
    "max_steps": 4,
}  # of a rehearsal
TURNS = 3
MAX_ARTEFACT_BYTES = 16e6
SECONDS_BESIDE = 20.0  # of a turn: compiling, saving, probing; then as long as it took at most


def settings_of(model: str, kit: "Kit", output: Path, **changes: Any) -> PretrainConfig:
    """Return the training settings of a model.

    Args:
        model: Key of `RECIPES`.
        kit: The kit.
        output: Folder of the run.
        **changes: Settings that replace others.
    """
    recipe = load_recipe(RECIPES[model])
    small = MINIATURE if kit.is_dry else {}
    if kit.is_dry and recipe.get("decoder_num_hidden_layers") != 0:
        small = small | {"decoder_num_hidden_layers": 1}
    return PretrainConfig.resolve(
        recipe | SHARED | small | changes, data=kit.data, output=output, epochs=None
    )


def train_seconds(run: TrainingRun, seconds: float) -> None:
    """Train for some seconds, and save a checkpoint.

    The first steps of a process compile, and do not count. A call of `train` starts the processes
    that read, so there are few of them: each goes on for as many steps as the last ones' rate says.
    """
    unit = run.config.log_every
    train(run, until=run.step + unit)
    end, rate = time.monotonic() + seconds, 0.0
    while (left := end - time.monotonic()) > 0 and run.step < run.num_steps:
        first, started = run.step, time.monotonic()
        train(run, until=run.step + unit * max(1, round(rate * left / unit)))
        rate = (run.step - first) / (time.monotonic() - started)
    save_checkpoint(run.accelerator, run.config.output, run.step, run.state(), 1)


def export_subject(model: str, run: TrainingRun, kit: "Kit") -> Subject:
    """Export the encoder as it is now, and open it as a user would."""
    export(run.model_to_save(), run.tokenizer, run.config.output, force=True)
    dtype = "float32" if kit.is_dry else "bfloat16"
    options = ModelOptions(device=kit.device.type, dtype=dtype)
    return open_subject(f"{model}={run.config.output / ENCODER_FOLDER}", options)


def save_vectors(subject: Subject, curve: Curve, file: Path) -> None:
    """Write the vectors of the probe's barcodes, at length 1, in half precision.

    Raises:
        ValueError: The file is larger than can be carried home.
    """
    rows = {"references": curve.references, "queries": curve.queries}
    arrays: dict[str, Any] = {}
    for name, labelled in rows.items():
        vectors = subject.embedder("vectors").embed(labelled.sequences)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        arrays |= {name: unit.astype(np.float16), f"{name}_genus": np.array(labelled.labels)}
        arrays[f"{name}_id"] = np.array(labelled.ids)
    np.savez_compressed(file, **arrays)
    if file.stat().st_size > MAX_ARTEFACT_BYTES:
        raise ValueError(f"{file} is larger than {MAX_ARTEFACT_BYTES / 1e6:.0f} MB")


def probe_run(model: str, run: TrainingRun, curve: Curve, kit: "Kit") -> ResultRecord:
    """Probe a model after a turn, and write its vectors."""
    subject = export_subject(model, run, kit)
    name = model.lower().replace(" ", "-").replace("/", "")
    save_vectors(subject, curve, kit.out / f"vectors-{name}.npz")
    seen = {"training_steps": run.step, "barcodes_seen": run.step * run.config.batch_size}
    seconds = {"training_seconds": round(run.seconds)}
    return curve.measure(subject, 0, {"device": kit.device_name}, {**seen, **seconds})


def train_models(kit: "Kit") -> None:
    """Train the three models in turns, and write what they reach after each."""
    disable_progress_bar()
    curve = Curve.read(kit.data, "python benchmarks/gpu.py --data gpu_data --out DIR")
    file = kit.out / "records.json"
    records = read_records(file) if file.is_file() else []
    end = time.monotonic() + kit.seconds
    with contextlib.ExitStack() as stack:
        configs = [settings_of(model, kit, kit.out / "work" / RECIPES[model]) for model in RECIPES]
        for config in configs:
            stack.enter_context(run_folder(config))
        runs = [prepare_pretraining(config, resume=True) for config in configs]
        overhead = SECONDS_BESIDE
        for turn in range(1 if kit.is_dry else TURNS):
            places = (TURNS - turn) * len(runs)
            seconds = 0 if kit.is_dry else (end - time.monotonic()) / places - overhead
            if seconds < 0:
                break
            for model, run in zip(RECIPES, runs, strict=True):
                started = time.monotonic()
                train_seconds(run, seconds)
                records.append(probe_run(model, run, curve, kit))
                overhead = max(overhead, time.monotonic() - started - seconds)
                write_records(file, records)
                save_histories(runs, kit.out / "histories.json")
                typer.echo(f"{model}, step {run.step}: {records[-1].value:.1f} %")


def save_histories(runs: Sequence[TrainingRun], file: Path) -> None:
    """Write the histories of all runs so far."""
    write_json(file, {name: run.history.records for name, run in zip(RECIPES, runs, strict=True)})
