r"""The poster's three models, finished and measured: python benchmarks/poster_finished.py ...

    python benchmarks/poster.py --data data/coi --out OUT --json curve.json --until 0.75
    python benchmarks/poster_finished.py --data data/coi --out OUT \
        --json finished.json --masks masks.json

The runs of `poster.py` keep their learning rate, so that they can go on; a finished model ends with
a rate near zero. Here each run that stands at `1 - COOLDOWN` of a share of the horizon is
continued, in a folder of its own, with a rate that falls to zero: at its end it has cost that share
of the horizon like the others. Then it is measured as the bundled model is, beside the encoder that
it began as: 1-NN of `test_unseen`, both clusterings, and the masking study on `val_unseen`.

In: a prepared data set, the folder of the runs. Out: two files of records. A model that is finished
in OUT is measured again, but not trained. Guarded by tests/benchmarks/test_poster_finished.py.
"""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from poster import BASE, LONGEST, SLICES, Plan, make_plans
from transformers.utils.logging import disable_progress_bar

from barcodemae.errors import SettingsError
from barcodemae.eval.embed.loading import ModelOptions
from barcodemae.eval.probe.mask_study import MaskStudy, run_mask_study
from barcodemae.eval.probe.probing import choose_probes, run_probes
from barcodemae.eval.probe.subjects import ProbeSettings, open_subject
from barcodemae.eval.report.records import ResultRecord, read_records, write_records
from barcodemae.files import staged_folder
from barcodemae.training.export.folders import ENCODER_FOLDER
from barcodemae.training.pretrain import pretrain
from barcodemae.training.run.checkpoints import FOLDER as CHECKPOINTS
from barcodemae.training.run.checkpoints import checkpoint_folders, step_of
from barcodemae.training.run.pretrain_settings import PretrainConfig


COOLDOWN = 0.25  # share of a finished run in which its rate falls
UNTRAINED = "untrained"
PROBES = "1nn,zsc,zsc-average"
MASKED = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8)  # shares of tokens taken away; the paper's is one half
MAX_REFERENCES = 6000  # of the masking study
OPTIONS = ModelOptions(device="cpu", dtype="float32")


def steps_at(plan: Plan, share: float) -> int:
    """Number of steps after which a run has cost a share of the horizon."""
    return round(share * SLICES) * plan.slice_steps


def finished_config(
    plan: Plan, share: float, data: Path, out: Path, changes: dict[str, Any]
) -> PretrainConfig:
    """Return the settings of a run that ends at a share of the horizon, its rate at zero.

    Args:
        plan: Plan of the run that it goes on from.
        share: Share of the horizon at which it ends.
        data: Prepared data set.
        out: Folder of all runs.
        changes: Settings that replace those of the plan, as in `poster.py`.
    """
    steps = steps_at(plan, share)
    return dataclasses.replace(
        plan.config(data, out, changes),
        output=out / f"{plan.folder}-finished-at-{share:g}",
        max_steps=steps,
        warmup_fraction=BASE["warmup_fraction"] * LONGEST * SLICES * plan.slice_steps / steps,
        cooldown_fraction=COOLDOWN,
    )


def branch(plan: Plan, share: float, out: Path, target: Path) -> None:
    """Copy the newest checkpoint of a run to where its finished twin goes on from it.

    Args:
        plan: Plan of the run.
        share: Share of the horizon at which the twin ends.
        out: Folder of all runs.
        target: Folder of the twin; nothing is done if it is there.

    Raises:
        SettingsError: The run does not stand where the rate begins to fall.
    """
    if target.is_dir():
        return
    begin = round(steps_at(plan, share) * (1 - COOLDOWN))
    newest = max(map(step_of, checkpoint_folders(out / plan.folder)), default=0)
    if newest != begin:
        raise SettingsError(
            f"{out / plan.folder}: stands at step {newest}, and the rate falls from step {begin} "
            f"on: run poster.py with --until {begin / plan.slice_steps / SLICES:g}"
        )
    with staged_folder(target) as folder:
        shutil.copytree(out / plan.folder / CHECKPOINTS, folder / CHECKPOINTS)


def measure(
    label: str, encoder: Path, data: Path, command: str
) -> tuple[list[ResultRecord], list[ResultRecord]]:
    """Probe an encoder, and ask it what masks do.

    Args:
        label: Name of its rows.
        encoder: Folder of the encoder.
        data: Prepared data set.
        command: Command line, for the records.

    Returns:
        Records of the probes, and of the masking study.
    """
    name = f"{label}={encoder}"
    settings = ProbeSettings(dataset=data, num_seeds=3, command=command)
    probed = run_probes(open_subject(name, OPTIONS), settings, choose_probes(PROBES))
    study = MaskStudy(dataset=data, rates=MASKED, max_references=MAX_REFERENCES, command=command)
    return probed, list(run_mask_study(name, study, OPTIONS))


def encoders(
    seed: int, share: float, data: Path, out: Path, changes: dict[str, Any]
) -> Iterator[tuple[str, Path, dict[str, int]]]:
    """Finish the runs of a seed.

    Yields:
        Name in tables, folder of the encoder, and what its training cost.
    """
    plans = make_plans(seed, data, out, changes)
    if share == 1:  # the three begin as one encoder
        yield UNTRAINED, out / plans[-1].folder / "at-00000000" / ENCODER_FOLDER, {}
    for plan in plans:
        config = finished_config(plan, share, data, out, changes)
        if not (config.output / ENCODER_FOLDER).is_dir():
            branch(plan, share, out, config.output)
            pretrain(config, resume=True)
        label = f"{plan.model}, rate {config.learning_rate:g}"
        if share != 1:
            label += f", {share:g} horizons"
        yield label, config.output / ENCODER_FOLDER, plan.progress(steps_at(plan, share))[1]


def collect(out: Path, kind: str) -> list[ResultRecord]:
    """Read the records of all finished runs in OUT, by seed and share."""
    files = sorted(out.glob(f"{kind}-seed*.json"))
    return [record for file in files for record in read_records(file)]


def main(
    data: Annotated[Path, typer.Option(help="Prepared data set.")],
    out: Annotated[Path, typer.Option(help="Folder of the runs of poster.py.")],
    json_file: Annotated[Path, typer.Option("--json", help="JSON file for the probes' records.")],
    masks_file: Annotated[Path, typer.Option("--masks", help="That of the masking study.")],
    seed: Annotated[int, typer.Option(help="The training seed.")] = 0,
    share: Annotated[float, typer.Option(help="Share of the horizon to end at.")] = 1.0,
    threads: Annotated[int, typer.Option(help="Threads; the weights depend on them.")] = 1,
    settings: Annotated[
        str, typer.Option(help="JSON object of settings to change, as given to poster.py.")
    ] = "{}",
) -> None:
    """Finish the three models of a seed, and measure them."""
    disable_progress_bar()
    torch.set_num_threads(threads)
    command = (
        f"python benchmarks/poster_finished.py --data {data.name} --seed {seed} --share {share:g}"
    )
    changes = json.loads(settings)
    command += f" --settings '{settings}'" if changes else ""
    probed: list[ResultRecord] = []
    studied: list[ResultRecord] = []
    kept = {kind: out / f"{kind}-seed{seed}-at-{share:g}.json" for kind in ("probed", "studied")}
    for label, encoder, cost in encoders(seed, share, data, out, changes):
        found = measure(label, encoder, data, command)
        for records, new in zip((probed, studied), found, strict=True):
            records += [
                dataclasses.replace(one, training_seed=seed, counts={**one.counts, **cost})
                for one in new
            ]
        shown = {f"{r.probe} {r.metric}": round(r.value, 1) for r in found[0]}
        typer.echo(f"{label}, seed {seed}: {shown}")
    write_records(kept["probed"], probed)
    write_records(kept["studied"], studied)
    write_records(json_file, collect(out, "probed"))
    write_records(masks_file, collect(out, "studied"))


if __name__ == "__main__":
    typer.run(main)
