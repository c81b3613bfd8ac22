"""`barcodemae index`: from references to a library that names can be read from.

Guarded by tests/barcodemae/cli/test_identification_commands.py.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from barcodemae.cli import options
from barcodemae.cli.command_help import add_command
from barcodemae.cli.options import names_of
from barcodemae.default_model import DEFAULT_MODEL


if TYPE_CHECKING:
    from collections.abc import Iterator

PREPARED_SPLITS = "train"
REPORT_NAME = "report.tsv in the library"


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "index", index)


def index(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="REFERENCE",
            help="A prepared data set, or anything `prepare` reads: tables, FASTA, Parquet.",
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "--out", "-o", metavar="DIR", help="Library to make."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Read every byte of a library, REFERENCE, and check it."),
    ] = False,
    model: options.Model = DEFAULT_MODEL,
    splits: Annotated[
        str,
        typer.Option(help="Partitions that are references: train of a data set, else everything."),
    ] = "",
    held_out: Annotated[
        str, typer.Option(help="Partitions to calibrate with; without, references are left out.")
    ] = "val,val_unseen",
    mixture: Annotated[
        str,
        typer.Option(
            help="Queries assumed until a sample tells: known species, new species, new genus, ..."
        ),
    ] = "",
    offsets: Annotated[
        int,
        typer.Option(
            min=1, max=64, help="Reading offsets that are averaged; costs as many passes."
        ),
    ] = 1,
    engine: Annotated[
        str, typer.Option(help="exact, or faiss to add an index for millions.")
    ] = "exact",
    file_format: options.SourceFormat = "auto",
    marker: options.Marker = "COI-5P",
    taxonomy: options.Taxonomy = None,
    batch_size: options.BatchSize = 64,
    device: options.Device = "",
    dtype: options.Dtype = "auto",
    revision: options.Revision = "",
    overwrite: options.Overwrite = False,
) -> None:
    """Make a reference library: embeddings, lineages, calibrated probabilities."""
    from barcodemae.cli.data import progress_bars
    from barcodemae.dataset import SPLITS
    from barcodemae.errors import SettingsError
    from barcodemae.eval.embed.loading import load_embedder
    from barcodemae.eval.embed.offsets import OffsetEmbedder
    from barcodemae.eval.identify.judge.ladder import DEFAULT_MIXTURE, Mixture
    from barcodemae.eval.identify.reference.build import LibraryPlan, build_library
    from barcodemae.eval.identify.reference.library import DESCRIPTION
    from barcodemae.files import staged_folder
    from barcodemae.output.places import check_folder, claimed
    from barcodemae.training.data.sources.recognition import SourceOptions

    if check:
        check_library(sources)
        return
    if output is None:
        raise SettingsError("name the library to write with -o DIR")
    expected = Mixture.parse(mixture) if mixture else DEFAULT_MIXTURE
    source = SourceOptions(format=file_format, marker=marker, taxonomy=taxonomy)
    inputs = [*sources, *([] if taxonomy is None else [str(taxonomy)])]
    check_folder(output, inputs)
    embedder = load_embedder(
        model,
        device=device or None,
        batch_size=batch_size,
        dtype=dtype,
        revision=revision or None,
    )
    with (
        claimed(output, inputs=inputs, folder=True),
        staged_folder(output, overwrite=overwrite, marker=DESCRIPTION, what="library") as folder,
        prepared(sources, source) as (dataset, is_prepared),
        progress_bars() as on_progress,
    ):
        plan = LibraryPlan(
            splits=names_of(splits) or ((PREPARED_SPLITS,) if is_prepared else SPLITS),
            held_out=names_of(held_out) if is_prepared or splits else (),
            mixture=expected,
            engine=engine,
        )
        with_offsets = OffsetEmbedder(embedder, offsets)
        found = build_library(dataset, folder, with_offsets, plan, on_progress=on_progress)
    for line in summary(found):
        typer.echo(line, err=True)
    typer.echo(str(output))


def check_library(folders: list[str]) -> None:
    """Check every byte of libraries against the hashes that were written with them."""
    from barcodemae.eval.identify.reference.library import ReferenceLibrary
    from barcodemae.stored.manifest import check_manifest

    for name in folders:
        library = ReferenceLibrary(name)
        files = check_manifest(Path(name), everything=True)
        typer.echo(f"{name}: {len(library):,} references, {len(files)} files as written")


@contextmanager
def prepared(sources: list[str], source: Any) -> Iterator[tuple[Path, bool]]:
    """Give a prepared data set: the source itself if it is one, else a temporary one."""
    from barcodemae.cli.data import accounts
    from barcodemae.training.data.prepare import PrepareOptions, prepare
    from barcodemae.training.data.sources.recognition import SIMULATE

    first = Path(sources[0])
    if len(sources) == 1 and first.is_dir() and sources[0] != SIMULATE:
        yield first, True
        return
    name = Path(sources[0].split("::")[0]).name.split(".")[0] or "reference"
    with TemporaryDirectory() as folder:
        dataset = Path(folder) / name
        options = PrepareOptions(source=source, dedup="none", leakage=False)
        for line in accounts(prepare(sources, dataset, options)):
            typer.echo(line, err=True)
        yield dataset, False


def summary(found: dict[str, Any]) -> Iterator[str]:
    """Say what the library holds, what was left out, and how it was calibrated."""
    left_out = ", ".join(f"{count:,} {why}" for why, count in found["references_left_out"].items())
    yield f"{found['references']:,} references" + (f"; left out: {left_out}" if left_out else "")
    if found["references_reversed"]:
        yield f"turned to the other strand: {found['references_reversed']:,}"
    if found["placeholder_names"]:
        yield f"names that name no taxon: {found['placeholder_names']:,}, such as `sp.`"
    for kind, count in found["conflicts"].items():
        yield f"conflicts: {count:,} of {kind}, see {REPORT_NAME}"
    taxa = ", ".join(f"{count:,} {rank}" for rank, count in found["taxa"].items() if count)
    yield f"taxa: {taxa}"
    examples = ", ".join(
        f"{count:,} {name.replace('_', ' ')}" for name, count in found["examples"].items() if count
    )
    yield f"calibrated on {found['held_out']}: {examples}"
