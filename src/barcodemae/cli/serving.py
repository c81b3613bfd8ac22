"""`barcodemae serve`: names of barcodes over HTTP.

Guarded by tests/barcodemae/cli/test_serve_command.py.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from barcodemae.calls.talk import tell
from barcodemae.cli import options
from barcodemae.cli.help.command_help import add_command
from barcodemae.default_model import DEFAULT_MODEL


NEEDED = ("fastapi", "uvicorn", "prometheus_client")
TOKEN = "BARCODEMAE_TOKEN"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "serve", serve)


def serve(
    *,
    library: Annotated[
        Path,
        typer.Option("--library", "-r", metavar="LIB", help="Library made by `index`, or `demo`."),
    ],
    host: Annotated[str, typer.Option(help="Interface to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    model: options.Model = DEFAULT_MODEL,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that compute; 0 for one per core.")
    ] = 0,
    max_megabytes: Annotated[int, typer.Option(min=1, help="Largest body of a request.")] = 16,
    max_records: Annotated[int, typer.Option(min=1, help="Most records of a request.")] = 10_000,
    max_waiting: Annotated[
        int, typer.Option(min=1, help="Most waiting records; beyond it, 503.")
    ] = 50_000,
    time_limit: Annotated[float, typer.Option(min=1, help="Seconds for a request.")] = 300.0,
    batch_size: options.BatchSize = 64,
) -> None:
    """Name barcodes that other programs send over HTTP."""
    from barcodemae.errors import SettingsError

    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise SettingsError(f"{', '.join(missing)} not installed: pip install 'barcodemae[server]'")
    token = os.environ.get(TOKEN, "")
    if host not in LOOPBACK and not token:
        raise SettingsError(f"--host {host} opens the server to others: set a token in {TOKEN}")
    from barcodemae.demonstration.names import resolve_reference
    from barcodemae.eval.embed.loading import ModelOptions
    from barcodemae.eval.embed.threads import default_threads
    from barcodemae.eval.identify.identification import IdentifyOptions
    from barcodemae.serving.app import Limits, make_app
    from barcodemae.serving.server import bind, run
    from barcodemae.serving.workers import Opened, Workers

    opening = ModelOptions().lightest(model)
    opened = Opened(
        library=resolve_reference(library, lambda: opening.load(model), say=tell),
        model=model,
        options=IdentifyOptions(),
        batch_size=batch_size,
    )
    listening = bind(host, port)
    identifier = opened.identifier()
    count = workers or default_threads()
    computing = Workers(opened, count)
    limits = Limits(
        max_bytes=max_megabytes * 2**20,
        max_records=max_records,
        max_waiting=max_waiting,
        seconds=time_limit,
        token=token,
    )
    try:
        computing.wait_until_ready()
        run(make_app(identifier, computing, count, limits), listening, tell)
    finally:
        computing.close()
