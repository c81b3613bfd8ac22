"""How search speed falls as the library grows (`python benchmarks/identify_scale.py --data DATA`).

Libraries of 34 thousand, 140 thousand and 2.4 million references: real barcodes, and beyond them
mutated copies; their vectors are real vectors with as much noise. Measured on them: this project's
exact search and, if installed, faiss with its recall of the true nearest reference; VSEARCH's
search of the same barcodes up to `--vsearch-limit` references. Embedding a query and aligning its
candidates cost the same whatever the library, so they are measured once and added.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from measure import HIGH_WATER, measured, show
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from barcodemae.dataset import SPLITS, read_splits
from barcodemae.eval.alignment import align_neighbors
from barcodemae.eval.baselines import write_fasta
from barcodemae.eval.embedding import load_embedder
from barcodemae.eval.heldout import NUM_NEIGHBORS
from barcodemae.eval.reference_search import (
    ExactSearch,
    FaissSearch,
    SearchEngine,
    build_faiss,
    unit_length,
)


NOISE = 0.02  # share of bases changed in copies
NUM_EMBEDDED = 20_000  # real vectors that the others are copied from
BLOCK = 50_000


def grow_vectors(real: NDArray[np.float32], size: int, path: Path) -> NDArray[np.float32]:
    """Write unit vectors of a size: the real ones with noise, block by block."""
    vectors = open_memmap(path, "w+", np.float32, (size, real.shape[1]))
    generator = np.random.default_rng(0)
    scale = np.float32(np.sqrt(2 * NOISE / real.shape[1]))
    for start in range(0, size, BLOCK):
        rows = generator.integers(len(real), size=min(BLOCK, size - start))
        noise = generator.standard_normal((len(rows), real.shape[1]), np.float32) * scale
        vectors[start : start + len(rows)] = unit_length(real[rows] + noise)
    vectors.flush()
    found: NDArray[np.float32] = np.load(path, mmap_mode="c")
    return found


def grow_fasta(real: list[str], size: int, path: Path) -> None:
    """Write barcodes of a number: the real ones, then copies with changed bases."""
    generator = np.random.default_rng(0)
    letters = np.frombuffer(b"ACGT", np.uint8)
    with path.open("wb") as stream:
        for row in range(size):
            text = np.frombuffer(real[row % len(real)].encode(), np.uint8).copy()
            if row >= len(real):
                places = generator.random(len(text)) < NOISE
                text[places] = letters[generator.integers(4, size=int(places.sum()))]
            stream.write(b">%d\n%s\n" % (row, text.tobytes()))


def time_search(engine: SearchEngine, queries: NDArray[np.float32]) -> tuple[float, Any]:
    """Seconds per query, after a warm-up, and what was found."""
    engine.search(queries[:8], NUM_NEIGHBORS)
    started = time.perf_counter()
    found = engine.search(queries, NUM_NEIGHBORS)
    return (time.perf_counter() - started) / len(queries), found


def time_alignment(
    real: NDArray[np.float32], queries: NDArray[np.float32], texts: list[str], wanted: list[str]
) -> float:
    """Seconds per query of aligning as many candidates as there can be, all of other species."""
    found = ExactSearch(real).search(queries, NUM_NEIGHBORS)
    species = np.arange(len(real), dtype=np.int32)
    started = time.perf_counter()
    align_neighbors(wanted, found, species, texts.__getitem__)
    return (time.perf_counter() - started) / len(wanted)


def vsearch_rate(
    barcodes: list[str], queries: list[str], size: int, threads: int
) -> dict[str, Any]:
    """Queries per second of VSEARCH, its start-up (loading the library) subtracted."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        grow_fasta(barcodes, size, folder / "references.fa")
        write_fasta(folder / "many.fa", queries)
        write_fasta(folder / "one.fa", queries[:1])
        command = (
            f"vsearch --usearch_global QUERIES --db {folder / 'references.fa'} --id 0.6 "
            f"--maxaccepts 4 --maxrejects 32 --blast6out {folder / 'out'} --strand plus --quiet "
            f"--threads {threads}"
        )
        start_up, _ = measured(command.replace("QUERIES", str(folder / "one.fa")))
        seconds, peak = measured(command.replace("QUERIES", str(folder / "many.fa")))
    rate = (len(queries) - 1) / max(seconds - start_up, 1e-9)
    return {"engine": "vsearch", "queries_per_second": rate, "peak_memory_gib": peak / 2**30}


def own_peak() -> float:
    """Peak memory of this process so far, GiB."""
    found = HIGH_WATER.search(Path("/proc/self/status").read_text())
    return int(found[1]) / 2**20 if found else float("nan")


def main(
    data: Annotated[Path, typer.Option(help="Folder of a prepared data set.")],
    model: Annotated[
        str, typer.Option(help="Model folder, Hub name, kmer:K, default.")
    ] = "default",
    sizes: Annotated[str, typer.Option(help="References.")] = "33730,140000,2400000",
    num_queries: Annotated[int, typer.Option(help="Queries.")] = 256,
    threads: Annotated[int, typer.Option(help="Of every engine.")] = 2,
    vsearch_limit: Annotated[int, typer.Option(help="VSEARCH's largest library.")] = 140_000,
    json_file: Annotated[Path, typer.Option("--json", help="Write the records.")] = Path(
        "results/identify/scale.json"
    ),
) -> None:
    """Measure search speed by size of the library."""
    torch.set_num_threads(threads)
    table = read_splits(data, SPLITS, ("dna_barcode", "split"))
    texts = table.filter(np.array(table["split"]) != "test")["dna_barcode"].to_pylist()
    wanted = read_splits(data, ("val",), ("dna_barcode",))["dna_barcode"].to_pylist()[:num_queries]
    embedder = load_embedder(model, dtype="auto")
    real = unit_length(embedder.embed(texts[:NUM_EMBEDDED], progress=True))
    started = time.perf_counter()
    queries = embedder.embed(wanted)
    embedding = (time.perf_counter() - started) / len(wanted)
    aligning = time_alignment(real, queries, texts, wanted)
    rows: list[dict[str, Any]] = []
    for size in (int(part) for part in sizes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            references = grow_vectors(real, size, Path(folder) / "vectors.npy")
            seconds, exact = time_search(ExactSearch(references), queries)
            found = {"exact": (seconds, 100.0)}
            seconds, near = time_search(FaissSearch(references, build_faiss(references)), queries)
            found["faiss"] = (seconds, 100 * float((near.rows[:, 0] == exact.rows[:, 0]).mean()))
            for engine, (seconds, recall) in found.items():
                row = {"references": size, "engine": engine}
                row |= {"queries_per_second": 1 / (seconds + embedding + aligning)}
                row |= {"search_milliseconds": 1000 * seconds}
                row |= {"embedding_milliseconds": 1000 * embedding}
                row |= {"aligning_milliseconds": 1000 * aligning, "nearest_found": recall}
                rows.append({**row, "peak_memory_gib": own_peak()})
        if size <= vsearch_limit:
            rows.append({"references": size, **vsearch_rate(texts, wanted, size, threads)})
    show([{key: row.get(key, float("nan")) for key in rows[0]} for row in rows], "search by size")
    json_file.parent.mkdir(parents=True, exist_ok=True)
    json_file.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
