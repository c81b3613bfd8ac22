"""Training speed of the recipe's variants: python benchmarks/ablation_speed.py --data D --json F.

Times optimiser steps of every variant of `ablation.py` alternately with those of the recipe, as
training takes them (compiled layers, bfloat16 weights). Writes the fastest round of each: barcodes
per second, and the ratio to the recipe, which is meaningful on a shared machine too. Loading of
batches is timed, preparation of the run is not.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from ablation import CHANGES, RECIPE
from measure import time_in_turn

from barcodemae.files import write_json
from barcodemae.training.run.loop import load_batches, train_step
from barcodemae.training.run.pretrain_run import prepare_pretraining
from barcodemae.training.run.pretrain_settings import PretrainConfig


STEPS_PER_ROUND = 10
MAX_STEPS = 100_000  # never reached
SPLIT = "train"  # the smaller split: steps take as long, preparation does not


def prepare_steps(change: str, data: Path, folder: Path) -> Callable[[], object]:
    """Prepare a training run and return a function that takes some steps of it."""
    config = PretrainConfig.resolve(
        RECIPE | CHANGES[change],
        data=data,
        train_splits=SPLIT,
        output=folder / change.replace(" ", "-"),
        max_steps=MAX_STEPS,
    )
    run = prepare_pretraining(config)
    batches = load_batches(run)

    def take_steps() -> None:
        for _ in range(STEPS_PER_ROUND):
            train_step(run, next(batches), wants_accuracy=False)

    return take_steps


def compare(change: str, data: Path, repeats: int) -> dict[str, Any]:
    """Time a variant alternately with the recipe."""
    with tempfile.TemporaryDirectory() as folder:
        contestants = {
            name: prepare_steps(name, data, Path(folder))
            for name in dict.fromkeys(["recipe", change])
        }
        seconds = time_in_turn(contestants, torch.device("cpu"), repeats)
    return {
        "change": change,
        "barcodes_per_second": STEPS_PER_ROUND * RECIPE["batch_size"] / seconds[change],
        "of_recipe": seconds["recipe"] / seconds[change],
        "threads": torch.get_num_threads(),
    }


def main(
    data: Annotated[Path, typer.Option(help="Prepared data set.")],
    json_file: Annotated[Path, typer.Option("--json", help="JSON file for the rates.")],
    repeats: Annotated[int, typer.Option(help="Timed rounds of each variant.")] = 5,
    only: Annotated[list[str] | None, typer.Option(help="Variant to time; repeatable.")] = None,
) -> None:
    """Time every variant."""
    torch.set_num_threads(1)
    rates = []
    for change in only or CHANGES:
        rates.append(compare(change, data, repeats))
        write_json(json_file, rates, indent=1)
        rate = rates[-1]
        typer.echo(f"{change}: {rate['barcodes_per_second']:.0f}/s, {rate['of_recipe']:.2f}")


if __name__ == "__main__":
    typer.run(main)
