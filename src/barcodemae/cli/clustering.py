"""`barcodemae cluster`: from barcodes to units, where there is nothing to name them by.

Guarded by tests/barcodemae/cli/test_clustering.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from barcodemae.cli import options
from barcodemae.cli.command_help import add_command
from barcodemae.cli.embedding import RejectedRecords
from barcodemae.default_model import DEFAULT_MODEL


if TYPE_CHECKING:
    from collections.abc import Sequence

    from barcodemae.eval.embed.embedder import Embedder
    from barcodemae.fasta import SequenceRecord


NO_BARCODE = "not a barcode of this model's marker on either strand"


def letters_to_compare(sequences: Sequence[str], embedder: Embedder) -> list[str | None]:
    """Turn sequences to one strand and cut them to the barcode; None for what is none.

    Args:
        sequences: Sequences as read.
        embedder: Model; one that has no frame leaves strand and ends as they are.
    """
    from barcodemae.conventions.letters import clean

    if embedder.placer is None:
        return [clean(text) for text in sequences]
    return [
        placed.letters if placed.is_barcode else None for placed in embedder.placer.place(sequences)
    ]


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
) -> None:
    """Group barcodes into species-like units, without any reference."""
    from barcodemae.errors import SettingsError
    from barcodemae.eval.embed.loading import load_embedder
    from barcodemae.eval.identify.overview.unit_map import draw_units
    from barcodemae.eval.identify.units import UnitSettings, find_units, write_units
    from barcodemae.eval.report.maps.write import check_map_file
    from barcodemae.output.places import claimed
    from barcodemae.raw_fasta import read_any_records

    settings = UnitSettings(method=method, identity=identity)
    if map_page is not None:
        check_map_file(map_page)
    elif reference is not None:
        raise SettingsError("--reference colours the map: name one with --map")
    report = RejectedRecords(str(output), queries, strict=False)
    pages = [] if map_page is None else [map_page]
    with claimed(*report.outputs(), *pages, inputs=[queries]):
        embedder = load_embedder(
            model,
            device=device or None,
            batch_size=batch_size,
            dtype=dtype,
            revision=revision or None,
        )
        records = list(read_any_records(queries))
        reasons = embedder.find_invalid([record.sequence for record in records])
        reasons |= {row: record.problem for row, record in enumerate(records) if record.problem}
        letters = letters_to_compare([record.sequence for record in records], embedder)
        reasons = {row: NO_BARCODE for row, text in enumerate(letters) if text is None} | reasons
        report.add(records, reasons)
        rows = [row for row in range(len(records)) if row not in reasons]
        kept = [records[row] for row in rows]
        report.num_embedded = len(kept)
        if kept:
            sequences = [letters[row] or "" for row in rows]
            vectors = embedder.embed(sequences, progress=True)
            units = find_units(vectors, sequences, settings)
            write_units(output, [record.id for record in kept], units)
            typer.echo(f"barcodemae: {len(kept)} barcodes in {len(units.sizes)} units", err=True)
        report.close()
        if map_page is not None:
            names = names_by_library(reference, embedder, kept) if reference else []
            draw_units(vectors, [record.id for record in kept], units, map_page, names)


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
