"""Make the demonstration set anew: references.fasta.gz and queries.fasta.

    python -m barcodemae.demonstration.making DATA --out FOLDER

DATA is a prepared data set with the column `record_id`; the README of the demonstration set says
which one the shipped files come from. Guarded by tests/barcodemae/demonstration/test_making.py.
"""

from pathlib import Path

import typer

from barcodemae.demonstration.making.files import write_set
from barcodemae.exit_codes import run_app


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def make(
    data: Path = typer.Argument(help="A prepared data set with the column `record_id`."),
    *,
    out: Path = typer.Option(..., "--out", "-o", help="Folder for the two files."),
) -> None:
    """Choose references and queries among the barcodes of a data set."""
    write_set(data, out)


raise SystemExit(run_app(app))
