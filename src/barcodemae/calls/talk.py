"""How commands and calls speak to people while they work: a line, or a bar, on stderr.

In: lines and counts. Out: text on a terminal, a bar in a notebook, nothing where nobody looks.
Guarded by tests/barcodemae/calls/test_names.py.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from barcodemae.dataset import RANKS


def tell(line: str) -> None:
    """Say what takes time, on stderr."""
    typer.echo(f"barcodemae: {line}", err=True)


@contextmanager
def counting(what: str, *, wanted: bool = True) -> Iterator[Callable[[int, int | None], None]]:
    """Show how many records are done, of how many, and the time that is left.

    Args:
        what: What is done, before the bar.
        wanted: Whether to show it at all; only terminals and notebooks do.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    is_seen = console.is_terminal or console.is_jupyter
    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not (wanted and is_seen)) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def accounts(description: dict[str, Any]) -> Iterator[str]:
    """Say what became of the rows, and how many have names."""
    rows, filters = description["rows"], description["filters"]
    dropped = ", ".join(f"{name} {count:,}" for name, count in filters.items() if count)
    yield f"{rows['kept']:,} of {rows['read']:,} rows kept" + (f"; {dropped}" if dropped else "")
    labelled = description["labelled"]
    ranks = ", ".join(f"{rank} {labelled[rank]:,}" for rank in RANKS if labelled[rank])
    yield f"{labelled['any']:,} of {rows['kept']:,} records labelled" + (f": {ranks}" * bool(ranks))
