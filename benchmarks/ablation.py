"""Ablation of the bundled recipe: python benchmarks/ablation.py --data DIR --out OUT --json FILE.

Trains the recipe from random weights at a small size, with most k-mers hidden as in its first
stage; then variants of it with one change each, for the same FLOP. Every model is measured (with
the plain mean as embedding) by 1-NN genus accuracy on `val_unseen` and zero-shot clustering of
`val` and `val_unseen`, the splits on which choices are made. Some runs are measured with other
readouts too, which need no training. Prints a table of seed, row, steps, accuracy and AMI.
`ablation_speed.py` measures how fast each variant trains; `ablation_table.py` makes one table of
both. Runs that are complete in OUT are not repeated. Seeds are run one after the other, so a run
that is stopped early leaves complete seeds.
"""

import dataclasses
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from comparison import BASE, Plan, flop_per_step, measure, train_or_open
from transformers.utils.logging import disable_progress_bar

from barcodemae.eval.embed.loading import ModelOptions, load_embedder
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.embed.whitening import WhiteningSettings, whiten_folder
from barcodemae.eval.probe.clustering import PROTOCOLS
from barcodemae.eval.probe.probe_data import CachedEmbedder
from barcodemae.eval.probe.subjects import ProbeSettings, Subject, open_subject
from barcodemae.eval.report.records import ResultRecord, read_records, write_records
from barcodemae.training.run.pretrain_settings import PretrainConfig


PROBES = "1nn,zsc"
CLUSTERING = dataclasses.replace(PROTOCOLS["barcodemae"], splits=("val", "val_unseen"))
RECIPE: dict[str, Any] = BASE | {
    "mask_ratio": 0.6,
    "scored_ratio": 0.1,
    "barcode_loss_weight": 10.0,
    "barcode_transversion_cost": 5.0,
    "barcode_relatives_whitening": 0.25,
    "frame": True,
}
CHANGES: dict[str, dict[str, Any]] = {
    "recipe": {},
    "no frame": {"frame": False},
    "no frame, random offsets": {"frame": False, "random_offset": True},
    "30 % shown as windows": {"window_fraction": 0.3},
    "all shown as windows": {"window_fraction": 1.0},
    "no barcode loss": {"barcode_loss_weight": 0.0},
    "barcode loss, weight 1": {"barcode_loss_weight": 1.0},
    "relatives not whitened": {"barcode_relatives_whitening": 0.0},
    "transversions as transitions": {"barcode_transversion_cost": 1.0},
    "genus loss, weight 0.1 (uses labels)": {"taxon_loss_weight": 0.1},
    "components not whitened": {"barcode_whitening": 0.0},
    "hide 20 %": {"mask_ratio": 0.2},
    "hide 50 %": {"mask_ratio": 0.5},
    "hide 80 %": {"mask_ratio": 0.8},
    "hide 85 %": {"mask_ratio": 0.85},
    "spans of 4": {"span_length": 4},
    "spans of 10": {"span_length": 10},
    "score all hidden": {"scored_ratio": None},
    "k-mers of 5": {"k": 5},
    "k-mers of 4": {"k": 4},
    "two encoder layers": {"num_hidden_layers": 2},
    "two decoder layers": {"decoder_num_hidden_layers": 2},
    "decoder of width 256": {"decoder_hidden_size": 256, "decoder_intermediate_size": 1024},
    "modern towers": {"tower_type": "modernbert"},
    "learning rate doubled": {"learning_rate": 2e-3},
}
WITH_READOUTS = ("recipe", "no frame")  # variants that are measured with these readouts too:
OFFSETS = {"six offsets averaged": 6}
POWERS = {"centred": 0.0, "whitened by 0.25": 0.25, "whitened by 0.5": 0.5}


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        change: Key of `CHANGES`.
        readout: Readout of the embedding, a key of `OFFSETS` or `POWERS`; empty for the mean.
    """

    change: str
    readout: str = ""

    @property
    def name(self) -> str:
        """Name of the row."""
        return f"{self.change}, {self.readout}" if self.readout else self.change

    @property
    def file(self) -> str:
        """Name of the file with its records, in the folder of the run."""
        return "-".join(["row", *self.readout.split()]) + ".json"


def all_rows() -> Iterator[Row]:
    """Yield the rows in the order of the table."""
    for change in CHANGES:
        yield Row(change)
        if change in WITH_READOUTS:
            yield from (Row(change, readout) for readout in (*OFFSETS, *POWERS))


@cache
def cost(change: str, data: Path, out: Path) -> float:
    """Return the FLOP of one training step of a variant."""
    return flop_per_step(RECIPE | CHANGES[change], data, out)


def number_format(change: str) -> str:
    """Return the number format to measure a variant in; bfloat16 would round rotary frequencies."""
    return "float32" if "tower_type" in CHANGES[change] else "bfloat16"


def open_row(row: Row, encoder: Path, data: Path) -> Subject:
    """Open an encoder with the readout of a row."""
    dtype = number_format(row.change)
    if row.readout in OFFSETS:
        embedder = OffsetEmbedder(load_embedder(encoder, dtype=dtype), OFFSETS[row.readout])
        return Subject(row.name, CachedEmbedder(embedder))
    if row.readout in POWERS:
        folder = encoder.with_name(f"encoder-{row.readout.replace(' ', '-')}")
        shutil.copytree(encoder, folder, dirs_exist_ok=True)
        whiten_folder(folder, WhiteningSettings(dataset=data, power=POWERS[row.readout]))
        encoder = folder
    return open_subject(f"{row.name}={encoder}", ModelOptions(dtype=dtype))


def probe(row: Row, plan: Plan, encoder: Path, settings: ProbeSettings) -> list[ResultRecord]:
    """Measure one row; its readout is recorded in the protocol."""
    records = measure(plan, open_row(row, encoder, settings.dataset), settings, PROBES)
    choice = {
        **({"offsets": OFFSETS[row.readout]} if row.readout in OFFSETS else {}),
        **({"whitening": POWERS[row.readout]} if row.readout in POWERS else {}),
    }
    return [dataclasses.replace(r, protocol={**r.protocol, **choice}) for r in records]


def train_and_probe(
    row: Row, plan: Plan, config: PretrainConfig, settings: ProbeSettings
) -> list[ResultRecord]:
    """Train a variant and measure one row of it; what an earlier call has done is reused."""
    cache = config.output / row.file
    if not cache.is_file():
        write_records(cache, probe(row, plan, train_or_open(plan, config), settings))
    # Records of an earlier call get the command of this one, which would give the same.
    return [dataclasses.replace(r, command=settings.command) for r in read_records(cache)]


def choose_rows(only: list[str]) -> list[Row]:
    """Return the rows of the given names; all rows if there are none."""
    rows = list(all_rows())
    if unknown := set(only) - {row.name for row in rows}:
        raise typer.BadParameter(f"no such row: {', '.join(sorted(unknown))}")
    return [row for row in rows if not only or row.name in only]


def main(
    data: Annotated[Path, typer.Option(help="Prepared data set.")],
    out: Annotated[Path, typer.Option(help="Folder of the runs.")],
    json_file: Annotated[Path, typer.Option("--json", help="JSON file for the records.")],
    steps: Annotated[int, typer.Option(help="Training steps of the recipe itself.")] = 800,
    seeds: Annotated[int, typer.Option(help="Number of training seeds.")] = 1,
    only: Annotated[list[str] | None, typer.Option(help="Row to measure; repeatable.")] = None,
) -> None:
    """Train and probe the recipe and its variants."""
    disable_progress_bar()
    rows = choose_rows(only or [])
    command = f"python benchmarks/ablation.py --data {data.name} --steps {steps} --seeds {seeds}"
    settings = ProbeSettings(
        dataset=data, queries="val_unseen", clustering=CLUSTERING, command=command
    )
    records: list[ResultRecord] = []
    budget = steps * cost("recipe", data, out)
    typer.echo("| seed | row | steps | 1-NN genus (%) | ZSC AMI (%) |")
    typer.echo("| --- | --- | --- | --- | --- |")
    for seed in range(seeds):
        for row in rows:
            num_steps = round(budget / cost(row.change, data, out))
            plan = Plan(row.change, row.change, num_steps, seed, budget)
            config = PretrainConfig.resolve(
                RECIPE | CHANGES[row.change],
                data=data,
                output=out / plan.folder,
                seed=seed,
                max_steps=num_steps,
            )
            found = train_and_probe(row, plan, config, settings)
            records += found
            write_records(json_file, records)
            values = {record.metric: f"{record.value:.2f}" for record in found}
            shown = f"{num_steps} | {values['accuracy']} | {values['ami']}"
            typer.echo(f"| {seed} | {row.name} | {shown} |")


if __name__ == "__main__":
    typer.run(main)
