"""`barcodemae cluster`: from barcodes to units, where there is nothing to name them by.

Guarded by tests/barcodemae/cli/test_clustering.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from barcodemae.cli import options
from barcodemae.cli.embedding import RejectedRecords
from barcodemae.cli.help.command_help import add_command
from barcodemae.default_model import DEFAULT_MODEL


if TYPE_CHECKING:
    from barcodemae.eval.embed.embedder import Embedder
    from barcodemae.fasta import SequenceRecord


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
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference",
            "-r",
            metavar="LIB",
            help="Colour the map by the names that this library gives, too.",
        ),
    ] = None,
    batch_size: options.BatchSize = 64,
    device: options.Device = "",
    dtype: options.Dtype = "auto",
    revision: options.Revision = "",
    engine: options.Engine = "",
) -> None:
    """Group barcodes into species-like units, without any reference."""
    from barcodemae.calls.queries import read_queries
    from barcodemae.calls.units import cluster_records
    from barcodemae.errors import SettingsError
    from barcodemae.eval.embed.loading import ModelOptions
    from barcodemae.eval.identify.units import UnitSettings, write_units
    from barcodemae.output.places import claimed

    settings = UnitSettings(method=method, identity=identity)
    if map_page is not None:
        # Imported here: what draws is no part of the light installation.
        from barcodemae.eval.report.maps.write import check_map_file

        check_map_file(map_page)
    elif reference is not None:
        raise SettingsError("--reference colours the map: name one with --map")
    report = RejectedRecords(str(output), queries, strict=False)
    pages = [] if map_page is None else [map_page, map_page.with_suffix(".png")]
    with claimed(*report.outputs(), *pages, inputs=[queries]):
        opening = ModelOptions(
            device=device or None,
            batch_size=batch_size,
            dtype=dtype,
            revision=revision or None,
            engine=engine,
        )
        embedder = opening.lightest(model).load(model)
        records = list(read_queries(queries, list_damage=True))
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
            from barcodemae.eval.identify.overview.unit_map import draw_units

            kept = [record for row, record in enumerate(records) if row not in found.reasons]
            names = names_by_library(reference, embedder, kept) if reference else []
            draw_units(found.vectors, found.ids, found.units, map_page, names)


def names_by_library(
    reference: Path, embedder: Embedder, records: list[SequenceRecord]
) -> list[dict[str, str]]:
    """Return the names, by rank, that a library gives each record.

    Args:
        reference: Library, or `demo`.
        embedder: Model that the library was indexed with.
        records: Records to name.
    """
    from barcodemae.demonstration.names import resolve_reference
    from barcodemae.eval.embed.offsets import OffsetEmbedder
    from barcodemae.eval.identify.identification import Identifier, IdentifyOptions
    from barcodemae.eval.identify.overview.unit_map import name_records
    from barcodemae.eval.identify.reference.library import ReferenceLibrary

    def say(line: str) -> None:
        typer.echo(f"barcodemae: {line}", err=True)

    library = ReferenceLibrary(resolve_reference(reference, lambda: embedder, say))
    model = OffsetEmbedder(embedder, library.description["offsets"])
    return name_records(Identifier(library, model, IdentifyOptions()), records)
