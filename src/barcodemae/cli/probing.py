"""`barcodemae probe`, `mask-study`, `leaderboard` and `plot-map`.

Guarded by tests/barcodemae/cli/test_probe_command.py and
tests/barcodemae/cli/test_table_commands.py.
"""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from barcodemae.cli import options
from barcodemae.cli.help.command_help import add_command
from barcodemae.dataset import parquet_files


if TYPE_CHECKING:
    from barcodemae.eval.probe.clustering import ClusteringProtocol
    from barcodemae.eval.report.records import ResultRecord


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_command(app, "probe", probe)
    add_command(app, "mask-study", mask_study)
    add_command(app, "leaderboard", leaderboard)
    add_command(app, "plot-map", plot_map)


def without_folder(name: str) -> str:
    """Shorten a model's path to its last part, so that records hold no private paths."""
    label, equals, target = name.rpartition("=")
    shown = Path(target).resolve().name if Path(target).exists() else target
    return f"{label}{equals}{shown}"


def describe_command(command: str, models: list[str], data: Path, **options: object) -> str:
    """Write the command line with names instead of paths, for the records."""
    parts = ["barcodemae", command]
    for model in models:
        parts += ["--model", without_folder(model)]
    parts += ["--data", data.resolve().name]
    for name, value in options.items():
        if value:
            parts += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(parts)


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
    model: options.MeasuredModels,
    data: options.Data,
    probes: Annotated[
        str,
        typer.Option(help="Of 1nn, zsc, zsc-average, linear, logistic, finetune; comma-separated."),
    ] = "1nn",
    rank: options.Rank = "genus",
    references: options.References = "train",
    queries: options.Queries = "test_unseen",
    seeds: Annotated[int, typer.Option(min=1, help="Repeats of zsc, linear and finetune.")] = 1,
    zsc_variant: Annotated[
        str, typer.Option(help="Published protocol: barcodemae or barcodebert.")
    ] = "barcodemae",
    zsc_rank: Annotated[str, typer.Option(help="Rank compared with the clusters.")] = "",
    zsc_neighbors: Annotated[
        int, typer.Option(help="Neighbours of UMAP, 0 for the protocol's.")
    ] = 0,
    zsc_clusters: Annotated[str, typer.Option(help="Number of clusters, or `labels`.")] = "",
    supervised_rank: Annotated[
        str, typer.Option(help="Rank that linear and finetune name.")
    ] = "species",
    finetune_epochs: Annotated[
        int, typer.Option(min=1, help="Epochs of the fine-tuning probe.")
    ] = 10,
    json: options.JsonFile = None,
    device: options.Device = "",
    dtype: options.Dtype = "float32",
    batch_size: options.BatchSize = 64,
    revision: options.Revision = "",
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Measure models and baselines on a prepared data set."""
    from dataclasses import replace

    from barcodemae.eval.embed.loading import ModelOptions
    from barcodemae.eval.probe.probing import choose_probes, run_probes
    from barcodemae.eval.probe.subjects import ProbeSettings, open_subject
    from barcodemae.eval.report.records import records_to_json, write_records
    from barcodemae.output.places import claimed

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
    asked = {
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
    with claimed(*([] if json is None else [json]), inputs=parquet_files(data)):
        for name in model:
            subject = open_subject(name, how)
            command = describe_command("probe", [name], data, **asked)
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
    model: options.Models,
    data: options.Data,
    rates: Annotated[
        str, typer.Option(help="Shares of k-mers: START:STOP:STEP, both ends included; or a list.")
    ] = "0:0.9:0.1",
    modes: Annotated[
        str, typer.Option(help="Which of the four modes.")
    ] = "drop,combined,mask,nonmask",
    rank: options.Rank = "genus",
    references: options.References = "train",
    queries: options.Queries = "val_unseen",
    max_references: Annotated[
        int, typer.Option(help="Use a random subset of the references, 0 for all.")
    ] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="Repeats with other random positions.")] = 1,
    json: Annotated[Path, typer.Option(metavar="FILE", help="Write the records here.")],
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Figure to write: .png, .svg or .pdf.")
    ] = None,
    device: options.Device = "",
    dtype: options.Dtype = "float32",
    batch_size: options.BatchSize = 64,
    revision: options.Revision = "",
) -> None:
    """Take tokens away from the input, or mask them, and see what becomes of 1-NN accuracy."""
    from barcodemae.eval.embed.loading import ModelOptions
    from barcodemae.eval.probe.mask_study import MaskStudy, parse_modes, parse_rates, run_mask_study
    from barcodemae.eval.report.records import write_records
    from barcodemae.eval.report.study_plot import plot_mask_study
    from barcodemae.output.places import claimed

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
    with claimed(json, *([] if plot is None else [plot]), inputs=parquet_files(data)):
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
    results: Annotated[
        list[Path],
        typer.Argument(metavar="RESULTS", help="Results files that `probe --json` wrote."),
    ],
    *,
    output_format: Annotated[
        str, typer.Option("--format", help="markdown, csv or latex.")
    ] = "markdown",
    output: options.OutputFile = "-",
    figure: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="1-NN against AMI, drawn: .png, .svg or .pdf."),
    ] = None,
    systems: Annotated[
        Path | None,
        typer.Option(
            metavar="YAML", help="Which rows are ours, and whose weights are not available here."
        ),
    ] = None,
) -> None:
    """Compile results files into the published table."""
    from barcodemae.eval.report.leaderboard import build_table
    from barcodemae.eval.report.records import read_all_records
    from barcodemae.eval.report.systems import NO_SYSTEMS, read_systems
    from barcodemae.eval.report.table_plot import plot_table
    from barcodemae.eval.report.table_text import render_table
    from barcodemae.files import write_text
    from barcodemae.output.places import claimed

    outputs: list[str | Path] = [output, *([] if figure is None else [figure])]
    with claimed(*outputs, inputs=[*results, *([] if systems is None else [systems])]):
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
    model: options.Model,
    data: options.Data,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="HTML", help="Page to write, with a PNG beside it."),
    ],
    splits: options.Splits = "test_unseen",
    color: Annotated[str, typer.Option(help="Rank that gives the colours.")] = "order",
    max_points: Annotated[
        int, typer.Option(min=64, help="Draw a random subset of at most this.")
    ] = 20_000,
    num_neighbors: Annotated[int, typer.Option(min=2, help="Neighbours of UMAP.")] = 15,
    seed: options.Seed = 42,
    device: options.Device = "",
    batch_size: options.BatchSize = 64,
    revision: options.Revision = "",
) -> None:
    """Draw an interactive map of embeddings (UMAP, two dimensions)."""
    from barcodemae.eval.embed.loading import load_embedder
    from barcodemae.eval.probe.map_plot import MapSettings, draw_map
    from barcodemae.eval.report.maps.write import check_map_file
    from barcodemae.output.places import claimed

    check_map_file(output)
    settings = MapSettings(
        dataset=data,
        splits=tuple(name.strip() for name in splits.split(",")),
        color=color,
        max_points=max_points,
        num_neighbors=num_neighbors,
        seed=seed,
        title=without_folder(model),
    )
    with claimed(output, output.with_suffix(".png"), inputs=parquet_files(data)):
        embedder = load_embedder(
            model, device=device or None, batch_size=batch_size, revision=revision or None
        )
        draw_map(embedder, settings, output)
