"""Exit codes of every command of this package.

In: a typer application. Out: 0 if the command succeeded; 2 for wrong usage, bad input or a problem
of the machine (disk full, file missing), reported in one line. Any other error is a bug, which
keeps its traceback (exit code 1). Guarded by tests/barcodemae/cli/test_embed_command.py.
"""

import os
import sys
from collections.abc import Sequence

import typer
from transformers.utils.logging import disable_progress_bar

from barcodemae.errors import BarcodeMAEError


def run_app(app: typer.Typer, argv: Sequence[str] | None = None) -> int:
    """Run one command of an application and return its exit code.

    Args:
        app: The application.
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
