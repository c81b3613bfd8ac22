"""`barcodemae identify`: from barcodes to names, with a library that `index` made.

Guarded by tests/barcodemae/cli/test_identification_commands.py.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from barcodemae.cli import options
from barcodemae.cli.command_help import add_command
from barcodemae.cli.options import engines_of, names_of
from barcodemae.default_model import DEFAULT_MODEL


if TYPE_CHECKING:
    from collections.abc import Iterator

    from barcodemae.calls.names import OpenLibrary
    from barcodemae.eval.identify.identification import IdentifyOptions
    from barcodemae.eval.identify.resumable import ResultSink
    from barcodemae.eval.identify.stream import FinishedBatch
    from barcodemae.eval.identify.summary import Summary


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
        str, typer.Option("--format", help="tsv, jsonl, sintax or qiime2.")
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
    from barcodemae.errors import SettingsError
    from barcodemae.eval.embed.threads import default_threads
    from barcodemae.eval.identify.findings import parse_thresholds
    from barcodemae.eval.identify.formats import FORMATS
    from barcodemae.eval.identify.identification import Identifier, IdentifyOptions
    from barcodemae.eval.identify.judge.ladder import Mixture
    from barcodemae.eval.identify.restriction import Restriction, read_checklist
    from barcodemae.eval.identify.stream import identify_stream
    from barcodemae.output.places import check_files, claimed

    beside = outputs_beside(output, candidates, summary_file)
    lists = [] if checklist is None else [checklist]
    check_files([output, *beside], [queries, reference, *lists])
    check_output(output, candidates, resume=resume)
    if output_format not in FORMATS:
        raise SettingsError(f"format {output_format!r} is not one of {', '.join(FORMATS)}")
    restriction = Restriction(
        names_of(within), () if checklist is None else read_checklist(checklist)
    )
    search, network = engines_of(engine)
    how = IdentifyOptions(
        thresholds=parse_thresholds(threshold),
        strand=strand,
        engine=search,
        mixture=Mixture.parse(mixture) if mixture else None,
        restriction=restriction,
        num_candidates=candidates,
    )

    lib = open_library(
        reference,
        model,
        device=device or None,
        batch_size=batch_size,
        dtype=dtype,
        revision=revision or None,
        engine=network,
    )
    identifier = Identifier(lib.references, lib.embedder, how)
    form = FORMATS[output_format]
    settings = settings_of(how, lib) | {"format": output_format}
    with claimed(*beside):
        sink = open_sink(output, form.header, settings, resume=resume)
        reuse_freed_memory()
        with (
            readable_twice(resolve_queries(queries)) as read,
            counting("Identifying") as show,
            candidate_table(output, candidates) as write_candidates,
        ):

            def on_batch(batch: FinishedBatch, total: int | None) -> None:
                show(sink.progress.records, total)
                write_candidates(batch.candidates)

            summary = identify_stream(
                identifier,
                read,
                form,
                sink,
                threads=threads or default_threads(),
                forks=True,
                on_batch=on_batch,
            )
            report_run(sink, summary, summary_file)


def check_output(output: str, candidates: int, *, resume: bool) -> None:
    """Check that the tables that are wanted can be written as they are wanted.

    Raises:
        SettingsError: The list of rejected records is not ours, or there can be no candidates.
    """
    from barcodemae.errors import SettingsError
    from barcodemae.output.rejected import check_list, rejected_path_of

    if output != "-":
        check_list(rejected_path_of(Path(output)))
    elif candidates:
        raise SettingsError("--candidates writes a second table beside the first: name one with -o")
    if candidates and resume:
        raise SettingsError("--candidates needs a run from the start; leave out --resume")


def outputs_beside(output: str, candidates: int, summary_file: Path | None) -> list[Path]:
    """List the files that a run writes beside its table and the list of rejected records."""
    table = [candidates_path(output)] if candidates and output != "-" else []
    return table + ([] if summary_file is None else [summary_file])


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


def open_sink(output: str, header: str, settings: dict[str, Any], *, resume: bool) -> ResultSink:
    """Open the output.

    Raises:
        SettingsError: Standard output cannot be resumed.
    """
    from barcodemae.errors import SettingsError
    from barcodemae.eval.identify.resumable import FileSink, StreamSink
    from barcodemae.files import is_written_through

    path = None if output == "-" else Path(output)
    if path is not None and not is_written_through(path):
        return FileSink(path, header, settings, resume=resume)
    if resume:
        raise SettingsError("--resume needs a file to go on with: name one with -o")
    return StreamSink(header, path)
