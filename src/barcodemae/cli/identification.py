"""`barcodemae identify`: from barcodes to names, with a library that `index` made.

Guarded by tests/barcodemae/cli/test_identification_commands.py.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from barcodemae.cli import options
from barcodemae.cli.help.command_help import add_command
from barcodemae.cli.options import engines_of, names_of
from barcodemae.default_model import DEFAULT_MODEL


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from barcodemae.calls.choices import ModelChoices
    from barcodemae.calls.names import OpenLibrary
    from barcodemae.distributed.naming import NamingOrder
    from barcodemae.eval.embed.embedder import Embedder
    from barcodemae.eval.identify.formats import Format
    from barcodemae.eval.identify.identification import Identifier, IdentifyOptions
    from barcodemae.eval.identify.reference.library import ReferenceLibrary
    from barcodemae.eval.identify.resumable import ResultSink
    from barcodemae.eval.identify.stream import FinishedBatch
    from barcodemae.eval.identify.summary import Summary
    from barcodemae.fasta import SequenceRecord
    from barcodemae.output.shards import Part


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "identify", identify)


def identify(
    queries: options.Sequences,
    *,
    reference: Annotated[
        str,
        typer.Option(
            "--reference",
            "-r",
            metavar="LIB",
            help="Library made by `index`, or hf://OWNER/NAME@REVISION on the Hub; `demo` is a "
            "thousand real barcodes, for a first look.",
        ),
    ],
    output: options.OutputFile = "-",
    model: options.Model = DEFAULT_MODEL,
    output_format: Annotated[
        str, typer.Option("--format", help="tsv, jsonl, sintax, qiime2, phyloseq, dwc or biom.")
    ] = "tsv",
    threshold: Annotated[
        str,
        typer.Option(
            help="Probability from which a name is given: of all ranks, or species=0.8,genus=0.9."
        ),
    ] = "",
    mixture: Annotated[
        str,
        typer.Option(
            help="Expected queries: known species, new species, new genus, ...; else estimated."
        ),
    ] = "",
    within: Annotated[
        str, typer.Option(metavar="TAXON[,TAXON]", help="Only names within these taxa.")
    ] = "",
    checklist: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Only the names of this file, one per line."),
    ] = None,
    candidates: Annotated[
        int, typer.Option(min=0, help="Write N best references per query to a second table.")
    ] = 0,
    summary_file: Annotated[
        Path | None, typer.Option("--summary", metavar="JSON", help="Write the counts of the run.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="HTML", help="Draw what was found as a web page."),
    ] = None,
    strand: Annotated[
        str, typer.Option(help="both, or plus if all are on the library's strand.")
    ] = "both",
    engine: Annotated[
        str,
        typer.Option(
            help="exact or faiss to search, torch or onnx to compute; or one each: faiss,onnx."
        ),
    ] = "exact",
    threads: options.Threads = 0,
    batch_size: options.BatchSize = 64,
    device: options.Device = "",
    dtype: options.Dtype = "",
    revision: options.Revision = "",
    shard: options.ShardOfFile = "",
    ray: options.RayCluster = "",
    ray_workers: options.RayWorkers = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a killed run stopped.")
    ] = False,
) -> None:
    """Name every barcode of a file down to the rank that the evidence supports."""
    from barcodemae.calls.names import open_library
    from barcodemae.calls.sequences import readable_twice
    from barcodemae.calls.talk import counting
    from barcodemae.cpu_memory import reuse_freed_memory
    from barcodemae.demonstration.names import resolve_queries
    from barcodemae.eval.identify.formats import FORMATS
    from barcodemae.eval.identify.identification import Identifier
    from barcodemae.output.places import check_files, claimed
    from barcodemae.output.shards import Part, Shard

    beside = outputs_beside(output, candidates, summary_file, report)
    check_files([output, *beside], [queries, reference, *([checklist] if checklist else [])])
    check_output(output, candidates, resume=resume, shard=shard, ray=ray)
    check_format(output_format, output, report, shard)
    search, network = engines_of(engine)
    how = options_of_run(threshold, strand, search, mixture, within, checklist, candidates)
    opening: ModelChoices = {
        "device": device or None,
        "batch_size": batch_size,
        "dtype": dtype,
        "revision": revision or None,
        "engine": network,
    }
    lib = open_library(reference, model, **opening)
    identifier = Identifier(lib.references, lib.embedder, how)
    form, settings = FORMATS[output_format], settings_of(how, lib) | {"format": output_format}
    with claimed(*beside):
        sink = open_sink(output, form, settings | {"shard": shard}, resume=resume)
        reuse_freed_memory()
        with (
            readable_twice(resolve_queries(queries)) as read,
            counting("Identifying") as show,
            candidate_table(output, candidates) as write_candidates,
        ):

            def on_batch(batch: FinishedBatch, total: int | None) -> None:
                show(sink.progress.records, total)
                write_candidates(batch.candidates)

            part = Part.of(Shard.parse(shard), read) if shard else None
            if ray:
                order = naming_order(reference, model, lib, opening, how, output_format)
                source = resolve_queries(queries)
                summary = name_on_ray(
                    *(order, source, read, settings, sink, on_batch),
                    output=output,
                    address=ray,
                    num_workers=ray_workers,
                )
            else:
                summary = name_here(identifier, read, part, form, sink, threads, on_batch)
            if part is not None:
                part.write_note(Path(output), settings, form.header)
            report_run(sink, summary, summary_file)
            if report is not None:
                draw_report(report, output, about_run(lib.references, lib.embedder, how, summary))


def naming_order(
    reference: str,
    model: str,
    lib: OpenLibrary,
    opening: ModelChoices,
    how: IdentifyOptions,
    output_format: str,
) -> NamingOrder:
    """Say what the workers of --ray open, by names that mean the same to each of them."""
    from barcodemae.distributed.naming import NamingOrder
    from barcodemae.distributed.shards import everywhere
    from barcodemae.hub.fetching import is_on_hub

    folder = str(lib.references.folder)
    return NamingOrder(
        library=reference if is_on_hub(reference) else everywhere(folder),
        model=everywhere(model),
        choices={**opening, "dtype": lib.embedder.dtype or opening["dtype"]},
        options=how,
        form=output_format,
    )


def name_on_ray(
    order: NamingOrder,
    source: str,
    read: Callable[[], Iterator[SequenceRecord]],
    settings: dict[str, Any],
    sink: ResultSink,
    on_batch: Callable[[FinishedBatch, int | None], None],
    *,
    output: str,
    address: str,
    num_workers: int,
) -> Summary:
    """Name the records of a file on a cluster, and write what comes back as one machine does."""
    from barcodemae.distributed.blocks import blocks_of
    from barcodemae.distributed.naming import name_blocks, write_named
    from barcodemae.distributed.ray_crew import ray_crews
    from barcodemae.distributed.shards import shards_kept

    on_gpu = (order.choices["device"] or "cpu") != "cpu"

    def named() -> Iterator[FinishedBatch]:  # connects when the sink is ready for its errors
        with (
            shards_kept(output) as folder,
            ray_crews(address, size=num_workers, on_gpu=on_gpu) as hire,
        ):
            yield from name_blocks(hire, order, lambda: blocks_of(source, read), settings, folder)

    return write_named(named(), sink, on_batch)


def name_here(
    identifier: Identifier,
    read: Callable[[], Iterator[SequenceRecord]],
    part: Part | None,
    form: Format,
    sink: ResultSink,
    threads: int,
    on_batch: Callable[[FinishedBatch, int | None], None],
) -> Summary:
    """Name the records of a file, or of a shard of it, on this machine."""
    from barcodemae.eval.embed.threads import default_threads
    from barcodemae.eval.identify.stream import identify_stream

    return identify_stream(
        identifier,
        read if part is None else part.read,
        form,
        sink,
        sample_from=read,
        threads=threads or default_threads(),
        forks=True,
        on_batch=on_batch,
    )


def options_of_run(
    threshold: str,
    strand: str,
    search: str,
    mixture: str,
    within: str,
    checklist: Path | None,
    candidates: int,
) -> IdentifyOptions:
    """Turn the options of the command into those of a run.

    Raises:
        SettingsError: One is wrong.
    """
    from barcodemae.eval.identify.findings import parse_thresholds
    from barcodemae.eval.identify.identification import IdentifyOptions
    from barcodemae.eval.identify.judge.ladder import Mixture
    from barcodemae.eval.identify.restriction import Restriction, read_checklist

    return IdentifyOptions(
        thresholds=parse_thresholds(threshold),
        strand=strand,
        engine=search,
        mixture=Mixture.parse(mixture) if mixture else None,
        restriction=Restriction(names_of(within), read_checklist(checklist) if checklist else ()),
        num_candidates=candidates,
    )


def check_output(output: str, candidates: int, *, resume: bool, shard: str, ray: str) -> None:
    """Check that the tables that are wanted can be written as they are wanted.

    Raises:
        SettingsError: The list of rejected records is not ours, there can be no candidates, or no
            folder beside the table for the shards of a cluster.
    """
    from barcodemae.distributed.shards import check_run
    from barcodemae.errors import SettingsError
    from barcodemae.output.rejected import check_list, rejected_path_of

    if ray:
        check_run(output, shard)
    if output != "-":
        check_list(rejected_path_of(Path(output)))
    elif candidates:
        raise SettingsError("--candidates writes a second table beside the first: name one with -o")
    if candidates and resume:
        raise SettingsError("--candidates needs a run from the start; leave out --resume")


def check_format(output_format: str, output: str, report: Path | None, shard: str) -> None:
    """Check that the format exists, and goes with a page or a shard, if they are wanted.

    Raises:
        SettingsError: There is no such format, the page cannot be written there, there is no table
            to draw it of, or a shard that could not be merged.
    """
    from barcodemae.errors import SettingsError
    from barcodemae.eval.identify.formats import FORMATS
    from barcodemae.files import is_written_through
    from barcodemae.output.shards import Shard

    if output_format not in FORMATS:
        raise SettingsError(f"format {output_format!r} is not one of {', '.join(FORMATS)}")
    if shard and Shard.parse(shard):
        if output == "-" or is_written_through(Path(output)):
            raise SettingsError("--shard writes a note beside the table: name a file with -o")
        if FORMATS[output_format].document is not None:
            raise SettingsError(f"--shard cannot be merged in format {output_format}")
    if report is None:
        return
    from barcodemae.eval.identify.overview.page import check_page  # not in the light installation

    check_page(report)
    if output == "-" or is_written_through(Path(output)) or output_format != "tsv":
        raise SettingsError("--report is drawn of the table of names: write it as TSV with -o FILE")


def draw_report(report: Path, output: str, about: dict[str, str]) -> None:
    """Draw the table of names as a web page."""
    from barcodemae.eval.identify.overview.page import write_overview  # not in light

    write_overview([Path(output)], report, about)


def about_run(
    library: ReferenceLibrary, embedder: Embedder, how: IdentifyOptions, summary: Summary
) -> dict[str, str]:
    """Return what the page says of library, model and settings."""
    reference = library.description["reference"]
    words = {
        "library": f"{reference['name']}, {len(library):,} references, {library.fingerprint()}",
        "model": f"{embedder.name}, weights {embedder.fingerprint}",
        "named from": ", ".join(f"{rank} {value:g}" for rank, value in how.thresholds.items()),
    }
    if how.restriction.within or how.restriction.checklist:
        words["restricted to"] = ", ".join((*how.restriction.within, *how.restriction.checklist))
    if summary.mixture is not None:
        shares = summary.mixture.by_name().items()
        words[f"mixture, {summary.mixture.origin}"] = ", ".join(
            f"{100 * share:.1f} % {name.replace('_', ' ')}" for name, share in shares
        )
    return words


def outputs_beside(
    output: str, candidates: int, summary_file: Path | None, report: Path | None
) -> list[Path]:
    """List the files that a run writes beside its table and the list of rejected records."""
    table = [candidates_path(output)] if candidates and output != "-" else []
    return table + [path for path in (summary_file, report) if path is not None]


def candidates_path(output: str) -> Path:
    """Return the path of the table of candidates: `NAME.candidates.tsv`."""
    path = Path(output)
    return path.with_name(f"{path.name}.candidates.tsv")


def settings_of(how: IdentifyOptions, lib: OpenLibrary) -> dict[str, Any]:
    """Return what determines the output, for a run that goes on later."""
    return {
        "library": lib.references.fingerprint(),
        "thresholds": how.thresholds,
        "mixture": None if how.mixture is None else list(how.mixture.shares),
        "within": list(how.restriction.within),
        "checklist": list(how.restriction.checklist),
        "candidates": how.num_candidates,
        "strand": how.strand,
        "engine": how.engine,
        "dtype": lib.embedder.dtype,
    }


def report_run(sink: ResultSink, summary: Summary, summary_file: Path | None) -> None:
    """Say how many records were named, new, no barcodes or rejected; write it down if asked to."""
    from barcodemae.calls.talk import tell
    from barcodemae.files import write_json

    done = sink.progress
    tell(
        f"{done.records} records: {done.records - done.rejected} identified, "
        f"{done.rejected} rejected"
        + (f", see {sink.rejected_path}" if done.rejected and sink.rejected_path else "")
    )
    for line in summary.lines():
        tell(line)
    if summary_file is not None:
        write_json(summary_file, summary.to_json())


@contextmanager
def candidate_table(output: str, candidates: int) -> Iterator[Any]:
    """Open the table of candidates, `NAME.candidates.tsv`: a function that writes its lines."""
    from barcodemae.eval.identify.candidates import HEADER
    from barcodemae.files import whole_file

    if not candidates:
        yield lambda lines: None
        return
    with (
        whole_file(candidates_path(output)) as part,
        part.open("w", encoding="utf-8", errors="surrogateescape") as stream,
    ):
        stream.write(HEADER)
        yield stream.writelines


def open_sink(output: str, form: Format, settings: dict[str, Any], *, resume: bool) -> ResultSink:
    """Open the output.

    Raises:
        SettingsError: Standard output cannot be resumed, nor take what is written as a whole.
    """
    from barcodemae.errors import SettingsError
    from barcodemae.eval.identify.resumable import FileSink, StreamSink
    from barcodemae.files import is_written_through

    path = None if output == "-" else Path(output)
    if path is not None and not is_written_through(path):
        return FileSink(path, form.header, settings, resume=resume, document=form.document)
    if resume:
        raise SettingsError("--resume needs a file to go on with: name one with -o")
    if form.document is not None:
        raise SettingsError("this format is written as a whole: name a file with -o")
    return StreamSink(form.header, path)
