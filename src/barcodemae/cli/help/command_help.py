"""Put a command on the command line together with help that helps.

In: a command and what `guide.py` says about it. Out: help that is its first sentence, the rest of
its docstring, how to choose options, the options, and examples. Guarded by
tests/barcodemae/cli/test_help.py.
"""

import functools
import inspect
import math
import textwrap
from collections.abc import Callable
from typing import Any

import typer

from barcodemae.cli.help.guide import GUIDES
from barcodemae.errors import SettingsError


WIDTH = 76  # of a terminal's 80 columns; typer indents by two


def add_command(app: typer.Typer, name: str, command: Callable[..., Any]) -> None:
    """Add a command whose help is its docstring, how to choose options, and examples."""
    guide = GUIDES[name]
    first, *others = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    blocks = [first, *(as_written(wrapped(text)) for text in [*others, guide.choosing])]
    lines = (line for what, example in guide.examples for line in (f"  # {what}", f"  {example}"))
    examples = as_written("\n".join(["Examples:", *lines]))
    add = app.command(name, help="\n\n".join(blocks), short_help=guide.summary, epilog=examples)
    add(with_finite_numbers(command))


def with_finite_numbers(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command refuse options that are NaN or infinite, which no option can mean."""

    @functools.wraps(command)
    def checked(**given: Any) -> Any:
        for name, value in given.items():
            if isinstance(value, float) and not math.isfinite(value):
                option = name.replace("_", "-")
                raise SettingsError(f"--{option} must be a finite number, got {value}")
        return command(**given)

    return checked


def wrapped(text: str) -> str:
    """Break prose into lines, but never an option at its hyphens."""
    return textwrap.fill(" ".join(text.split()), WIDTH, break_on_hyphens=False)


def as_written(block: str) -> str:
    """Mark a block of lines so that typer leaves them as they are."""
    return f"\b\n{block}"
