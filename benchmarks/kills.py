"""Kill commands at random moments, go on, and compare the bytes; run one process a thousand times.

    python benchmarks/kills.py --count 200 --runs 1000 --json results/kills.json

Every command first runs to its end. Then one command after the other is started, killed (`kill -9`)
after a random time, perhaps killed again when it goes on, and brought to its end: with `--resume`
where there is such an option, else by starting again. Its files must be those of the first run,
byte for byte. Training runs with dropout. The second part runs `embed`, `identify` and `cluster` in
one process again and again, and watches its memory, open files and threads.
"""

import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from barcodemae import __version__, cli
from barcodemae.dataset import SPLITS, read_splits
from barcodemae.files import write_json


MODEL = "kmer:4"
TINY = [
    "--k=3", "--hidden-size=32", "--num-hidden-layers=2", "--num-attention-heads=2",
    "--intermediate-size=64", "--decoder-hidden-size=16", "--decoder-num-hidden-layers=1",
    "--decoder-num-attention-heads=2", "--decoder-intermediate-size=32", "--dropout=0.1",
]  # fmt: skip
TRAINING = [
    "--precision=fp32", "--batch-size=8", "--max-steps=60", "--checkpoint-every=4",
    "--validate-every=20",
]  # fmt: skip
WEIGHTS = ("model.safetensors", "encoder/model.safetensors", "best/model.safetensors")
MOST_KILLS = 3  # of one run
SAMPLES = 10  # of a process that runs commands again and again


@dataclass(frozen=True)
class Job:
    """A command that is killed.

    Attributes:
        name: Its name.
        words: Its arguments, without the output.
        output: Name of its output.
        compared: Files below the folder of the output that must be the same; all if empty.
        can_resume: Whether it has `--resume`.
    """

    name: str
    words: list[str]
    output: str
    compared: tuple[str, ...] = ()
    can_resume: bool = False

    def command(self, folder: Path, *more: str) -> list[str]:
        """Return the command line that writes into a folder."""
        output = str(folder / self.output)
        return [sys.executable, "-m", "barcodemae", *self.words, "--output", output, *more]

    def hashes(self, folder: Path) -> dict[str, str]:
        """Hash the files that it has written into a folder."""
        place = folder / self.output if self.compared else folder
        names = self.compared or sorted(
            str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()
        )
        return {name: hash_file(place / name) for name in names if not is_hidden(Path(name))}


def is_hidden(name: Path) -> bool:
    """Whether a file is one that a killed process may leave, which nothing reads."""
    return any(part.startswith(".") for part in name.parts)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hex digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"


def make_jobs(folder: Path) -> list[Job]:
    """Make a data set, queries, a library and a model, and list the commands."""
    data, queries, lib, model = (str(folder / name) for name in ("data", "q.fasta", "lib", "model"))
    simulate = ["simulate", "--species", "60", "--barcodes-per-species", "6"]
    run("prepare", *simulate, "--output", data)
    table = read_splits(Path(data), SPLITS, ("processid", "dna_barcode"))
    rows = zip(table["processid"].to_pylist(), table["dna_barcode"].to_pylist(), strict=True)
    records = "".join(f">{name}\n{letters}\n" for name, letters in rows)
    Path(queries).write_text(records + ">protein\nMKLVEEFF\n" + records.replace(">", ">again_"))
    run("index", data, "-m", MODEL, "--output", lib)
    training = ["--data", data, *TRAINING]
    run("pretrain", *training, *TINY, "--output", model)
    return [
        Job("prepare", ["prepare", *simulate], "data"),
        Job("index", ["index", data, "-m", MODEL], "lib"),
        Job(
            "identify",
            ["identify", queries, "-r", lib, "-m", MODEL, "--threads", "2"],
            "out.tsv",
            can_resume=True,
        ),
        Job("pretrain", ["pretrain", *training, *TINY], "run", WEIGHTS, can_resume=True),
        Job(
            "finetune",
            ["finetune", *training, "--model", model, "--rank", "genus"],
            "run",
            WEIGHTS,
            can_resume=True,
        ),
    ]


def run(*words: str) -> None:
    """Run a command to its end."""
    subprocess.run(
        [sys.executable, "-m", "barcodemae", *words], check=True, env=environment(), **QUIET
    )


def environment() -> dict[str, str]:
    """Return the environment: one thread, as sums over more round differently."""
    return os.environ | {"OMP_NUM_THREADS": "1"}


QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}


def killed_after(command: list[str], seconds: float) -> bool:
    """Start a command and kill it after some time; return whether it was still running."""
    process = subprocess.Popen(command, env=environment(), start_new_session=True, **QUIET)
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    return False


def kill_and_finish(job: Job, folder: Path, seconds: float, generator: random.Random) -> int:
    """Kill a run some times at random moments and bring it to its end.

    Returns:
        Number of kills that met it running.

    Raises:
        SystemExit: It cannot be brought to its end.
    """
    kills = 0
    for _ in range(generator.randint(1, MOST_KILLS)):
        more = ["--resume"] if job.can_resume and kills else []
        if not killed_after(job.command(folder, *more), generator.uniform(0.2, 1) * seconds):
            return kills
        kills += 1
    more = ["--resume"] if job.can_resume else []
    done = subprocess.run(
        job.command(folder, *more), env=environment(), check=False, text=True, **QUIET
    )
    if done.returncode:
        raise SystemExit(f"{job.name} cannot go on: {done.stderr[-2000:]}")
    return kills


def kill_all(jobs: list[Job], folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Kill random commands until there were `count` kills, and compare what they leave in the end.

    Args:
        jobs: The commands.
        folder: An empty folder to work in.
        count: Number of kills.
        seed: Seed of commands and moments.
    """
    generator = random.Random(seed)
    expected, seconds = {}, {}
    for job in jobs:
        started = time.perf_counter()
        subprocess.run(job.command(folder / job.name), check=True, env=environment(), **QUIET)
        seconds[job.name] = time.perf_counter() - started
        expected[job.name] = job.hashes(folder / job.name)
    kills: Counter[str] = Counter()
    different = []
    for job in itertools.cycle(jobs):
        if kills.total() >= count:
            break
        place = folder / "killed"
        place.mkdir()
        kills[job.name] += kill_and_finish(job, place, seconds[job.name], generator)
        if job.hashes(place) != expected[job.name]:
            different.append(f"{job.name}, after kill {kills.total()}")
        shutil.rmtree(place)
        typer.echo(f"\r{kills.total()} of {count} kills", nl=False, err=True)
    typer.echo("", err=True)
    return {"kills": dict(kills), "different": different, "seed": seed}


def run_often(folder: Path, queries: Path, lib: Path, runs: int) -> list[dict[str, float]]:
    """Run commands in this process again and again, and measure it ten times on the way."""
    commands = [
        ["embed", str(queries), "-m", MODEL, "-o", str(folder / "v.tsv")],
        ["identify", str(queries), "-r", str(lib), "-m", MODEL, "-o", str(folder / "out.tsv")],
        ["cluster", str(queries), "-m", MODEL, "-o", str(folder / "units.tsv")],
    ]
    process, samples = psutil.Process(), []
    for number in range(runs):
        with redirect_stderr(StringIO()):
            assert cli.main([*commands[number % len(commands)]]) == 0
        if (number + 1) % max(1, runs // SAMPLES) == 0:
            samples.append(
                {
                    "runs": number + 1,
                    "memory_mib": round(process.memory_info().rss / 2**20, 1),
                    "open_files": process.num_fds(),
                    "threads": threading.active_count(),
                }
            )
    return samples


def main(
    count: Annotated[int, typer.Option(help="Number of kills.")] = 200,
    runs: Annotated[int, typer.Option(help="Runs in one process; 0 for none.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of commands and moments.")] = 0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the outcome here, too.")
    ] = None,
) -> None:
    """Kill commands and compare bytes; run one process many times and watch it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        jobs = make_jobs(folder)
        work = folder / "work"
        for job in jobs:
            (work / job.name).mkdir(parents=True)
        outcome: dict[str, Any] = kill_all(jobs, work, count, seed)
        few = folder / "few.fasta"
        few.write_text("".join((folder / "q.fasta").read_text().splitlines(keepends=True)[:40]))
        outcome["runs_in_one_process"] = run_often(folder, few, folder / "lib", runs)
    outcome |= {
        "version": __version__,
        "command": f"python benchmarks/kills.py --count {count} --runs {runs} --seed {seed}",
    }
    if json_file is not None:
        write_json(json_file, outcome, indent=1)
    typer.echo(json.dumps(outcome, indent=1))
    if outcome["different"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
