"""`barcodemae report`: tables of names, of one sample or of many, as one page to look at.

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
