"""Embedding with Ray Data beside `embed --ray`: python benchmarks/ray_data.py --data DIR ...

The same reads on the same cluster of two one-core nodes: `barcodemae embed --ray`, and the shortest
Ray Data program that does it (blocks of records, `map_batches` with one model per worker, Parquet).
Noted are seconds, start-up included; whether the vectors are those of one process, bit by bit, and
in its order; and, where the driver is killed after half of the time and started again, the seconds
of the second run. Needs the extra `ray`. In: a prepared data set. Out: a JSON file.
Guarded by tests/docs/test_ray_page.py.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow.parquet
import typer
from ray_scale import PROGRAM, cluster, write_reads

from barcodemae.dataset import read_splits
from barcodemae.files import write_json


# The rival as its documentation would have it, with the batches of the command.
RAY_DATA = """
import sys
import ray
from barcodemae.distributed.blocks import RECORDS_PER_BLOCK
from barcodemae.eval.embed.loading import ModelOptions
from barcodemae.fasta import read_records

reads, output, address, model = sys.argv[1:]
ray.init(address=address, log_to_driver=False)
ray.data.DataContext.get_current().execution_options.preserve_order = True


class Worker:
    def __init__(self):
        self.embedder = ModelOptions(device="cpu").lightest(model).load(model)

    def __call__(self, batch):
        vectors = self.embedder.embed(batch["sequence"].tolist())
        return {"id": batch["id"], "vector": vectors}


rows = [{"id": record.id, "sequence": record.sequence} for record in read_records(reads)]
data = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // RECORDS_PER_BLOCK))
workers = ray.data.ActorPoolStrategy(size=2)
data = data.map_batches(Worker, batch_size=RECORDS_PER_BLOCK, compute=workers, num_cpus=1)
data.write_parquet(output)
"""
Start = Callable[[Path, str], "subprocess.Popen[bytes]"]


def read_vectors(place: Path) -> Any:
    """Read ids and vectors of a Parquet file, or of a folder of them, ordered by name."""
    files = sorted(place.glob("*.parquet")) if place.is_dir() else [place]
    table = pyarrow.parquet.read_table(files)
    ids, vectors = table.column(0).to_pylist(), table.column(1).to_pylist()
    return ids, np.array(vectors, np.float32)


def quiet(command: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Start a program without what it says."""
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait(process: "subprocess.Popen[bytes]", what: str) -> None:
    """Wait for a program to end well."""
    if process.wait():
        raise SystemExit(f"{what} failed")


def measure(name: str, start: Start, truth: Any, folder: Path) -> dict[str, Any]:
    """Run one of the two, whole and with its driver killed.

    Args:
        name: Its name.
        start: Function that starts it, from the output and the address of the cluster.
        truth: Ids and vectors of one process.
        folder: Folder for outputs.
    """
    whole, killed = folder / f"{start.__name__}.parquet", folder / f"{start.__name__}_2.parquet"
    with cluster(2) as address:
        begun = time.perf_counter()
        wait(start(whole, address), name)
        seconds = time.perf_counter() - begun
        first = start(killed, address)
        time.sleep(seconds / 2)
        first.kill()
        first.wait()
        begun = time.perf_counter()
        wait(start(killed, address), f"{name}, started again,")
        again = time.perf_counter() - begun
    ids, vectors = read_vectors(whole)
    order = np.argsort(np.array(ids)), np.argsort(np.array(truth[0]))
    return {
        "program": name,
        "seconds": seconds,
        "seconds_of_the_second_run": again,
        "in_input_order": ids == truth[0],
        "equal_vectors": bool(np.array_equal(vectors[order[0]], truth[1][order[1]])),
        "rows_after_the_second_run": len(read_vectors(killed)[0]),
    }


def main(
    data: Annotated[Path, typer.Option(help="Folder of a prepared data set.")],
    model: Annotated[str, typer.Option(help="Model.")] = "default",
    records: Annotated[int, typer.Option(help="Number of simulated reads.")] = 60_000,
    json_file: Annotated[Path, typer.Option("--json", help="Write the records.")] = Path(
        "results/speed/ray_data.json"
    ),
) -> None:
    """Measure both on a cluster of two nodes of this machine."""
    barcodes = read_splits(data, ("test", "test_unseen"), ("dna_barcode",))["dna_barcode"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reads, alone = folder / "reads.fasta", folder / "alone.parquet"
        write_reads(reads, barcodes.to_pylist(), records)
        embed = (*PROGRAM, "embed", str(reads), "--model", model)
        wait(quiet((*embed, "-o", str(alone))), "the single process")
        truth = read_vectors(alone)

        def with_command(output: Path, address: str) -> "subprocess.Popen[bytes]":
            return quiet((*embed, "-o", str(output), "--ray", address))

        def with_ray_data(output: Path, address: str) -> "subprocess.Popen[bytes]":
            arguments = (str(reads), str(output), address, model)
            return quiet((sys.executable, "-c", RAY_DATA, *arguments))

        rows = [
            measure("barcodemae embed --ray", with_command, truth, folder),
            measure("Ray Data", with_ray_data, truth, folder),
        ]
    command = f"python benchmarks/ray_data.py --data {data.resolve().name} --records {records}"
    for row in rows:
        row |= {"records": records, "model": model, "command": command}
        typer.echo(str(row), err=True)
    write_json(json_file, rows)


if __name__ == "__main__":
    typer.run(main)
