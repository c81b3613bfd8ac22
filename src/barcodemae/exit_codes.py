"""Exit codes of every command of this package.

In: a typer application. Out: 0 if the command succeeded; 2 for wrong usage, bad input or a problem
of the machine (disk full, file missing), reported in one line. Any other error is a bug, which
keeps its traceback (exit code 1). A reader that leaves (`| head`) is no error: exit code 0. An
interrupt (Ctrl-C) is said in one line with how to go on, exit code 130 as the shell expects.
Guarded by tests/barcodemae/test_exit_codes.py.
"""

import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress

import typer

from barcodemae.errors import BarcodeMAEError, DataWarning
from barcodemae.files import remove_unfinished


# Module -> its function that hides the bar it draws for every file it reads, writes or downloads.
BARS = {
    "huggingface_hub.utils": "disable_progress_bars",
    "transformers.utils.logging": "disable_progress_bar",
}
# What the light distribution lacks, by the names of the modules.
FULL_ONLY = (
    "torch", "transformers", "tokenizers", "datasets", "accelerate", "evaluate", "sklearn", "scipy",
    "pandas", "matplotlib", "umap", "plotly", "msprime", "tskit", "jinja2",
)  # fmt: skip
LIGHT = (
    "this needs {}, which the light installation lacks: pip uninstall barcodemae-light, then "
    "pip install barcodemae"
)
INTERRUPTED = 130  # 128 and the number of SIGINT
SECONDS_TO_STOP = 1.5  # after an interrupt, for a command that computes without a break


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
        if isinstance(stop.__context__, BrokenPipeError):
            return 0  # the reader of our output left (`| head`): typer has closed it and says 1
        if interrupt := interrupt_behind(stop):
            typer.echo(f"barcodemae: {with_notes('interrupted', interrupt)}", err=True)
            return INTERRUPTED
        return int(stop.code or 0)
    except (BarcodeMAEError, OSError) as error:
        typer.echo(f"barcodemae: error: {printable(with_notes(str(error), error))}", err=True)
        return 2
    except ModuleNotFoundError as error:
        lacking = (error.name or "").partition(".")[0]
        if lacking not in FULL_ONLY:
            raise
        typer.echo(f"barcodemae: error: {LIGHT.format(lacking)}", err=True)
        return 2
    return 0


def interrupt_behind(error: BaseException) -> KeyboardInterrupt | None:
    """Find the interrupt that made typer stop, if it was one."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__ or cause.__context__
    return cause


def printable(text: str) -> str:
    """Write what a terminal may not take, such as bytes of a file that are not UTF-8, as codes."""
    return text.encode("utf-8", "backslashreplace").decode()


def with_notes(text: str, error: BaseException) -> str:
    """Add to a message what was noted in its error on the way, such as how to go on."""
    return "; ".join([text, *getattr(error, "__notes__", ())])


def run_program(app: typer.Typer) -> None:
    """Run one command as a program of its own, and end the process with its exit code.

    An interrupt ends it within two seconds, whatever its threads compute: files appear whole or
    not at all, so nothing is lost by it.
    """
    open_closed_streams()
    end_soon_when_interrupted()
    code = run_app(app)
    if code == INTERRUPTED:
        end_now(code)
    sys.exit(code)


def open_closed_streams() -> None:
    """Open standard streams that the caller has closed (`>&-`), so that no file takes their place.

    What is written to them goes nowhere.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def end_soon_when_interrupted() -> None:
    """Start a thread that ends the process some time after an interrupt that it does not heed."""
    if threading.current_thread() is not threading.main_thread() or os.name != "posix":
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def watch() -> None:
        while signal.SIGINT not in os.read(reader, 64):
            pass
        time.sleep(SECONDS_TO_STOP)
        remove_unfinished()
        with suppress(OSError, ValueError):
            os.write(2, b"barcodemae: interrupted\n")
        os._exit(INTERRUPTED)

    threading.Thread(target=watch, daemon=True).start()


def end_now(code: int) -> None:
    """End the process without waiting for its threads."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
