"""`barcodemae probe`, `mask-study`, `leaderboard` and `plot-map`.

Guarded by tests/barcodemae/cli/test_probe_command.py and
tests/barcodemae/cli/test_table_commands.py.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import typer


if TYPE_CHECKING:
    from barcodemae.eval.probe.clustering import ClusteringProtocol
    from barcodemae.eval.report.records import ResultRecord

MODEL_HELP = "Folder, Hub name, kmer:K, vsearch or blastn; LABEL=... names it in tables."
DEVICE_HELP = "cpu, cuda, ...; default: a GPU if there is one."
REVISION_HELP = "Branch, tag or commit; every --model is then one on the Hub."


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("probe")(probe)
    app.command("mask-study")(mask_study)
    app.command("leaderboard")(leaderboard)
    app.command("plot-map")(plot_map)


def without_folder(name: str) -> str:
    """Shorten a model's path to its last part, so that records hold no private paths."""
    label, equals, target = name.rpartition("=")
    shown = Path(target).resolve().name if Path(target).exists() else target
    return f"{label}{equals}{shown}"


def describe_command(command: str, models: list[str], data: Path, **options: object) -> str:
    """Write the command line with names instead of paths, for the records."""
    parts = [f"barcodemae {command}", *(f"--model {without_folder(model)}" for model in models)]
    parts.append(f"--data {data.resolve().name}")
    parts += [f"--{name.replace('_', '-')} {value}" for name, value in options.items() if value]
    return " ".join(parts)


def summarise(record: "ResultRecord") -> str:
    """One line for the terminal."""
    interval = "" if record.low is None else f"  [{record.low:.2f}, {record.high:.2f}]"
    seed = "" if record.seed is None else f"  seed {record.seed}"
    absent = record.counts.get("queries_label_absent", 0)
    lost = f"  {absent} queries of a taxon without references, wrong" if absent else ""
    value = f"{record.value:.2f} %{interval}{seed}{lost}"
    return f"{record.model}  {record.probe} {record.metric}  {value}"


def clustering_protocol(
    variant: str, rank: str, neighbors: int, clusters: str
) -> "ClusteringProtocol":
    """Start from a published variant and change what the user asked for."""
    from dataclasses import replace

    from barcodemae.errors import SettingsError
    from barcodemae.eval.probe.clustering import PROTOCOLS

    if variant not in PROTOCOLS:
        raise SettingsError(f"--zsc-variant {variant!r} is not one of {', '.join(PROTOCOLS)}")
    protocol = PROTOCOLS[variant]
    if rank:
        protocol = replace(protocol, rank=rank)
    if neighbors:
        protocol = replace(protocol, num_neighbors=neighbors)
    if clusters == "labels":
        protocol = replace(protocol, num_clusters=None)
    elif clusters.isdigit():
        protocol = replace(protocol, num_clusters=int(clusters))
    elif clusters:
        raise SettingsError(f"--zsc-clusters must be a number or `labels`, got {clusters!r}")
    return protocol


def probe(
    *,
    model: list[str] = typer.Option(..., "--model", "-m", help=MODEL_HELP),
    data: Path = typer.Option(..., help="Folder of a prepared data set."),
    probes: str = typer.Option("1nn", help="Of 1nn, zsc, linear, logistic, finetune; commas."),
    rank: str = typer.Option("genus", help="Label of the 1-NN probe."),
    references: str = typer.Option("train", help="Split that answers in the 1-NN probe."),
    queries: str = typer.Option("test_unseen", help="Split that is asked; val_unseen for choices."),
    seeds: int = typer.Option(1, min=1, help="Repeats of zsc, linear and finetune."),
    zsc_variant: str = typer.Option("barcodemae", help="Published: barcodemae or barcodebert."),
    zsc_rank: str = typer.Option("", help="Label compared with the clusters."),
    zsc_neighbors: int = typer.Option(0, help="Neighbours of UMAP; default: the variant's."),
    zsc_clusters: str = typer.Option("", help="Number of clusters, or `labels`."),
    supervised_rank: str = typer.Option("species", help="Label of linear and finetune."),
    finetune_epochs: int = typer.Option(10, min=1, help="Epochs of the fine-tuning probe."),
    json: Path | None = typer.Option(None, help="Write the records here; default: stdout."),
    device: str = typer.Option("", help=DEVICE_HELP),
    dtype: str = typer.Option("float32", help="float32, bfloat16 or float16."),
    batch_size: int = typer.Option(64, help="Sequences per forward pass; changes speed only."),
    revision: str = typer.Option("", help=REVISION_HELP),
    trust_remote_code: bool = typer.Option(False, help="Run Python files of the model."),
) -> None:
    """Measure models and baselines on a prepared data set."""
    from dataclasses import replace

    from barcodemae.eval.embed.loading import ModelOptions
    from barcodemae.eval.probe.probing import choose_probes, run_probes
    from barcodemae.eval.probe.subjects import ProbeSettings, open_subject
    from barcodemae.eval.report.records import records_to_json, write_records

    chosen = choose_probes(probes)
    settings = ProbeSettings(
        dataset=data,
        rank=rank,
        references=references,
        queries=queries,
        clustering=clustering_protocol(zsc_variant, zsc_rank, zsc_neighbors, zsc_clusters),
        supervised_rank=supervised_rank,
        finetune_epochs=finetune_epochs,
        num_seeds=seeds,
        device=device or "cpu",
    )
    options = {
        "probes": probes,
        "rank": rank,
        "references": references,
        "queries": queries,
        "seeds": seeds,
        "zsc_variant": zsc_variant,
        "zsc_rank": zsc_rank,
        "zsc_neighbors": zsc_neighbors,
        "zsc_clusters": zsc_clusters,
        "dtype": dtype,
        "revision": revision,
    }
    how = ModelOptions(
        device=device or None,
        dtype=dtype,
        batch_size=batch_size,
        revision=revision or None,
        trust_remote_code=trust_remote_code,
    )
    records = []
    for name in model:
        subject = open_subject(name, how)
        command = describe_command("probe", [name], data, **options)
        measured = run_probes(subject, replace(settings, command=command), chosen)
        for record in measured:
            typer.echo(summarise(record), err=True)
        records += measured
        if json is not None:  # after every model: a later one that fails costs only itself
            write_records(json, records)
    if json is None:
        typer.echo(records_to_json(records))


def mask_study(
    *,
    model: list[str] = typer.Option(..., "--model", "-m", help="Model folder or Hub name."),
    data: Path = typer.Option(..., help="Folder of a prepared data set."),
    rates: str = typer.Option("0:0.9:0.1", help="START:STOP:STEP, both ends included."),
    modes: str = typer.Option("drop,combined,mask,nonmask", help="Which of the four modes."),
    rank: str = typer.Option("genus", help="Label of the 1-NN probe."),
    references: str = typer.Option("train", help="Split that answers."),
    queries: str = typer.Option("val_unseen", help="Split that is asked."),
    max_references: int = typer.Option(0, help="Use a random subset of the references; 0: all."),
    seeds: int = typer.Option(1, min=1, help="Repeats with other random positions."),
    json: Path = typer.Option(..., help="Write the records here."),
    plot: Path | None = typer.Option(None, help="Write a figure here: .png, .svg or .pdf."),
    device: str = typer.Option("", help=DEVICE_HELP),
    dtype: str = typer.Option("float32", help="float32, bfloat16 or float16."),
    batch_size: int = typer.Option(64, help="Sequences per forward pass; changes speed only."),
    revision: str = typer.Option("", help=REVISION_HELP),
) -> None:
    """Take tokens away from the input, or mask them, and see what becomes of 1-NN accuracy."""
    from barcodemae.eval.embed.loading import ModelOptions
    from barcodemae.eval.probe.mask_study import MaskStudy, parse_modes, parse_rates, run_mask_study
    from barcodemae.eval.report.records import write_records
    from barcodemae.eval.report.study_plot import plot_mask_study

    study = MaskStudy(
        dataset=data,
        rates=parse_rates(rates),
        modes=parse_modes(modes),
        rank=rank,
        references=references,
        queries=queries,
        max_references=max_references,
        num_seeds=seeds,
        command=describe_command(
            "mask-study",
            model,
            data,
            rates=rates,
            modes=modes,
            rank=rank,
            references=references,
            queries=queries,
            max_references=max_references,
            seeds=seeds,
            dtype=dtype,
            revision=revision,
        ),
    )
    how = ModelOptions(
        device=device or None, dtype=dtype, batch_size=batch_size, revision=revision or None
    )
    records = []
    for name in model:
        for record in run_mask_study(
            name,
            study,
            how,
            on_left_out=lambda reason: typer.echo(f"left out: {reason}", err=True),
        ):
            typer.echo(summarise(record) + f"  {record.protocol}", err=True)
            records.append(record)
            write_records(json, records)
    if plot is not None:
        plot_mask_study(records, plot)


def leaderboard(
    results: list[Path] = typer.Argument(help="Results files (JSON lists of records)."),
    *,
    output_format: str = typer.Option("markdown", "--format", help="markdown, csv or latex."),
    output: str = typer.Option("-", "-o", "--output", help="File, or `-` for stdout."),
    figure: Path | None = typer.Option(None, help="1-NN against AMI: .png, .svg or .pdf."),
    systems: Path | None = typer.Option(
        None, metavar="YAML", help="Which rows are ours, and whose weights are not available here."
    ),
) -> None:
    """Compile results files into the published table."""
    from barcodemae.eval.report.leaderboard import build_table
    from barcodemae.eval.report.records import read_all_records
    from barcodemae.eval.report.systems import NO_SYSTEMS, read_systems
    from barcodemae.eval.report.table_plot import plot_table
    from barcodemae.eval.report.table_text import render_table
    from barcodemae.files import write_text

    listed = NO_SYSTEMS if systems is None else read_systems(systems)
    table = build_table(read_all_records(results), listed)
    text = render_table(table, output_format)
    if output == "-":
        typer.echo(text, nl=False)
    else:
        write_text(output, text)
    if figure is not None:
        plot_table(table, figure)


def plot_map(
    *,
    model: str = typer.Option(..., "--model", "-m", help="Model folder, Hub name or kmer:K."),
    data: Path = typer.Option(..., help="Folder of a prepared data set."),
    output: Path = typer.Option(..., "-o", "--output", help="OUT.html; OUT.png lies beside it."),
    splits: str = typer.Option("test_unseen", help="Partitions to draw; commas."),
    color: str = typer.Option("order", help="Rank that gives the colours."),
    max_points: int = typer.Option(20_000, min=64, help="Draw a random subset of at most this."),
    num_neighbors: int = typer.Option(15, min=2, help="Neighbours of UMAP."),
    seed: int = typer.Option(42, help="Of UMAP and of the subset."),
    device: str = typer.Option("", help=DEVICE_HELP),
    batch_size: int = typer.Option(64, help="Sequences per forward pass; changes speed only."),
    revision: str = typer.Option("", help="Branch, tag or commit of a Hub model."),
) -> None:
    """Draw an interactive map of embeddings (UMAP, two dimensions)."""
    from barcodemae.eval.embed.loading import load_embedder
    from barcodemae.eval.probe.map_plot import MapSettings, draw_map

    embedder = load_embedder(
        model, device=device or None, batch_size=batch_size, revision=revision or None
    )
    settings = MapSettings(
        dataset=data,
        splits=tuple(name.strip() for name in splits.split(",")),
        color=color,
        max_points=max_points,
        num_neighbors=num_neighbors,
        seed=seed,
        title=without_folder(model),
    )
    draw_map(embedder, settings, output)
