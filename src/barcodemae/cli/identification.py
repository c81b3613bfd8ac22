"""`barcodemae index` and `identify`: from references to a library, from barcodes to names.

Guarded by tests/barcodemae/cli/test_identification_commands.py.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from barcodemae.cli import options
from barcodemae.cli.command_help import add_command
from barcodemae.default_model import DEFAULT_MODEL


if TYPE_CHECKING:
    from collections.abc import Iterator

    from barcodemae.eval.embed.embedder import Embedder
    from barcodemae.eval.identify.resumable import ResultSink

PREPARED_SPLITS = "train"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_command(app, "index", index)
    add_command(app, "identify", identify)


def default_threads() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def names_of(text: str) -> tuple[str, ...]:
    """Split a comma-separated list."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def index(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="REFERENCE",
            help="A prepared data set, or anything `prepare` reads: tables, FASTA, Parquet.",
        ),
    ],
    *,
    output: options.OutputFolder,
    model: options.Model = DEFAULT_MODEL,
    splits: Annotated[
        str,
        typer.Option(help="Partitions that are references: train of a data set, else everything."),
    ] = "",
    held_out: Annotated[
        str, typer.Option(help="Partitions to calibrate with; without, references are left out.")
    ] = "val,val_unseen",
    mixture: Annotated[
        str, typer.Option(help="Expected queries in %: known species, new species, new genus.")
    ] = "65,30,5",
    offsets: Annotated[
        int, typer.Option(min=1, help="Reading offsets that are averaged; costs as many passes.")
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
    from barcodemae.eval.embed.loading import load_embedder
    from barcodemae.eval.embed.offsets import OffsetEmbedder
    from barcodemae.eval.identify.reference.build import LibraryPlan, build_library
    from barcodemae.eval.identify.reference.heldout import Mixture
    from barcodemae.eval.identify.reference.library import DESCRIPTION
    from barcodemae.files import staged_folder
    from barcodemae.training.data.sources.recognition import SourceOptions

    expected = Mixture.parse(mixture)
    embedder = load_embedder(
        model,
        device=device or None,
        batch_size=batch_size,
        dtype=dtype,
        revision=revision or None,
    )
    source = SourceOptions(format=file_format, marker=marker, taxonomy=taxonomy)
    with (
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
        found = prepare(sources, dataset, PrepareOptions(source=source, leakage=False))
        for line in accounts(found):
            typer.echo(line, err=True)
        yield dataset, False


def summary(found: dict[str, Any]) -> Iterator[str]:
    """Say what the library holds and how well its probabilities were kept."""
    lost = {
        "without a name": found["references_unnamed"],
        "that the model cannot read": found["references_unreadable"],
    }
    left_out = ", ".join(f"{count:,} {why}" for why, count in lost.items() if count)
    yield f"{found['references']:,} references" + (f"; left out: {left_out}" if left_out else "")
    taxa = ", ".join(f"{count:,} {rank}" for rank, count in found["taxa"].items() if count)
    yield f"taxa: {taxa}"
    examples = ", ".join(f"{count:,} {name}" for name, count in found["examples"].items())
    yield f"calibrated on {found['held_out']}: {examples}"


def identify(
    queries: options.Sequences,
    *,
    reference: Annotated[
        Path,
        typer.Option(
            "--reference",
            "-r",
            metavar="LIB",
            help="Library made by `index`; `demo` is a thousand real barcodes, for a first look.",
        ),
    ],
    output: options.OutputFile = "-",
    model: options.Model = DEFAULT_MODEL,
    output_format: Annotated[
        str, typer.Option("--format", help="tsv, jsonl, sintax or qiime2.")
    ] = "tsv",
    threshold: Annotated[float, typer.Option(help="Probability from which a name is given.")] = 0.7,
    strand: Annotated[
        str, typer.Option(help="both, or plus if all are on the library's strand.")
    ] = "both",
    engine: Annotated[str, typer.Option(help="exact or faiss.")] = "exact",
    verify: Annotated[
        bool,
        typer.Option(
            "--verify/--no-verify", help="Align the nearest references; the best decides."
        ),
    ] = True,
    threads: options.Threads = 0,
    batch_size: options.BatchSize = 64,
    device: options.Device = "",
    dtype: options.Dtype = "",
    revision: options.Revision = "",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a killed run stopped.")
    ] = False,
) -> None:
    """Name every barcode of a file down to the rank that the evidence supports."""
    from barcodemae.cpu_memory import reuse_freed_memory
    from barcodemae.demonstration.names import resolve_queries, resolve_reference
    from barcodemae.errors import SettingsError
    from barcodemae.eval.embed.loading import load_embedder
    from barcodemae.eval.embed.offsets import OffsetEmbedder
    from barcodemae.eval.identify.formats import FORMATS
    from barcodemae.eval.identify.identification import Identifier, IdentifyOptions
    from barcodemae.eval.identify.reference.library import ReferenceLibrary
    from barcodemae.eval.identify.stream import identify_stream
    from barcodemae.raw_fasta import read_any_records

    if output_format not in FORMATS:
        raise SettingsError(f"format {output_format!r} is not one of {', '.join(FORMATS)}")
    how = IdentifyOptions(threshold=threshold, strand=strand, engine=engine, verify=verify)

    def open_model(dtype: str) -> Embedder:
        return load_embedder(
            model,
            device=device or None,
            batch_size=batch_size,
            dtype=dtype,
            revision=revision or None,
        )

    library = ReferenceLibrary(
        resolve_reference(reference, lambda: open_model(dtype or "auto"), say=tell)
    )
    embedder = open_model(dtype or library.dtype)
    embedder = OffsetEmbedder(embedder, library.description["offsets"])
    identifier = Identifier(library, embedder, how)
    form = FORMATS[output_format]
    settings = {
        "library": library.fingerprint(),
        "threshold": threshold,
        "strand": strand,
        "engine": engine,
        "verify": verify,
        "format": output_format,
    }
    sink = open_sink(output, form.header, settings, resume=resume)
    reuse_freed_memory()
    with counting("Identifying") as show:
        identify_stream(
            identifier,
            read_any_records(resolve_queries(queries)),
            form,
            sink,
            threads=threads or default_threads(),
            forks=True,
            on_progress=show,
        )
    done = sink.progress
    typer.echo(
        f"barcodemae: {done.records} records: {done.records - done.rejected} identified, "
        f"{done.rejected} rejected"
        + (f", see {sink.rejected_path}" if done.rejected and sink.rejected_path else ""),
        err=True,
    )


def tell(line: str) -> None:
    """Say what takes time, on stderr."""
    typer.echo(f"barcodemae: {line}", err=True)


def open_sink(output: str, header: str, settings: dict[str, Any], *, resume: bool) -> ResultSink:
    """Open the output.

    Raises:
        SettingsError: Standard output cannot be resumed.
    """
    from barcodemae.errors import SettingsError
    from barcodemae.eval.identify.resumable import FileSink, StandardSink

    if output != "-":
        return FileSink(Path(output), header, settings, resume=resume)
    if resume:
        raise SettingsError("--resume needs a file to go on with: name one with -o")
    return StandardSink(header)


@contextmanager
def counting(what: str) -> Iterator[Any]:
    """Show a count and the time on stderr."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn(what), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)
        yield lambda done: progress.update(task, completed=done)
