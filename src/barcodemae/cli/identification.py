"""`barcodemae identify`: from barcodes to names, with a library that `index` made.

Guarded by tests/barcodemae/cli/test_identification_commands.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from barcodemae.cli import options
from barcodemae.cli.help.command_help import add_command
from barcodemae.cli.naming import choices
from barcodemae.cli.naming.outputs import (
    about_run,
    candidate_table,
    check_format,
    check_output,
    draw_report,
    open_sink,
    outputs_beside,
    report_run,
)
from barcodemae.cli.naming.runs import (
    name_here,
    name_on_ray,
    naming_order,
    options_of_run,
    settings_of,
)
from barcodemae.cli.options import engines_of
from barcodemae.default_model import DEFAULT_MODEL


if TYPE_CHECKING:
    from barcodemae.calls.choices import ModelChoices
    from barcodemae.eval.identify.stream import FinishedBatch


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "identify", identify)


def identify(
    queries: options.Sequences,
    *,
    reference: choices.Reference,
    output: options.OutputFile = "-",
    model: options.Model = DEFAULT_MODEL,
    output_format: choices.OutputFormat = "tsv",
    threshold: choices.Threshold = "",
    mixture: choices.Mixture = "",
    within: choices.Within = "",
    checklist: choices.Checklist = None,
    candidates: choices.Candidates = 0,
    summary_file: choices.SummaryFile = None,
    report: choices.Report = None,
    strand: choices.Strand = "both",
    engine: choices.Engine = "exact",
    threads: options.Threads = 0,
    batch_size: options.BatchSize = 64,
    device: options.Device = "",
    dtype: options.Dtype = "",
    revision: options.Revision = "",
    shard: options.ShardOfFile = "",
    ray: options.RayCluster = "",
    ray_workers: options.RayWorkers = 0,
    resume: choices.Resume = False,
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
