"""`barcodemae demo`: everything once, without data or network.

Guarded by tests/barcodemae/test_demo.py.
"""

from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    *,
    out: Path = typer.Option(Path("out/demo"), "--out", "-o", help="Folder for what it leaves."),
    seed: int = typer.Option(0, help="Seed of the data and the model."),
    max_steps: int = typer.Option(300, min=1, help="Optimiser steps."),
    num_species: int = typer.Option(320, help="Species in the simulated tree."),
) -> None:
    """Simulate barcodes, pre-train a tiny model, probe it, and load it back."""
    from rich.console import Console

    from barcodemae.demo import DemoSettings, make_table, next_commands, run_demo, verdict

    talk = Console(stderr=True)
    settings = DemoSettings(seed=seed, max_steps=max_steps, num_species=num_species)
    records = run_demo(out, settings, lambda line: talk.print(f"[bold]{line}[/bold] ..."))
    result = Console()
    result.print(make_table(records))
    lines = [*verdict(records), "Next, try:", *(f"  {line}" for line in next_commands(out))]
    typer.echo("\n".join(lines))
