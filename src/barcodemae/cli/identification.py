"""`barcodemae index`, `identify` and `cluster`: from barcodes to names, and to units without.

Guarded by tests/barcodemae/cli/test_identification_commands.py.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import typer

from barcodemae.cli.embedding import DTYPE_HELP


if TYPE_CHECKING:
    from collections.abc import Iterator

    from barcodemae.eval.embed.embedder import Embedder
    from barcodemae.eval.identify.resumable import ResultSink

MODEL_HELP = "Model folder, Hub name, kmer:K or `default`, the bundled model."
DEVICE_HELP = "cpu, cuda, ...; default: a GPU if there is one."
REVISION_HELP = "Branch, tag or commit of a Hub model."
PREPARED_SPLITS = "train"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("index")(index)
    app.command("identify")(identify)
    app.command("cluster")(cluster)


def default_threads() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def names_of(text: str) -> tuple[str, ...]:
    """Split a comma-separated list."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def index(
    sources: list[str] = typer.Argument(
        metavar="REFERENCE...",
        help="A prepared data set, or anything `prepare` reads: tables, FASTA, Parquet.",
    ),
    *,
    output: Path = typer.Option(..., "-o", "--output", metavar="LIB", help="Folder to make."),
    model: str = typer.Option("default", "--model", "-m", help=MODEL_HELP),
    splits: str = typer.Option(
        "", help="Partitions that are references; default: train of a data set, else everything."
    ),
    held_out: str = typer.Option(
        "val,val_unseen", help="Partitions to calibrate with; without them references are left out."
    ),
    mixture: str = typer.Option(
        "65,30,5", help="Expected queries in %: known species, new species, new genus."
    ),
    offsets: int = typer.Option(1, min=1, help="Reading offsets that are averaged; costs as much."),
    engine: str = typer.Option("exact", help="exact, or faiss to add an index for millions."),
    file_format: str = typer.Option("auto", "--format", help="Of the source; as for `prepare`."),
    marker: str = typer.Option("COI-5P", help="Marker that is kept, where the source names some."),
    taxonomy: Path | None = typer.Option(None, metavar="TSV", help="QIIME 2 taxonomy of a FASTA."),
    batch_size: int = typer.Option(64, help="Sequences per forward pass; changes speed only."),
    device: str = typer.Option("", help=DEVICE_HELP),
    dtype: str = typer.Option("auto", help=DTYPE_HELP),
    revision: str = typer.Option("", help=REVISION_HELP),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace a library."),
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
    options = SourceOptions(format=file_format, marker=marker, taxonomy=taxonomy)
    with (
        staged_folder(output, overwrite=overwrite, marker=DESCRIPTION, what="library") as folder,
        prepared(sources, options) as (dataset, is_prepared),
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
def prepared(sources: list[str], options: Any) -> Iterator[tuple[Path, bool]]:
    """Give a prepared data set: the source itself if it is one, else a temporary one."""
    from barcodemae.training.data.prepare import PrepareOptions, prepare
    from barcodemae.training.data.sources.recognition import SIMULATE

    first = Path(sources[0])
    if len(sources) == 1 and first.is_dir() and sources[0] != SIMULATE:
        yield first, True
        return
    name = Path(sources[0].split("::")[0]).name.split(".")[0] or "reference"
    with TemporaryDirectory() as folder:
        dataset = Path(folder) / name
        prepare(sources, dataset, PrepareOptions(source=options, leakage=False))
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
    queries: str = typer.Argument(help="FASTA or FASTQ, plain or compressed; `-` for stdin."),
    *,
    reference: Path = typer.Option(..., "--reference", "-r", metavar="LIB", help="From `index`."),
    output: str = typer.Option("-", "-o", "--output", help="File (.gz compresses); `-` is stdout."),
    model: str = typer.Option("default", "--model", "-m", help=MODEL_HELP),
    output_format: str = typer.Option("tsv", "--format", help="tsv, jsonl, sintax or qiime2."),
    threshold: float = typer.Option(0.7, help="Probability from which a name is given."),
    strand: str = typer.Option("both", help="both, or plus if all are on the library's strand."),
    engine: str = typer.Option("exact", help="exact or faiss."),
    verify: bool = typer.Option(
        True, "--verify/--no-verify", help="Align the nearest references; the best decides."
    ),
    threads: int = typer.Option(0, help="Default: all cores; changes speed only."),
    batch_size: int = typer.Option(64, help="Sequences per forward pass; changes speed only."),
    device: str = typer.Option("", help=DEVICE_HELP),
    dtype: str = typer.Option("", help="As for `embed`; default: what the library was made with."),
    revision: str = typer.Option("", help=REVISION_HELP),
    resume: bool = typer.Option(False, "--resume", help="Go on where a killed run stopped."),
) -> None:
    """Name every barcode of a file down to the rank that the evidence supports."""
    from barcodemae.cpu_memory import reuse_freed_memory
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
    options = IdentifyOptions(threshold=threshold, strand=strand, engine=engine, verify=verify)
    library = ReferenceLibrary(reference)
    embedder: Embedder = load_embedder(
        model,
        device=device or None,
        batch_size=batch_size,
        dtype=dtype or library.dtype,
        revision=revision or None,
    )
    embedder = OffsetEmbedder(embedder, library.description["offsets"])
    identifier = Identifier(library, embedder, options)
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
            read_any_records(queries),
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


def cluster(
    queries: str = typer.Argument(help="FASTA or FASTQ, plain or compressed; `-` for stdin."),
    *,
    output: Path = typer.Option(..., "-o", "--output", metavar="TSV", help="Table of units."),
    model: str = typer.Option("default", "--model", "-m", help=MODEL_HELP),
    method: str = typer.Option("threshold", help="threshold, ward or hdbscan."),
    identity: float = typer.Option(97.0, help="Percent identity within units; not of hdbscan."),
    map_page: Path | None = typer.Option(None, "--map", metavar="HTML", help="Draw a map too."),
    batch_size: int = typer.Option(64, help="Sequences per forward pass; changes speed only."),
    device: str = typer.Option("", help=DEVICE_HELP),
    dtype: str = typer.Option("auto", help=DTYPE_HELP),
    revision: str = typer.Option("", help=REVISION_HELP),
) -> None:
    """Group barcodes into species-like units, without any reference."""
    from barcodemae.cli.embedding import RejectedRecords
    from barcodemae.eval.embed.loading import load_embedder
    from barcodemae.eval.embed.screening import clean
    from barcodemae.eval.identify.units import UnitSettings, draw_units, find_units, write_units
    from barcodemae.eval.probe.map_plot import check_map_file
    from barcodemae.raw_fasta import read_any_records

    settings = UnitSettings(method=method, identity=identity)
    if map_page is not None:
        check_map_file(map_page)
    embedder = load_embedder(
        model,
        device=device or None,
        batch_size=batch_size,
        dtype=dtype,
        revision=revision or None,
    )
    records = list(read_any_records(queries))
    report = RejectedRecords(str(output), queries, strict=False)
    reasons = embedder.find_invalid([record.sequence for record in records])
    reasons |= {row: record.problem for row, record in enumerate(records) if record.problem}
    report.add(records, reasons)
    kept = [record for row, record in enumerate(records) if row not in reasons]
    report.num_embedded = len(kept)
    if kept:
        sequences = [clean(record.sequence) for record in kept]
        vectors = embedder.embed(sequences, progress=True)
        units = find_units(vectors, sequences, settings)
        write_units(output, [record.id for record in kept], units)
        typer.echo(f"barcodemae: {len(kept)} barcodes in {len(units.sizes)} units", err=True)
    report.close()
    if map_page is not None:
        draw_units(vectors, [record.id for record in kept], units, map_page)
