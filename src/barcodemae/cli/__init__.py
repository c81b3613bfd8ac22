"""The command line: parsing and exit codes, nothing else.

One file per group of commands, each with a `register(app)`; a command imports what it needs when
it runs, so that `--help` stays quick. Data goes to stdout or to
`-o`, talk to stderr. Exit codes: 0 done, 1 a bug (with traceback), 2 wrong usage, bad input or a
machine that cannot (disk full, file missing), said in one line. Guarded by tests/cli/.
"""

import os
import sys
from collections.abc import Sequence
from types import ModuleType

import typer
from transformers.utils.logging import disable_progress_bar

from barcodemae import __version__
from barcodemae.cli import (
    data,
    demo,
    embedding,
    identification,
    models,
    probing,
    publishing,
    training,
)
from barcodemae.errors import BarcodeMAEError


app = typer.Typer(
    name="barcodemae",
    help="Masked auto-encoders for DNA barcodes: embed, identify, pre-train, probe.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMAND_GROUPS: tuple[ModuleType, ...] = (
    data,
    embedding,
    identification,
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


def run_app(app: typer.Typer, argv: Sequence[str] | None = None) -> int:
    """Run one command of `app` and turn what happens into an exit code.

    Args:
        app: The commands.
        argv: Arguments without the program name; `sys.argv[1:]` if None.

    Returns:
        The exit code.
    """
    # transformers draws a bar for every file it reads or writes; commands show their own.
    disable_progress_bar()
    try:
        app(args=list(sys.argv[1:] if argv is None else argv))
    except SystemExit as stop:  # typer's own way out: 0, or 2 with a message on wrong usage
        return int(stop.code or 0)
    except BrokenPipeError:
        # The reader of our output left (`| head`); closing quietly is what Unix tools do.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (BarcodeMAEError, OSError) as error:
        typer.echo(f"barcodemae: error: {error}", err=True)
        return 2
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run one `barcodemae` command; see `run_app`."""
    return run_app(app, argv)


def run() -> None:
    """Entry point of the console script."""
    sys.exit(main())
