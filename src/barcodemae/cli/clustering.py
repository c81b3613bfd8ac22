"""`barcodemae cluster`: from barcodes to units, where there is nothing to name them by.

Guarded by tests/barcodemae/cli/test_clustering.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from barcodemae.cli import options
from barcodemae.cli.command_help import add_command
from barcodemae.cli.embedding import RejectedRecords
from barcodemae.default_model import DEFAULT_MODEL


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "cluster", cluster)


def cluster(
    queries: options.Sequences,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="TSV", help="Table of units to write.")
    ],
    model: options.Model = DEFAULT_MODEL,
    method: Annotated[str, typer.Option(help="threshold, ward or hdbscan.")] = "threshold",
    identity: Annotated[
        float, typer.Option(help="Percent identity within units; not of hdbscan.")
    ] = 97.0,
    map_page: Annotated[
        Path | None, typer.Option("--map", metavar="HTML", help="Draw a map too.")
    ] = None,
    batch_size: options.BatchSize = 64,
    device: options.Device = "",
    dtype: options.Dtype = "auto",
    revision: options.Revision = "",
    engine: options.Engine = "",
) -> None:
    """Group barcodes into species-like units, without any reference."""
    from barcodemae.calls.units import cluster_records
    from barcodemae.eval.embed.loading import load_embedder
    from barcodemae.eval.identify.units import UnitSettings, draw_units, write_units
    from barcodemae.fasta import read_records
    from barcodemae.output.places import claimed

    settings = UnitSettings(method=method, identity=identity)
    if map_page is not None:
        # Imported here: what draws is no part of the light installation.
        from barcodemae.eval.probe.map_plot import check_map_file

        check_map_file(map_page)
    report = RejectedRecords(str(output), queries, strict=False)
    pages = [] if map_page is None else [map_page, map_page.with_suffix(".png")]
    with claimed(*report.outputs(), *pages, inputs=[queries]):
        embedder = load_embedder(
            model,
            device=device or None,
            batch_size=batch_size,
            dtype=dtype,
            revision=revision or None,
            engine=engine,
        )
        records = list(read_records(queries, list_damage=True))
        found = cluster_records(records, embedder, settings, progress=True)
        report.add(records, found.reasons)
        report.num_embedded = len(found.ids)
        if found.units is not None:
            write_units(output, found.ids, found.units)
            typer.echo(
                f"barcodemae: {len(found.ids)} barcodes in {len(found.units.sizes)} units", err=True
            )
        report.close()
        if map_page is not None and found.vectors is not None and found.units is not None:
            draw_units(found.vectors, found.ids, found.units, map_page)
