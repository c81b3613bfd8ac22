"""The command line: parsing and exit codes, nothing else.

One file per group of commands, each with a `register(app)`; options that several of them have are
in `options.py`, and what help says beside options is in `help/guide.py`. A command imports what it
needs when it runs, so that `--help` and mistakes cost no seconds. Data goes to stdout or to `-o`,
talk to stderr. Exit codes: 0 done, 1 a bug (with traceback), 2 wrong usage, bad input or a machine
that cannot (disk full, file missing), said in one line, 130 interrupted.
Guarded by tests/barcodemae/cli/.
"""

from collections.abc import Sequence
from types import ModuleType

import typer

from barcodemae import __version__
from barcodemae.cli import (
    auditing,
    clustering,
    data,
    demo,
    embedding,
    framing,
    identification,
    indexing,
    models,
    probing,
    publishing,
    reporting,
    serving,
    training,
)
from barcodemae.exit_codes import run_app, run_program


app = typer.Typer(
    name="barcodemae",
    help="Masked auto-encoders for DNA barcodes: embed, identify, pre-train, probe.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMAND_GROUPS: tuple[ModuleType, ...] = (
    data,
    embedding,
    framing,
    indexing,
    auditing,
    identification,
    reporting,
    clustering,
    serving,
    models,
    probing,
    publishing,
    training,
    demo,
)
for group in COMMAND_GROUPS:
    group.register(app)


def show_version(value: bool) -> None:
    """Print the version and stop."""
    if value:
        typer.echo(f"barcodemae {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(
        False, "--version", callback=show_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Options that come before the command."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one `barcodemae` command; see `run_app`."""
    return run_app(app, argv)


def run() -> None:
    """Entry point of the console script."""
    run_program(app)
