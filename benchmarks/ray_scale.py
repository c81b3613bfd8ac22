"""A Ray cluster of one and of two nodes on this machine: python benchmarks/ray_scale.py --data DIR.

Reads are simulated: barcodes of the data set with some bases changed. The command is run by one
process, then on a cluster of one and of two nodes with one core each (both on this machine, in one
process tree), less the time of the same command on one read. In further runs on two nodes a worker
is killed in the middle, and the driver is killed and started again. All outputs are compared byte
by byte with that of the single process. On a busy machine rates say little, and two nodes on two
cores that others use as well are no faster than those leave them.

Then the driver's own work is measured part by part, without workers: cutting text into blocks,
hashing them, pickling, keeping and reading results. From that and the rate of a worker follows a
plan for 100 million reads on 64 nodes, which is calculated, not run.
Guarded by tests/docs/test_ray_page.py.
"""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import typer
from identify_scale import change_bases

from barcodemae.dataset import read_splits
from barcodemae.distributed.blocks import RECORDS_PER_BLOCK, blocks_of
from barcodemae.distributed.shards import Result, ShardFolder, folder_beside, key_of
from barcodemae.fasta import read_records
from barcodemae.files import write_json


PROGRAM = (sys.executable, "-m", "barcodemae")
STORE_BYTES = 200_000_000  # of each node
PLANNED_READS, PLANNED_NODES, CORES_PER_NODE = 100_000_000, 64, 16
SECONDS_BETWEEN_LOOKS = 0.2
LINE_BYTES = 450  # of a row of names


def write_reads(path: Path, barcodes: list[str], count: int) -> None:
    """Write simulated reads as FASTA."""
    generator = np.random.default_rng(0)
    with path.open("w") as stream:
        for start in range(0, count, RECORDS_PER_BLOCK):
            numbers = range(start, min(start + RECORDS_PER_BLOCK, count))
            changed = change_bases([barcodes[n % len(barcodes)] for n in numbers], generator)
            stream.writelines(
                f">read{n}\n{text}\n" for n, text in zip(numbers, changed, strict=True)
            )


@contextmanager
def cluster(num_nodes: int) -> Iterator[str]:
    """Give the address of a cluster whose nodes have one core each; its head computes nothing."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    shared = {"object_store_memory": STORE_BYTES, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **shared})
    try:
        for _ in range(num_nodes):
            nodes.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
        nodes.wait_for_nodes()
        yield nodes.address
    finally:
        nodes.shutdown()


def run(command: Sequence[str], output: Path, *more: str) -> float:
    """Run a command and return its seconds."""
    started = time.perf_counter()
    subprocess.run([*command, "-o", str(output), *more], check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def finished(output: Path) -> list[Path]:
    """List the finished shards of an output."""
    return sorted(folder_beside(output).glob("[0-9]*.npz"))


def wait_for_shards(output: Path, count: int, driver: subprocess.Popen[bytes]) -> None:
    """Wait until some shards are finished, or the driver is."""
    while len(finished(output)) < count and driver.poll() is None:
        time.sleep(SECONDS_BETWEEN_LOOKS)


def begin(command: Sequence[str], output: Path, address: str) -> subprocess.Popen[bytes]:
    """Begin a command on a cluster."""
    return subprocess.Popen(
        [*command, "-o", str(output), "--ray", address], stderr=subprocess.DEVNULL
    )


def run_with_a_killed_worker(command: Sequence[str], output: Path, address: str) -> float:
    """Run a command, and kill one of its workers when two shards are finished; its seconds."""
    started = time.perf_counter()
    driver = begin(command, output, address)
    wait_for_shards(output, 2, driver)
    processes = psutil.Process().children(recursive=True)
    workers = [p for p in processes if any("ray::Desk" in word for word in p.cmdline())]
    workers[0].send_signal(signal.SIGKILL)
    if driver.wait():
        raise SystemExit("the run in which a worker was killed failed")
    return time.perf_counter() - started


def run_with_a_killed_driver(
    command: Sequence[str], output: Path, address: str
) -> tuple[float, int]:
    """Kill the driver when half of the shards are there; seconds of the second run, and shards."""
    driver = begin(command, output, address)
    wait_for_shards(output, 4, driver)
    driver.kill()
    driver.wait()
    kept = len(finished(output))
    return run(command, output, "--ray", address), kept


def measure_runs(command: list[str], folder: Path, one: Path, many: Path, count: int) -> Any:
    """Run a command in all ways.

    Args:
        command: Arguments of the command line but the file of reads and the output.
        folder: Folder for outputs.
        one: File of one read.
        many: File of all reads.
        count: Number of reads.
    """
    suffix = ".tsv" if command[3] == "identify" else ".parquet"
    outputs: dict[str, Path] = {}
    runs: list[dict[str, Any]] = []

    def note(name: str, seconds: float, start_up: float | None = None, **more: Any) -> None:
        same = outputs[name].read_bytes() == outputs["one process"].read_bytes()
        rate = None if start_up is None else (count - 1) / max(seconds - start_up, 1e-9)
        runs.append(
            {"run": name, "seconds": seconds, "start_up_seconds": start_up, "rate": rate}
            | {"same_bytes": same}
            | more
        )
        typer.echo(str(runs[-1]), err=True)

    def place(name: str) -> Path:
        outputs[name] = folder / f"{name.replace(' ', '_')}{suffix}"
        return outputs[name]

    on_one, on_many = [*command, str(one)], [*command, str(many)]
    start_up = run(on_one, place("one read"))
    note("one process", run(on_many, place("one process")), start_up)
    for nodes in (1, 2):
        name = f"{nodes} node" + "s" * (nodes - 1)
        with cluster(nodes) as address:
            start_up = run(on_one, place("one read"), "--ray", address)
            note(name, run(on_many, place(name), "--ray", address), start_up)
            if nodes == 2:
                name = "2 nodes, a worker killed"
                note(name, run_with_a_killed_worker(on_many, place(name), address))
                name = "2 nodes, the driver killed and started again"
                seconds, kept = run_with_a_killed_driver(on_many, place(name), address)
                note(name, seconds, kept_shards=kept)
    return runs


def measure_driver(reads: Path, count: int, folder: Path) -> dict[str, float]:
    """Measure the parts of the driver's work, reads per second each."""
    seconds = dict.fromkeys(("cut", "hash", "pickle", "keep", "read_back", "parse"), 0.0)
    mark = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal mark
        now = time.perf_counter()
        seconds[name] += now - mark
        mark = now

    kept = ShardFolder(folder / "shards")
    lines = ["x" * LINE_BYTES + "\n"] * RECORDS_PER_BLOCK
    for number, block in enumerate(blocks_of(str(reads), lambda: read_records(reads)), start=1):
        lap("cut")
        key = key_of({}, block.content())
        lap("hash")
        pickle.dumps(block)
        lap("pickle")
        kept.save(number, key, Result({"lines": lines[: block.count]}))
        lap("keep")
        kept.load(number, key)
        lap("read_back")
        block.records()  # done by workers
        lap("parse")
    kept.remove()
    return {name: count / value for name, value in seconds.items()}


def plan(rate: float, driver: dict[str, float]) -> dict[str, float]:
    """Calculate a run on many nodes.

    Args:
        rate: Reads per second of one worker.
        driver: Reads per second of each part of the driver's work.
    """
    workers = PLANNED_NODES * CORES_PER_NODE
    # Text is cut, hashed and pickled once for the sample and once for the names.
    costs = {"cut": 2, "hash": 1, "pickle": 2, "keep": 1, "read_back": 1}
    of_driver = 1 / sum(times / driver[name] for name, times in costs.items())
    whole = min(rate * workers, of_driver)
    return {
        "reads": PLANNED_READS,
        "nodes": PLANNED_NODES,
        "cores_per_node": CORES_PER_NODE,
        "worker_rate": rate,
        "workers_rate": rate * workers,
        "driver_rate": of_driver,
        "busy_workers": of_driver / rate,
        "hours": PLANNED_READS / whole / 3600,
        "hours_of_one_core": PLANNED_READS / rate / 3600,
    }


def main(
    data: Annotated[Path, typer.Option(help="Folder of a prepared data set.")],
    library: Annotated[
        Path | None, typer.Option(help="Library to name with; without, reads are embedded.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="Model folder, Hub name, kmer:K, default.")
    ] = "default",
    records: Annotated[int, typer.Option(help="Number of simulated reads.")] = 200_000,
    worker_rate: Annotated[
        float, typer.Option(help="Reads per second of one core for the plan; 0 as measured.")
    ] = 0.0,
    json_file: Annotated[Path, typer.Option("--json", help="Write the records.")] = Path(
        "results/speed/ray.json"
    ),
) -> None:
    """Measure a command on a cluster of one machine."""
    barcodes = read_splits(data, ("test", "test_unseen"), ("dna_barcode",))["dna_barcode"]
    command = [*PROGRAM, "embed", "--model", model]
    if library is not None:
        command = [*PROGRAM, "identify", "--model", model, "--reference", str(library)]
    said = " ".join(command[3:]).replace(str(library), "LIB")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one, many = folder / "one.fasta", folder / "many.fasta"
        write_reads(one, barcodes.to_pylist(), 1)
        write_reads(many, barcodes.to_pylist(), records)
        runs = measure_runs(command, folder, one, many, records)
        driver = measure_driver(many, records, folder)
    measured = next(run["rate"] for run in runs if run["run"] == "1 node")
    write_json(
        json_file,
        {
            "command": f"python benchmarks/ray_scale.py --data {data.resolve().name} "
            f"--model {model} --records {records}" + (" --library LIB" if library else ""),
            "ran": f"barcodemae {said}",
            "records": records,
            "runs": runs,
            "driver": driver,
            "plan": plan(worker_rate or measured, driver),
        },
    )


if __name__ == "__main__":
    typer.run(main)
