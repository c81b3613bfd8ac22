"""Entry point of `accelerate launch -m barcodemae.eval.embed`, the program of `shards.py`.

Guarded by tests/eval/embed/test_shards.py.
"""

import typer

from barcodemae.eval.embed.shards import embed_dataset
from barcodemae.exit_codes import run_app


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(embed_dataset)
raise SystemExit(run_app(app))
