"""Masking study of the comparison: python benchmarks/comparison_masks.py --runs OUT --data DIR.

Measures how BarcodeBERT, BarcodeMAE w/MASK and BarcodeMAE react when tokens are removed or masked.
The models are the runs at equal compute that `comparison.py` left in OUT, all training seeds with
the same random positions; queries are `val_unseen`. Writes records; `results_page.py` makes the
table and the picture.
"""

import dataclasses
import itertools
from pathlib import Path
from typing import Annotated

import typer
from comparison import Plan
from transformers.utils.logging import disable_progress_bar

from barcodemae.eval.embed.loading import ModelOptions
from barcodemae.eval.probe.mask_study import MaskStudy, run_mask_study
from barcodemae.eval.report.records import ResultRecord, write_records
from barcodemae.training.export.folders import ENCODER_FOLDER


MODELS = ("BarcodeBERT", "BarcodeMAE w/MASK", "BarcodeMAE")
RATES = (0.0, 0.2, 0.4, 0.6, 0.8)


def study_run(model: str, seed: int, runs: Path, study: MaskStudy) -> list[ResultRecord]:
    """Run the masking study on one trained model."""
    folder = Plan(f"{model}, same compute", model, 1, seed, 0).folder
    name = f"{model}={runs / folder / ENCODER_FOLDER}"
    return [
        dataclasses.replace(record, training_seed=seed)
        for record in run_mask_study(name, study, ModelOptions(dtype="bfloat16"))
    ]


def main(
    runs: Annotated[Path, typer.Option(help="Folder of the comparison's runs.")],
    data: Annotated[Path, typer.Option(help="Prepared data set.")],
    json_file: Annotated[Path, typer.Option("--json", help="JSON file for the records.")],
    seeds: Annotated[int, typer.Option(help="Number of training seeds.")] = 3,
    max_references: Annotated[int, typer.Option(help="Size of a random subset.")] = 6000,
) -> None:
    """Run the masking study on every model of every seed."""
    disable_progress_bar()
    command = f"python benchmarks/comparison_masks.py --runs OUT --data {data.name} --seeds {seeds}"
    study = MaskStudy(dataset=data, rates=RATES, max_references=max_references, command=command)
    records: list[ResultRecord] = []
    for model, seed in itertools.product(MODELS, range(seeds)):
        records += study_run(model, seed, runs, study)
        write_records(json_file, records)
        typer.echo(f"{model}, seed {seed}: done", err=True)


if __name__ == "__main__":
    typer.run(main)
