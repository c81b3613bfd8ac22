"""Run commands in one process a thousand times: memory, open files and threads must stay flat.

    python benchmarks/repeated.py --runs 1000 --json results/files/repeated.json

`embed`, `identify` and `cluster` take turns on a few simulated barcodes. Ten times on the way
the process is measured.
"""

import json
import tempfile
import threading
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Annotated

import psutil
import typer

from barcodemae import __version__, cli
from barcodemae.dataset import SPLITS, read_splits
from barcodemae.files import write_json


MODEL = "kmer:4"
NUM_QUERIES = 20
SAMPLES = 10


def run(*words: str) -> None:
    """Run a command in this process, in silence."""
    with redirect_stderr(StringIO()) as said:
        code = cli.main([*words])
    if code != 0:
        raise SystemExit(f"{' '.join(words)} ended with {code}: {said.getvalue()[-2000:]}")


def make_commands(folder: Path) -> list[list[str]]:
    """Make a library and queries, and list the commands that take turns."""
    data, lib, queries = (str(folder / name) for name in ("data", "lib", "q.fasta"))
    counts = ("--species", "60", "--barcodes-per-species", "6")
    run("prepare", "simulate", *counts, "--output", data)
    run("index", data, "-m", MODEL, "--output", lib)
    table = read_splits(Path(data), SPLITS, ("processid", "dna_barcode"))
    pairs = zip(table["processid"].to_pylist(), table["dna_barcode"].to_pylist(), strict=True)
    records = [f">{name}\n{letters}\n" for name, letters in pairs]
    Path(queries).write_text("".join(records[:NUM_QUERIES]))
    return [
        ["embed", queries, "-m", MODEL, "-o", str(folder / "v.tsv")],
        ["identify", queries, "-r", lib, "-m", MODEL, "-o", str(folder / "out.tsv")],
        ["cluster", queries, "-m", MODEL, "-o", str(folder / "units.tsv")],
    ]


def measure(process: psutil.Process, runs: int) -> dict[str, float]:
    """Measure this process after a number of runs."""
    return {
        "runs": runs,
        "memory_mib": round(process.memory_info().rss / 2**20, 1),
        "open_files": process.num_fds(),
        "threads": threading.active_count(),
        "threads_of_the_system": process.num_threads(),
    }


def main(
    json_file: Annotated[Path, typer.Option("--json", help="File of the results.")],
    runs: Annotated[int, typer.Option(help="Number of runs.")] = 1000,
) -> None:
    """Run commands many times and watch the process."""
    process, samples = psutil.Process(), []
    with tempfile.TemporaryDirectory() as name:
        commands = make_commands(Path(name))
        for number in range(1, runs + 1):
            run(*commands[number % len(commands)])
            if number % max(1, runs // SAMPLES) == 0:
                samples.append(measure(process, number))
                typer.echo(json.dumps(samples[-1]), err=True)
    command = f"python benchmarks/repeated.py --runs {runs}"
    outcome = {"version": __version__, "command": command, "samples": samples}
    write_json(json_file, outcome, indent=1)
    typer.echo(json.dumps(outcome, indent=1))


if __name__ == "__main__":
    typer.run(main)
