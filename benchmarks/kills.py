"""Kill commands at random moments, go on, and compare the bytes.

    python benchmarks/kills.py --count 200 --json results/files/kills.json

Every command first runs to its end. Then one command after the other is started, killed (`kill -9`)
after a random time, perhaps killed again when it goes on, and brought to its end: with `--resume`
where there is such an option, else again from the start with `--overwrite`. Its files must be those
of the first run, byte for byte. Training runs with dropout. The file of results is written after
each command and says how many kills there were so far; the same call goes on where an interrupted
one stopped.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from barcodemae import __version__
from barcodemae.dataset import SPLITS, read_splits
from barcodemae.files import write_json


MODEL = "kmer:4"
TINY = [
    "--k=3", "--hidden-size=32", "--num-hidden-layers=2", "--num-attention-heads=2",
    "--intermediate-size=64", "--decoder-hidden-size=16", "--decoder-num-hidden-layers=1",
    "--decoder-num-attention-heads=2", "--decoder-intermediate-size=32", "--dropout=0.1",
]  # fmt: skip
TRAINING = [
    "--precision=fp32", "--batch-size=8", "--max-steps=12", "--checkpoint-every=2",
    "--validate-every=6",
]  # fmt: skip
WEIGHTS = ("model.safetensors", "encoder/model.safetensors", "best/model.safetensors")
MOST_KILLS = 3  # of one run


@dataclass(frozen=True)
class Job:
    """A command that is killed.

    Attributes:
        name: Its name.
        words: Its arguments, without the output.
        output: Name of its output.
        compared: Files below the folder of the output that must be the same; all if empty.
        goes_on_by: Option by which it goes on; without `--resume` it starts again.
    """

    name: str
    words: list[str]
    output: str
    compared: tuple[str, ...] = ()
    goes_on_by: str = "--resume"

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
    simulate = ["simulate", "--species", "60", "--barcodes-per-species", "4"]
    run("prepare", *simulate, "--output", data)
    table = read_splits(Path(data), SPLITS, ("processid", "dna_barcode"))
    rows = zip(table["processid"].to_pylist(), table["dna_barcode"].to_pylist(), strict=True)
    records = "".join(f">{name}\n{letters}\n" for name, letters in rows)
    Path(queries).write_text(records + ">protein\nMKLVEEFF\n" + records.replace(">", ">again_"))
    run("index", data, "-m", MODEL, "--output", lib)
    training = ["--data", data, *TRAINING]
    run("pretrain", *training, *TINY, "--output", model)
    return [
        Job("prepare", ["prepare", *simulate], "data", goes_on_by="--overwrite"),
        Job("index", ["index", data, "-m", MODEL], "lib", goes_on_by="--overwrite"),
        Job("identify", ["identify", queries, "-r", lib, "-m", MODEL, "--threads", "2"], "out.tsv"),
        Job("pretrain", ["pretrain", *training, *TINY], "run", WEIGHTS),
        Job(
            "finetune", ["finetune", *training, "--model", model, "--rank", "genus"], "run", WEIGHTS
        ),
    ]


def run(*words: str) -> None:
    """Run a command to its end."""
    command = [sys.executable, "-m", "barcodemae", *words]
    done = subprocess.run(command, check=False, env=environment(), text=True, **QUIET)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed: {done.stderr[-2000:]}")


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
        more = [job.goes_on_by] if kills else []
        if not killed_after(job.command(folder, *more), generator.uniform(0.2, 1) * seconds):
            return kills
        kills += 1
    command = job.command(folder, job.goes_on_by)
    done = subprocess.run(command, env=environment(), check=False, text=True, **QUIET)
    if done.returncode:
        raise SystemExit(f"{job.name} cannot go on: {done.stderr[-2000:]}")
    return kills


def run_undisturbed(jobs: list[Job], folder: Path) -> dict[str, tuple[float, dict[str, str]]]:
    """Run every command to its end; return its seconds and the hashes of its files, by name."""
    outcome = {}
    for job in jobs:
        place = folder / job.name
        place.mkdir(parents=True)
        started = time.perf_counter()
        subprocess.run(job.command(place), check=True, env=environment(), **QUIET)
        outcome[job.name] = time.perf_counter() - started, job.hashes(place)
    return outcome


def kill_all(jobs: list[Job], folder: Path, outcome: dict[str, Any], json_file: Path) -> None:
    """Kill one command after the other until there were enough kills; compare what they leave.

    Args:
        jobs: The commands.
        folder: An empty folder to work in.
        outcome: The results so far, which are added to.
        json_file: File that they are written to after each command.
    """
    undisturbed = run_undisturbed(jobs, folder)
    kills = Counter(outcome["kills"])
    while kills.total() < outcome["wanted"]:
        job = jobs[outcome["rounds"] % len(jobs)]
        generator = random.Random(f"{outcome['seed']} {outcome['rounds']}")
        place = folder / "killed"
        place.mkdir()
        seconds, expected = undisturbed[job.name]
        kills[job.name] += kill_and_finish(job, place, seconds, generator)
        if job.hashes(place) != expected:
            outcome["different"].append(f"{job.name}, after kill {kills.total()}")
        shutil.rmtree(place)
        outcome |= {"rounds": outcome["rounds"] + 1, "kills": dict(kills)}
        write_json(json_file, outcome, indent=1)
        typer.echo(f"\r{kills.total()} of {outcome['wanted']} kills", nl=False, err=True)
    typer.echo("", err=True)


def start(json_file: Path, count: int, seed: int) -> dict[str, Any]:
    """Return the results of an interrupted call of the same version and seed, or none so far."""
    outcome = {"version": __version__, "seed": seed, "rounds": 0, "kills": {}, "different": []}
    if json_file.exists():
        stored = json.loads(json_file.read_text())
        if (stored["version"], stored["seed"]) == (__version__, seed):
            outcome = stored
    command = f"python benchmarks/kills.py --count {count} --seed {seed}"
    return outcome | {"wanted": count, "command": command}


def main(
    json_file: Annotated[Path, typer.Option("--json", help="File of the results.")],
    count: Annotated[int, typer.Option(help="Number of kills.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the moments.")] = 0,
) -> None:
    """Kill commands, go on, and compare bytes."""
    outcome = start(json_file, count, seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kill_all(make_jobs(folder), folder / "work", outcome, json_file)
    typer.echo(json.dumps(outcome, indent=1))
    if outcome["different"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
