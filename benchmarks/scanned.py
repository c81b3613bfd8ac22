"""Memory and speed of an exact search in short forms: python benchmarks/scanned.py --library LIB.

The vectors of a library, with simulated copies of them (noise of length 0.05, then length 1), are
written in float32 and, beside, in float16 and in int8. A process of its own for each format maps
them and searches for some of them, again with noise. Told are the bytes that a scan reads, the
memory that stays resident (mapped pages are counted), queries per second, and whether neighbours
and cosines are those of float32, bit by bit. Rates on a busy machine say little.
"""

import hashlib
import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from measure import show
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from barcodemae.eval.identify.reference.library import VECTORS
from barcodemae.eval.search.compressed import (
    FULL,
    VECTOR_FORMATS,
    open_compressed,
    write_compressed,
)
from barcodemae.eval.search.reference_search import ExactSearch, unit_length
from barcodemae.files import write_json


NUM_NEIGHBORS = 32  # as `identify` searches
NOISE = 0.05
NUM_QUERIES = 512
ROUNDS = 2  # of the search; the faster counts


def add_noise(vectors: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Move vectors (N, D) by `NOISE` in random directions, and scale them to length 1."""
    noise = np.random.default_rng(seed).normal(size=vectors.shape)
    return unit_length((vectors + NOISE * unit_length(noise)).astype(np.float32))


def resident() -> float:
    """Return the memory of this process that is resident now, MiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def measure(folder: Path, form: str, error: float, results: Any) -> None:
    """Search in one format, in a process of its own."""
    references = np.load(folder / VECTORS, mmap_mode="c")
    queries = np.load(folder / "queries.npy")
    scanned = None if form == FULL else open_compressed(folder / form, form, error)
    before = resident()
    search = ExactSearch(references, scanned=scanned)
    rates = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        found = search.search(queries, NUM_NEIGHBORS)
        rates.append(len(queries) / (time.perf_counter() - started))
    scans = references.nbytes if scanned is None else scanned.values.nbytes
    results.put(
        {
            "format": form,
            "scanned_mebibytes": scans / 2**20,
            "resident_mebibytes": resident() - before,
            "queries_per_second": max(rates),
            "largest_error": error,
            "found": hashlib.sha256(found.rows.tobytes() + found.similarity.tobytes()).hexdigest(),
        }
    )


def main(
    library: Annotated[Path, typer.Option(help="Library whose vectors are copied.")],
    copies: Annotated[int, typer.Option(help="Simulated copies of the library.")] = 10,
    json_file: Annotated[Path, typer.Option("--json", help="Write the results.")] = Path(
        "results/identify/scanned.json"
    ),
) -> None:
    """Measure all formats."""
    vectors = np.load(library / VECTORS)
    count, width = vectors.shape
    spawn = multiprocessing.get_context("spawn")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written = open_memmap(folder / VECTORS, "w+", np.float32, (count * copies, width))
        for copy in range(copies):
            written[copy * count : (copy + 1) * count] = add_noise(vectors, copy)
        written.flush()
        chosen = np.random.default_rng(0).permutation(count)[:NUM_QUERIES]
        np.save(folder / "queries.npy", add_noise(vectors[chosen], copies))
        for form in VECTOR_FORMATS:
            error = 0.0
            if form != FULL:
                (folder / form).mkdir()
                error = write_compressed(written, folder / form, form)
            results = spawn.Queue()
            process = spawn.Process(target=measure, args=(folder, form, error, results))
            process.start()
            rows.append(results.get())
            process.join()
    expected = rows[0]["found"]
    for row in rows:
        row["same_as_float32"] = row.pop("found") == expected
    show(rows, f"{count * copies:,} vectors of {width}")
    command = f"python benchmarks/scanned.py --library {library.name} --copies {copies}"
    write_json(
        json_file,
        {"command": command, "references": count * copies, "dimensions": width, "formats": rows},
    )


if __name__ == "__main__":
    typer.run(main)
