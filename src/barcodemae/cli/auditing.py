"""`barcodemae audit`: which references mislead, and why.

Guarded by tests/barcodemae/cli/test_audit_command.py.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from barcodemae.cli import options
from barcodemae.cli.help.command_help import add_command
from barcodemae.cli.options import names_of
from barcodemae.default_model import DEFAULT_MODEL


if TYPE_CHECKING:
    from collections.abc import Iterator

    from barcodemae.eval.audit.doctor import Audit

PREPARED_SPLITS = "train"
JSON_FILE = "audit.json"


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "audit", audit)


def audit(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="REFERENCE",
            help="A prepared data set, a library, or anything `prepare` reads.",
            callback=options.all_fetched,
        ),
    ],
    *,
    output: options.OutputFolder,
    clean: Annotated[
        Path | None,
        typer.Option("--clean", metavar="DIR", help="Write the references without the worst."),
    ] = None,
    clean_score: Annotated[
        float, typer.Option(help="Lowest score of a finding whose record --clean drops.")
    ] = 0.9,
    min_score: Annotated[
        float, typer.Option(help="Lowest probability of a finding that is listed.")
    ] = 0.5,
    model: options.Model = DEFAULT_MODEL,
    splits: Annotated[
        str, typer.Option(help="Partitions to audit: train of a data set, else everything.")
    ] = "",
    file_format: options.SourceFormat = "auto",
    marker: options.Marker = "COI-5P",
    taxonomy: options.Taxonomy = None,
    batch_size: options.BatchSize = 64,
    device: options.Device = "",
    dtype: options.Dtype = "auto",
    revision: options.Revision = "",
    overwrite: options.Overwrite = False,
) -> None:
    """Find references that mislead: wrong labels, chimeras, contamination, contradictions."""
    from barcodemae.calls.libraries import prepared
    from barcodemae.cli.data import progress_bars
    from barcodemae.dataset import SPLITS
    from barcodemae.errors import SettingsError
    from barcodemae.eval.audit.doctor import audit_reference
    from barcodemae.eval.audit.report.cleaning import DROPPED, spoiled, write_clean
    from barcodemae.eval.audit.report.page import write_page
    from barcodemae.eval.audit.report.tables import write_audit_json, write_flagged, write_tsv
    from barcodemae.eval.embed.loading import ModelOptions
    from barcodemae.eval.identify.doubts.flagged import FLAGGED
    from barcodemae.eval.identify.reference.library import DESCRIPTION
    from barcodemae.files import staged_folder
    from barcodemae.output.places import claimed
    from barcodemae.training.data.sources.recognition import SourceOptions

    is_library = (Path(sources[0]) / DESCRIPTION).is_file()
    if clean is not None and (is_library or not 0 < clean_score <= 1):
        raise SettingsError(
            "--clean needs the data set or the files that the library was made of"
            if is_library
            else f"--clean-score must lie between 0 and 1, got {clean_score}"
        )
    opening = ModelOptions(
        device=device or None,
        batch_size=batch_size,
        dtype=dtype,
        revision=revision or None,
    )
    embedder = opening.lightest(model).load(model)
    source = SourceOptions(format=file_format, marker=marker, taxonomy=taxonomy)
    inputs = [*sources, *([] if taxonomy is None else [str(taxonomy)])]
    outputs = [output, *([] if clean is None else [clean])]
    with ExitStack() as stack:
        stack.enter_context(claimed(*outputs, inputs=inputs, folder=True))
        staged = {
            target: stack.enter_context(
                staged_folder(target, overwrite=overwrite, marker=mark, what=what)
            )
            for target, mark, what in zip(
                outputs, (JSON_FILE, DROPPED), ("report", "cleaned data set"), strict=False
            )
        }
        dataset, is_prepared = stack.enter_context(prepared(sources, source))
        on_progress = stack.enter_context(progress_bars())
        parts = names_of(splits) or ((PREPARED_SPLITS,) if is_prepared else SPLITS)
        found = audit_reference(dataset, embedder, parts, min_score=min_score, report=on_progress)
        write_tsv(staged[output] / "audit.tsv", found)
        write_audit_json(staged[output] / JSON_FILE, found)
        write_page(staged[output] / "report.html", found)
        write_flagged(staged[output] / FLAGGED, found)
        if clean is not None:
            dropped = spoiled(found.findings, clean_score)
            write_clean(dataset, staged[clean], found.records, dropped)
            typer.echo(f"{clean}: {len(dropped):,} records dropped, see {DROPPED}", err=True)
    for line in summary(found):
        typer.echo(line, err=True)
    typer.echo(str(output))


def summary(found: Audit) -> Iterator[str]:
    """Say how many findings of each kind there are, and the grades of the species."""
    from barcodemae.eval.audit.findings import KINDS
    from barcodemae.eval.audit.report.tables import summary_of

    counts = summary_of(found)
    yield f"{counts['records']:,} records, {counts['findings']:,} findings"
    for kind, count in counts["kinds"].items():
        yield f"{count:>8,}  {KINDS[kind].title}"
    grades = ", ".join(f"{grade} {count:,}" for grade, count in counts["grades"].items())
    yield f"{counts['species']:,} species by grade: {grades}"
