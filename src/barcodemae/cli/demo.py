"""`barcodemae demo`: everything once, without data or network.

Guarded by tests/barcodemae/test_demo.py.
"""

from pathlib import Path
from typing import Annotated

import typer

from barcodemae.cli import options
from barcodemae.cli.command_help import add_command


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "demo", demo)


def demo(
    *,
    output: options.OutputFolder = Path("out/demo"),
    seed: options.Seed = 0,
    max_steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 300,
    num_species: Annotated[int, typer.Option(help="Species in the simulated tree.")] = 320,
) -> None:
    """Simulate barcodes, pre-train a tiny model, probe it, and load it back."""
    from rich.console import Console

    from barcodemae.demo import DemoSettings, make_table, next_commands, run_demo, verdict

    talk = Console(stderr=True)
    settings = DemoSettings(seed=seed, max_steps=max_steps, num_species=num_species)
    records = run_demo(output, settings, lambda line: talk.print(f"[bold]{line}[/bold] ..."))
    result = Console()
    result.print(make_table(records))
    lines = [*verdict(records), "Next, try:", *(f"  {line}" for line in next_commands(output))]
    typer.echo("\n".join(lines))
