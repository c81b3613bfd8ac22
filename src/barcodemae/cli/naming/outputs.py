"""Outputs of `identify`: the table, the candidates, the counts and the page, checked and opened.

In: what the user named. Out: open files, and errors before anything is computed.
Guarded by tests/barcodemae/cli/test_identification_commands.py.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Iterator

    from barcodemae.eval.embed.embedder import Embedder
    from barcodemae.eval.identify.formats import Format
    from barcodemae.eval.identify.identification import IdentifyOptions
    from barcodemae.eval.identify.reference.library import ReferenceLibrary
    from barcodemae.eval.identify.resumable import ResultSink
    from barcodemae.eval.identify.summary import Summary


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
