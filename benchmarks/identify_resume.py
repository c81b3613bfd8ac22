"""Runs that are killed and resumed: python benchmarks/identify_resume.py --data DATA.

Queries are windows of real barcodes with some bases changed, one in a thousand of them unusable;
the library holds some of the references. The result does not depend on the model, so counts of
4-mers suffice if an hour of embedding is too long (`--model kmer:4`). `identify` runs once without
interruption, and once killed (SIGKILL, so that it cannot clean up) after a third and after two
thirds of the records, and resumed with `--resume`. The hashes of both outputs and of both lists of
rejected records are compared; the memory of every run and its worker processes is sampled.
"""

import hashlib
import json
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from measure import memory_of

from barcodemae import __version__
from barcodemae.dataset import COLUMNS, dataset_hash, read_splits
from barcodemae.files import write_json
from barcodemae.output.rejected import rejected_path_of


CHANGED = 0.03  # share of the bases
UNUSABLE_EVERY = 1000  # records
SECONDS_BETWEEN_SAMPLES = 0.5
RECORDS_PER_BATCH = 10_000
HELD_OUT = ("val", "val_unseen")


def write_queries(path: Path, barcodes: list[str], number: int, length: int) -> None:
    """Write windows of barcodes with some bases changed, and a few proteins."""
    generator = np.random.default_rng(0)
    letters = np.frombuffer(b"ACGT", np.uint8)
    long_enough = [np.frombuffer(t.encode(), np.uint8) for t in barcodes if len(t) > length]
    with path.open("wb") as stream:
        for start in range(0, number, RECORDS_PER_BATCH):
            size = min(RECORDS_PER_BATCH, number - start)
            rows = generator.integers(len(long_enough), size=size)
            for record, row in enumerate(rows, start=start):
                begin = int(generator.integers(len(long_enough[row]) - length))
                text = long_enough[row][begin : begin + length].copy()
                places = np.flatnonzero(generator.random(length) < CHANGED)
                text[places] = letters[generator.integers(4, size=len(places))]
                is_usable = record % UNUSABLE_EVERY != UNUSABLE_EVERY - 1
                stream.write(b">q%d\n%s\n" % (record, text.tobytes() if is_usable else b"PROTEIN"))


def write_references(data: Path, folder: Path, number: int) -> Path:
    """Copy some references of a data set, and its held-out partitions."""
    table = read_splits(data, ("train", *HELD_OUT), COLUMNS)
    is_left_out = np.array(table["split"].to_pylist()) == "train"
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(is_left_out))[:number]
    is_left_out[chosen] = False
    folder.mkdir()
    pq.write_table(table.filter(pa.array(~is_left_out)), folder / "part.parquet")
    return folder


def records_done(output: Path) -> int:
    """Return the number of records that an unfinished run has saved as done."""
    progress = output.with_name(output.name + ".progress.json")
    return int(json.loads(progress.read_text())["records"]) if progress.is_file() else 0


def run(command: Sequence[str], output: Path, kill_at: int | None = None) -> dict[str, Any]:
    """Run a command to its end, or kill it on the way.

    Args:
        command: Arguments of the command line of `identify`.
        output: Its output.
        kill_at: Number of saved records at which the process is killed; None to let it end.

    Returns:
        Time and memory of the run.

    Raises:
        SystemExit: The command failed, or ended before it could be killed.
    """
    started = time.perf_counter()
    process = psutil.Popen(command, stderr=subprocess.DEVNULL)
    samples = []
    while process.poll() is None:
        with suppress(psutil.Error):
            samples.append(memory_of(process) / 2**20)
        if kill_at is not None and records_done(output) >= kill_at:
            process.send_signal(signal.SIGKILL)
            process.wait()
        else:
            time.sleep(SECONDS_BETWEEN_SAMPLES)
    if process.returncode != (0 if kill_at is None else -signal.SIGKILL):
        raise SystemExit(f"ended with {process.returncode}: {shlex.join(command)}")
    parts = np.array_split(np.array(samples), 10)
    return {
        "killed_at": kill_at,
        "seconds": time.perf_counter() - started,
        "memory_mib_by_tenth_of_time": [float(part.max()) if len(part) else 0.0 for part in parts],
    }


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, 16 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def main(
    data: Annotated[Path, typer.Option(help="Folder of a prepared data set.")],
    model: Annotated[str, typer.Option(help="Model folder, kmer:K, default.")] = "default",
    num_queries: Annotated[int, typer.Option(help="Number of queries.")] = 1_000_000,
    length: Annotated[int, typer.Option(help="Length of the queries, bp.")] = 100,
    references: Annotated[int, typer.Option(help="Size of the library.")] = 1000,
    threads: Annotated[int, typer.Option(help="Threads of `identify`.")] = 2,
    json_file: Annotated[Path, typer.Option("--json", help="Write the outcome.")] = Path(
        "results/identify/resume.json"
    ),
) -> None:
    """Compare an uninterrupted run with one that is killed and resumed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = write_references(data, folder / "data", references)
        program = [sys.executable, "-m", "barcodemae"]
        library = str(folder / "lib")
        subprocess.run([*program, "index", str(small), "-o", library, "--model", model], check=True)
        barcodes = read_splits(data, HELD_OUT, ("dna_barcode",))["dna_barcode"].to_pylist()
        write_queries(folder / "queries.fa", barcodes, num_queries, length)
        outputs = {name: folder / f"{name}.tsv" for name in ("whole", "killed")}
        command = [
            *(*program, "identify", str(folder / "queries.fa"), "--reference", library),
            *("--model", model, "--threads", str(threads), "-o"),
        ]
        typer.echo("without interruption ...", err=True)
        runs = [run([*command, str(outputs["whole"])], outputs["whole"])]
        for kill_at in (num_queries // 3, 2 * num_queries // 3, None):
            typer.echo(f"killed at {kill_at} ..." if kill_at else "to the end ...", err=True)
            output = outputs["killed"]
            runs.append(run([*command, str(output), "--resume"], output, kill_at))
        hashes = {
            name: {"output": hash_file(output), "rejected": hash_file(rejected_path_of(output))}
            for name, output in outputs.items()
        }
        counts = {
            name: sum(chunk.count(b"\n") for chunk in path.open("rb")) - 1
            for name, path in (
                ("rows", outputs["whole"]),
                ("rejected", rejected_path_of(outputs["whole"])),
            )
        }
    outcome = {
        "is_same": hashes["whole"] == hashes["killed"],
        "hashes": hashes,
        "records": num_queries,
        **counts,
        "length_bp": length,
        "references": references,
        "threads": threads,
        "model": Path(model).name,
        "dataset": data.resolve().name,
        "dataset_hash": dataset_hash(data),
        "version": __version__,
        "runs": runs,
        "command": f"python benchmarks/identify_resume.py --data {data.resolve().name} "
        f"--model {Path(model).name} --num-queries {num_queries} --length {length} "
        f"--references {references} --threads {threads}",
    }
    json_file.parent.mkdir(parents=True, exist_ok=True)
    write_json(json_file, outcome, indent=1)
    typer.echo(json.dumps(outcome, indent=1))
    if not outcome["is_same"] or counts["rows"] + counts["rejected"] != num_queries:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
