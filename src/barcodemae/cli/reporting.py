"""`barcodemae report` and `merge`: tables of names as one page, and what shards wrote as one file.

Guarded by tests/barcodemae/cli/test_report_command.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from barcodemae.cli.help.command_help import add_command


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "report", report)
    add_command(app, "merge", merge)


def report(
    tables: Annotated[
        list[Path], typer.Argument(metavar="TSV...", help="Tables that `identify` wrote.")
    ],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="HTML", help="Web page to write.")
    ],
) -> None:
    """Draw what `identify` found as one self-contained web page."""
    from barcodemae.eval.identify.overview.page import check_page, write_overview
    from barcodemae.output.places import claimed
    from barcodemae.output.rejected import is_list

    check_page(output)
    with claimed(output, inputs=tables):
        # A pattern such as *.tsv finds the lists of rejected records too; each is read beside its
        # table.
        tally = write_overview([path for path in tables if not is_list(path)], output)
    number = sum(counts.outcomes.total() for counts in tally.records.values())
    typer.echo(f"barcodemae: {number} records of {len(tally.records)} samples: {output}", err=True)


def merge(
    tables: Annotated[
        list[Path],
        typer.Argument(
            metavar="TABLE...", help="What `identify` or `embed` with --shard wrote, all of N."
        ),
    ],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Table to write.")],
) -> None:
    """Put the tables of all shards together; what is missing or double is refused."""
    from barcodemae.output.places import claimed
    from barcodemae.output.rejected import check_list, rejected_path_of
    from barcodemae.output.shards import (
        EMBED,
        Join,
        Note,
        files_of,
        join_rows,
        merge_tables,
        tables_among,
    )

    chosen = tables_among(tables)  # a pattern such as names.* finds what lies beside them too
    join: Join = join_rows
    if chosen and Note.read(chosen[0]).written_by == EMBED:
        from barcodemae.eval.embed.vector_files import join_vectors

        join = join_vectors
    check_list(rejected_path_of(output))
    with claimed(*files_of(output), inputs=chosen):
        total = merge_tables(chosen, output, join)
    typer.echo(f"barcodemae: {total} records of {len(chosen)} shards: {output}", err=True)
