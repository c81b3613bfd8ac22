"""`barcodemae demo`: everything once, without data or network.

Guarded by tests/barcodemae/demonstration/test_tour.py.
"""

from pathlib import Path
from typing import Annotated

import typer

from barcodemae.cli import options
from barcodemae.cli.help.command_help import add_command
from barcodemae.default_model import DEFAULT_MODEL


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "demo", demo)


def demo(
    *,
    output: options.OutputFolder = Path("out/demo"),
    model: options.Model = DEFAULT_MODEL,
    seed: options.Seed = 0,
    max_steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 300,
    num_species: Annotated[int, typer.Option(help="Species in the simulated tree.")] = 320,
) -> None:
    """Name real barcodes with the bundled model; then simulate, pre-train, probe and load back."""
    from rich.console import Console

    from barcodemae.demonstration import first_look
    from barcodemae.demonstration import tour as steps
    from barcodemae.output.places import claimed

    talk, result = Console(stderr=True), Console()
    settings = steps.DemoSettings(seed=seed, max_steps=max_steps, num_species=num_species)

    def say(line: str) -> None:
        talk.print(f"[bold]{line}[/bold] ...")

    with claimed(output, folder=True):
        steps.make_room(output)
        named = steps.name_real_barcodes(output, model, say)
        result.print(first_look.make_table(named))
        typer.echo("\n".join([*first_look.summarise(named), ""]))
        records = steps.run_demo(output, settings, say)
        result.print(steps.make_table(records))
    lines = [*steps.verdict(records), steps.MEANING]
    lines += ["Next, try:", *(f"  {line}" for line in steps.next_commands(output))]
    typer.echo("\n".join(lines))
