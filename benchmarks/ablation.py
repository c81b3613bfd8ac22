"""What each choice of the bundled recipe is worth: python benchmarks/ablation.py --data DIR ...

Trains the recipe from random weights at a small size, with most k-mers hidden as in its first
stage, then the same with one thing changed, for the same FLOP, and measures 1-NN genus accuracy on
`val_unseen` (plain mean): the split that choices are made on. Prints a table: change, steps,
accuracy, barcodes per second of training.
Runs in OUT are not repeated.
"""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from comparison import BASE, Plan, flop_per_step, measure, train_or_open
from transformers.utils.logging import disable_progress_bar

from barcodemae.eval.records import ResultRecord, write_records
from barcodemae.eval.subjects import ProbeSettings
from barcodemae.training.settings import PretrainConfig


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
    "components not whitened": {"barcode_whitening": 0.0},
    "hide 20 %": {"mask_ratio": 0.2},
    "hide 80 %": {"mask_ratio": 0.8},
    "score all hidden": {"scored_ratio": None},
    "k-mers of 5": {"k": 5},
    "k-mers of 4": {"k": 4},
    "two encoder layers": {"num_hidden_layers": 2},
    "two decoder layers": {"decoder_num_hidden_layers": 2},
    "decoder of width 256": {"decoder_hidden_size": 256, "decoder_intermediate_size": 1024},
    "learning rate doubled": {"learning_rate": 2e-3},
}


def row(plan: Plan, config: PretrainConfig, settings: ProbeSettings) -> dict[str, Any]:
    """Train and probe one variant."""
    cache = config.output / "row.json"
    if not cache.is_file():
        encoder = train_or_open(plan, config)
        records = measure(plan, encoder, settings, "1nn")
        history = json.loads((config.output / "history.json").read_text())
        rates = [
            entry["barcodes_per_second"] for entry in history if "barcodes_per_second" in entry
        ]
        result = {
            "rate": sorted(rates)[len(rates) // 2],
            "records": [dataclasses.asdict(record) for record in records],
        }
        cache.write_text(json.dumps(result))
    found: dict[str, Any] = json.loads(cache.read_text())
    return found


def main(
    data: Annotated[Path, typer.Option(help="Prepared data set.")],
    out: Annotated[Path, typer.Option(help="Folder of the runs.")],
    json_file: Annotated[Path, typer.Option("--json", help="Where the records go.")],
    steps: Annotated[int, typer.Option(help="Steps of the recipe itself.")] = 800,
    seed: Annotated[int, typer.Option(help="Seed of every run.")] = 0,
    only: Annotated[str, typer.Option(help="Some of the changes, comma-separated.")] = "",
) -> None:
    """Train and probe the recipe and its variants."""
    disable_progress_bar()
    command = f"python benchmarks/ablation.py --data {data.name} --steps {steps} --seed {seed}"
    settings = ProbeSettings(dataset=data, queries="val_unseen", command=command)
    records: list[ResultRecord] = []
    budget = steps * flop_per_step(RECIPE, data, out)
    typer.echo(
        "| change | steps | 1-NN genus, val_unseen (%) | barcodes/s |\n| --- | --- | --- | --- |"
    )
    for name, change in CHANGES.items():
        if only and name not in only.split(","):
            continue
        variant = RECIPE | change
        plan = Plan(name, name, round(budget / flop_per_step(variant, data, out)), seed, budget)
        config = PretrainConfig.resolve(
            variant, data=data, output=out / plan.folder, seed=seed, max_steps=plan.steps
        )
        result = row(plan, config, settings)
        records += [ResultRecord(**entry) for entry in result["records"]]
        write_records(json_file, records)
        accuracy = next(r["value"] for r in result["records"] if r["metric"] == "accuracy")
        typer.echo(f"| {name} | {plan.steps} | {accuracy:.2f} | {result['rate']:.0f} |")


if __name__ == "__main__":
    typer.run(main)
