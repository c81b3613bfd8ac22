"""`barcodemae prepare` and `barcodemae describe`: make a data set, and look at one.

Guarded by tests/barcodemae/cli/test_data_commands.py.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from barcodemae.calls.talk import accounts
from barcodemae.cli import options
from barcodemae.cli.help.command_help import add_command
from barcodemae.dataset import parquet_files


if TYPE_CHECKING:
    from rich.progress import TaskID

    from barcodemae.training.data.prepare import OnProgress
    from barcodemae.training.data.sources.recognition import Source

STAGES = {
    "read": "reading",
    "partition": "drawing partitions",
    "leakage": "comparing partitions",
    "simulate": "simulating",
    "survey": "surveying",
    "embed": "embedding",
    "calibrate": "calibrating",
    "distill": "distilling",
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_command(app, "prepare", prepare)
    add_command(app, "describe", describe)


def prepare(
    *,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Tables, FASTA, FASTQ or Parquet files (gz, bz2, xz, zst, zip, tar; "
            "archive.zip::table.csv; hf://datasets/OWNER/NAME/PATH; https://, s3://, ...; "
            "- for FASTA on stdin), or the word `simulate`.",
            callback=options.all_fetched,
        ),
    ],
    output: options.OutputFolder,
    file_format: options.SourceFormat = "auto",
    dedup: Annotated[
        str, typer.Option(help="Drop identical barcodes, keep the first: global, partition, none.")
    ] = "global",
    partitions: Annotated[
        str, typer.Option(help="auto (the source's if it has them), source, or make.")
    ] = "auto",
    seed: options.Seed = 0,
    heldout: Annotated[
        bool, typer.Option(help="Keep other_heldout, part of the published pre-training set.")
    ] = True,
    min_length: Annotated[int, typer.Option(help="Shortest barcode after clean-up, bp.")] = 8,
    max_length: Annotated[int, typer.Option(help="Longest barcode after clean-up, bp.")] = 2000,
    max_unknown: Annotated[
        float, typer.Option(help="Largest share of letters other than A, C, G, T.")
    ] = 0.5,
    marker: options.Marker = "COI-5P",
    taxonomy: options.Taxonomy = None,
    species: Annotated[int, typer.Option(help="Species to simulate.")] = 600,
    barcodes_per_species: Annotated[int, typer.Option(help="Barcodes of each to simulate.")] = 8,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="Accept sources in which no record has a name.")
    ] = False,
    leakage: Annotated[
        bool, typer.Option(help="Count barcodes that partitions share, whole or in part.")
    ] = True,
    overwrite: options.Overwrite = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Keep in DIR.partial what is read, and go on where a killed run that did so "
            "stopped.",
        ),
    ] = False,
) -> None:
    """Turn metadata dumps and FASTA files into one clean, partitioned data set."""
    from barcodemae.output.places import claimed
    from barcodemae.training.data.cleaning import CleaningRules
    from barcodemae.training.data.partitions import PartitionPlan
    from barcodemae.training.data.prepare import PrepareOptions
    from barcodemae.training.data.prepare import prepare as prepare_dataset
    from barcodemae.training.data.sources.recognition import SourceOptions

    wanted = PrepareOptions(
        source=SourceOptions(
            format=file_format,
            marker=marker,
            taxonomy=taxonomy,
            num_species=species,
            barcodes_per_species=barcodes_per_species,
            seed=seed,
        ),
        rules=CleaningRules(min_length=min_length, max_length=max_length, max_unknown=max_unknown),
        plan=PartitionPlan(seed=seed),
        dedup=dedup,
        partitions=partitions,
        heldout=heldout,
        unlabelled=unlabelled,
        leakage=leakage,
    )
    inputs = [*sources, *([] if taxonomy is None else [str(taxonomy)])]
    with claimed(output, inputs=inputs, folder=True), progress_bars() as on_progress:
        description = prepare_dataset(
            sources,
            output,
            wanted,
            overwrite=overwrite,
            on_progress=on_progress,
            on_source=announce,
            resume=resume,
        )
    for line in summary(description):
        typer.echo(line, err=True)
    typer.echo(str(output))


def announce(source: "Source") -> None:
    """Say what a source was recognised as."""
    typer.echo(f"{source.source}: {source.format}, recognised by {source.why}", err=True)


@contextmanager
def progress_bars() -> "Iterator[OnProgress]":
    """Show a bar for each stage on stderr, on a terminal only."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description:>20}"), BarColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(STAGES.get(stage, stage), total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield show


def summary(description: dict[str, Any]) -> Iterator[str]:
    """Say in a few lines what became of the rows."""
    yield from accounts(description)
    counts = (f"{name} {part['barcodes']:,}" for name, part in description["partitions"].items())
    yield f"partitions ({description['partitions_from']}): {', '.join(counts)}"
    conflicting = sum(description["conflicting_duplicates"].values())
    if conflicting:
        yield f"{conflicting:,} dropped duplicates carry another label: see conflicts.tsv"
    if description["repeated_processids"]:
        yield f"{description['repeated_processids']:,} rows repeat the processid of another"
    if "leakage" in description:
        yield from _leakage_lines(description["leakage"])


def _leakage_lines(leakage: dict[str, dict[str, dict[str, int]]]) -> Iterator[str]:
    for kind, words in (("identical", "identical to one"), ("contained", "part of a longer one")):
        pairs = [
            f"{count:,} of {split} in {other}"
            for split, others in leakage[kind].items()
            for other, count in others.items()
        ]
        yield f"barcodes {words} in another partition: {'; '.join(pairs) or 'none'}"


def describe(
    *,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A prepared data set.")],
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Picture to write (png, svg or pdf).")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many orders to list.")] = 10,
) -> None:
    """Count barcodes by partition, rank, length and order; draw them with --plot."""
    from barcodemae.output.places import claimed
    from barcodemae.training.data.describe import describe_dataset, text_report

    with claimed(*([] if plot is None else [plot]), inputs=parquet_files(directory)):
        description = describe_dataset(directory)
        if as_json:
            typer.echo(json.dumps(description, indent=2, ensure_ascii=False))
        else:
            typer.echo(text_report(description, top), nl=False)
        if plot is not None:
            from barcodemae.training.data.describe_plot import draw_dataset

            draw_dataset(description, plot)
            typer.echo(f"wrote {plot}", err=True)
