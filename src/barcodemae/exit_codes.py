"""Exit codes of every command of this package.

In: a typer application. Out: 0 if the command succeeded; 2 for wrong usage, bad input or a problem
of the machine (disk full, file missing), reported in one line. Any other error is a bug, which
keeps its traceback (exit code 1). Guarded by tests/barcodemae/cli/test_embed_command.py.
"""

import os
import sys
import warnings
from collections.abc import Sequence

import typer

from barcodemae.errors import BarcodeMAEError, DataWarning


# Module -> its function that hides the bar it draws for every file it reads, writes or downloads.
BARS = {
    "huggingface_hub.utils": "disable_progress_bars",
    "transformers.utils.logging": "disable_progress_bar",
}


def hide_foreign_bars() -> None:
    """Hide the progress bars of transformers and huggingface_hub; commands show their own.

    Both ask the environment when they are imported; what is imported already is told.
    """
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    for module, function in BARS.items():
        if module in sys.modules:
            getattr(sys.modules[module], function)()


def say_warnings_in_one_line() -> None:
    """Show warnings about data like other talk; the place in the code is of no use to anyone."""
    format_others = warnings.formatwarning

    def say(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        line: str | None = None,
    ) -> str:
        if issubclass(category, DataWarning):
            return f"barcodemae: warning: {message}\n"
        return format_others(message, category, filename, lineno, line)

    if format_others.__name__ != say.__name__:
        warnings.formatwarning = say


def run_app(app: typer.Typer, argv: Sequence[str] | None = None) -> int:
    """Run one command of an application and return its exit code.

    Args:
        app: The application.
        argv: Arguments without the program name; `sys.argv[1:]` if None.

    Returns:
        The exit code.
    """
    hide_foreign_bars()
    say_warnings_in_one_line()
    try:
        app(args=list(sys.argv[1:] if argv is None else argv))
    except SystemExit as stop:  # typer's own way out: 0, or 2 with a message on wrong usage
        # Where the reader of our output left (`| head`), typer has closed it and says 1.
        return 0 if isinstance(stop.__context__, BrokenPipeError) else int(stop.code or 0)
    except (BarcodeMAEError, OSError) as error:
        typer.echo(f"barcodemae: error: {error}", err=True)
        return 2
    return 0
