"""Controlled comparison of the models: python benchmarks/comparison.py --data DIR --out OUT ...

BarcodeBERT, BarcodeMAE w/MASK and BarcodeMAE with the same encoder on the same barcodes, and
BarcodeMAE and BarcodeBERT with the barcode loss of the bundled recipe, each at
- equal compute: as many steps as cost the same FLOP as BarcodeMAE's, counted on one step;
- an equal number of barcodes seen: the same number of steps for all.
Every run, and the untrained encoder of each seed, is probed with the plain mean as embedding (1-NN
genus accuracy on unseen species, zero-shot clustering). Runs that are complete in OUT are not
repeated.
"""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch.utils.flop_counter import FlopCounterMode
from transformers.utils.logging import disable_progress_bar

from barcodemae import BarcodeKmerTokenizer
from barcodemae.eval.embed.loading import ModelOptions
from barcodemae.eval.probe.probing import choose_probes, run_probes
from barcodemae.eval.probe.subjects import ProbeSettings, Subject, open_subject
from barcodemae.eval.report.records import ResultRecord, write_records
from barcodemae.training.batches.step_batches import Share
from barcodemae.training.export.folders import ENCODER_FOLDER, export
from barcodemae.training.pretrain import pretrain
from barcodemae.training.run.pretrain_run import build_model, build_train_batches, open_reader
from barcodemae.training.run.pretrain_settings import PretrainConfig


BASE: dict[str, Any] = {
    "k": 6,
    "hidden_size": 256,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
    "decoder_hidden_size": 128,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 4,
    "decoder_intermediate_size": 512,
    "dropout": 0.0,
    "compile": True,
    "mask_ratio": 0.5,
    "batch_size": 64,
    "learning_rate": 1e-3,
    "max_grad_norm": 1.0,
    "random_offset": False,
    "precision": "bf16-weights",
    "train_splits": "pretrain,train",
    "validate_every": 100_000,
    "checkpoint_every": 100_000,
    "max_val_barcodes": 512,
}
MODELS: dict[str, dict[str, Any]] = {
    "BarcodeBERT": {"decoder_num_hidden_layers": 0, "encoder_sees_mask": True},
    "BarcodeMAE w/MASK": {"encoder_sees_mask": True},
    "BarcodeMAE": {},
    "BarcodeMAE + barcode loss": {"barcode_loss_weight": 10.0},
    "BarcodeBERT + barcode loss": {
        "decoder_num_hidden_layers": 0,
        "encoder_sees_mask": True,
        "barcode_loss_weight": 10.0,
    },
}
ONLY_SAME_COMPUTE = {"BarcodeBERT + barcode loss"}  # a control: the effect of the loss by itself
YARDSTICK = "BarcodeMAE"  # the cost of its steps is the compute of all models


@dataclass(frozen=True)
class Plan:
    """One training run of the comparison.

    Attributes:
        label: Name of its row in the table.
        model: Key of `MODELS`.
        steps: Number of optimiser steps; 0 for untrained weights.
        seed: Seed of weights, order of barcodes and masks.
        flop: FLOP of the training.
    """

    label: str
    model: str
    steps: int
    seed: int
    flop: float

    @property
    def folder(self) -> str:
        """Name of the run's folder."""
        name = self.label.lower().replace(" ", "-").replace("/", "").replace(",", "")
        return f"{name}-seed{self.seed}"


def config_of(plan: Plan, data: Path, out: Path) -> PretrainConfig:
    """Return the training settings of a run."""
    return PretrainConfig.resolve(
        BASE | MODELS[plan.model],
        data=data,
        output=out / plan.folder,
        seed=plan.seed,
        max_steps=max(plan.steps, 1),
    )


def flop_per_step(changes: dict[str, Any], data: Path, out: Path) -> float:
    """Count the floating-point operations of the matrix products in one training step.

    The barcode loss has none, and the loss of taxa hardly any, so both are left out of the count.
    """
    without = {"barcode_loss_weight": 0.0, "taxon_loss_weight": 0.0}
    config = PretrainConfig.resolve(BASE | changes | without, data=data, output=out)
    share = Share(batch_size=config.batch_size, micro_batch_size=config.batch_size)
    AcceleratorState._reset_state()
    accelerator = Accelerator(cpu=True)
    reader = open_reader(config, accelerator)
    network = build_model(config).train()
    batches = build_train_batches(config, share, accelerator, reader, network)
    (batch,) = batches[0]
    with FlopCounterMode(display=False) as counter:
        network(**batch.inputs(torch.device("cpu"))).loss.backward()
    return float(counter.get_total_flops())


def plans(num_steps: int, seeds: int, flop: dict[str, float]) -> Iterator[Plan]:
    """Yield the runs, seed by seed, so that stopping early leaves complete seeds.

    Args:
        num_steps: Number of steps of the yardstick.
        seeds: Number of training seeds.
        flop: Model -> FLOP of one step.
    """
    budget = num_steps * flop[YARDSTICK]
    for seed in range(seeds):
        yield Plan("untrained", YARDSTICK, 0, seed, 0)
        for model, cost in flop.items():
            steps = round(budget / cost)
            yield Plan(f"{model}, same compute", model, steps, seed, steps * cost)
        for model, cost in flop.items():
            is_listed = round(budget / cost) == num_steps
            if not is_listed and model not in ONLY_SAME_COMPUTE:
                yield Plan(f"{model}, same barcodes", model, num_steps, seed, num_steps * cost)


def train_or_open(plan: Plan, config: PretrainConfig) -> Path:
    """Train a model unless it is complete, and return the folder of its encoder."""
    encoder = config.output / ENCODER_FOLDER
    if encoder.is_dir():
        return encoder
    if plan.steps == 0:
        tokenizer = BarcodeKmerTokenizer(k=config.k, max_length_bp=config.max_length_bp)
        export(build_model(config), tokenizer, config.output)
    else:
        pretrain(config, resume=True)
    return encoder


def measure(
    plan: Plan, subject: Subject, settings: ProbeSettings, probes: str
) -> list[ResultRecord]:
    """Probe one run; the cost of its training is recorded in the counts."""
    records = run_probes(subject, settings, choose_probes(probes))
    seen = {"training_steps": plan.steps, "barcodes_seen": plan.steps * BASE["batch_size"]}
    cost = {"training_teraflop": round(plan.flop / 1e12)}
    return [
        dataclasses.replace(
            record, training_seed=plan.seed, counts={**record.counts, **seen, **cost}
        )
        for record in records
    ]


def main(
    data: Annotated[Path, typer.Option(help="Prepared data set.")],
    out: Annotated[Path, typer.Option(help="Folder of the runs.")],
    json_file: Annotated[Path, typer.Option("--json", help="JSON file for the records.")],
    steps: Annotated[int, typer.Option(help="Training steps of BarcodeMAE.")] = 700,
    seeds: Annotated[int, typer.Option(help="Number of training seeds.")] = 3,
    probes: Annotated[str, typer.Option(help="Probes, as in `barcodemae probe`.")] = "1nn,zsc",
    queries: Annotated[str, typer.Option(help="Queries of the 1-NN probe.")] = "test_unseen",
) -> None:
    """Train and probe every model of the comparison."""
    disable_progress_bar()
    flop = {model: flop_per_step(changes, data, out) for model, changes in MODELS.items()}
    command = f"python benchmarks/comparison.py --data {data.name} --steps {steps} --seeds {seeds}"
    settings = ProbeSettings(dataset=data, queries=queries, command=command)
    records: list[ResultRecord] = []
    for plan in plans(steps, seeds, flop):
        cache = out / plan.folder / f"records-{queries}.json"
        if not cache.is_file():
            encoder = train_or_open(plan, config_of(plan, data, out))
            subject = open_subject(f"{plan.label}={encoder}", ModelOptions(dtype="bfloat16"))
            write_records(cache, measure(plan, subject, settings, probes))
        records += [ResultRecord(**row) for row in json.loads(cache.read_text())]
        write_records(json_file, records)
        shown = {r.metric: round(r.value, 2) for r in records[-8:] if r.model == plan.label}
        typer.echo(f"{plan.label}, seed {plan.seed}: {plan.steps} steps  {shown}")


if __name__ == "__main__":
    typer.run(main)
