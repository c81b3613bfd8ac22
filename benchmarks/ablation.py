"""What each choice of the bundled recipe is worth: python benchmarks/ablation.py --data DIR ...

Trains the recipe from random weights at a small size, with most k-mers hidden as in its first
stage, then the same with one thing changed, for the same FLOP, and measures (plain mean) 1-NN genus
accuracy on `val_unseen` and zero-shot clustering of `val` and `val_unseen`: the splits that choices
are made on. Of some runs the embedding is also read out in other ways, which takes no training.
Prints a table: seed, row, steps, accuracy, AMI. How fast each variant trains, `ablation_speed.py`
measures; `ablation_table.py` makes one table of both.
What is in OUT is not repeated; seeds come one after the other, so an early stop leaves whole ones.
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
ALSO_READ = ("recipe", "no frame")  # runs that are read out in these ways too:
OFFSETS = {"six offsets averaged": 6}
POWERS = {"centred": 0.0, "whitened by 0.25": 0.25, "whitened by 0.5": 0.5}


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        change: Key of `CHANGES`.
        readout: How the embedding is read out, a key of `OFFSETS` or `POWERS`; empty for the mean.
    """

    change: str
    readout: str = ""

    @property
    def name(self) -> str:
        """How the row is called."""
        return f"{self.change}, {self.readout}" if self.readout else self.change

    @property
    def file(self) -> str:
        """Where its records are kept, in the run's folder."""
        return "-".join(["row", *self.readout.split()]) + ".json"


def all_rows() -> Iterator[Row]:
    """List the rows in the order of the table."""
    for change in CHANGES:
        yield Row(change)
        if change in ALSO_READ:
            yield from (Row(change, readout) for readout in (*OFFSETS, *POWERS))


@cache
def cost(change: str, data: Path, out: Path) -> float:
    """FLOP of one step of a variant."""
    return flop_per_step(RECIPE | CHANGES[change], data, out)


def number_format(change: str) -> str:
    """What a row is measured in: bfloat16 would round the frequencies of rotary positions."""
    return "float32" if "tower_type" in CHANGES[change] else "bfloat16"


def open_row(row: Row, encoder: Path, data: Path) -> Subject:
    """Open an encoder so that it reads its embedding out as the row says."""
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
    """Measure one row; how it is read out goes into the records' protocol."""
    records = measure(plan, open_row(row, encoder, settings.dataset), settings, PROBES)
    choice = {
        **({"offsets": OFFSETS[row.readout]} if row.readout in OFFSETS else {}),
        **({"whitening": POWERS[row.readout]} if row.readout in POWERS else {}),
    }
    return [dataclasses.replace(r, protocol={**r.protocol, **choice}) for r in records]


def train_and_probe(
    row: Row, plan: Plan, config: PretrainConfig, settings: ProbeSettings
) -> list[ResultRecord]:
    """Train a variant, unless it is there, and measure one row of it."""
    kept = config.output / row.file
    if not kept.is_file():
        write_records(kept, probe(row, plan, train_or_open(plan, config), settings))
    # What was measured in an earlier call is what this one gives as well.
    return [dataclasses.replace(r, command=settings.command) for r in read_records(kept)]


def choose_rows(only: list[str]) -> list[Row]:
    """Find rows by name, or all if none is named."""
    rows = list(all_rows())
    if unknown := set(only) - {row.name for row in rows}:
        raise typer.BadParameter(f"no such row: {', '.join(sorted(unknown))}")
    return [row for row in rows if not only or row.name in only]


def main(
    data: Annotated[Path, typer.Option(help="Prepared data set.")],
    out: Annotated[Path, typer.Option(help="Folder of the runs.")],
    json_file: Annotated[Path, typer.Option("--json", help="Where the records go.")],
    steps: Annotated[int, typer.Option(help="Steps of the recipe itself.")] = 800,
    seeds: Annotated[int, typer.Option(help="Repeats of everything.")] = 1,
    only: Annotated[list[str] | None, typer.Option(help="A row; again for more of them.")] = None,
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
