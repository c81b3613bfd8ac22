"""Time and memory of an audit by the number of records: python benchmarks/audit_scale.py LIBRARY.

Records are those of a library, and copies of them with some letters changed and vectors moved by as
much; so they are placed and embedded already, which is timed apart, on records of a data set. Each
size is audited in a process of its own. CPU seconds are counted beside those of the clock, because
a machine may have other work. In: a library in a frame. Out: results/audit/scale.json.
Guarded by tests/benchmarks/test_planted.py.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer
from identify_page import format_number, table
from numpy.typing import NDArray

from barcodemae.eval.audit.doctor import audit_records
from barcodemae.eval.audit.records import LETTERS, TRAITS, VECTORS, Records, text_of_codes
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.identify.judge.comparison import NO_BASE
from barcodemae.eval.identify.reference.library import ReferenceLibrary, hash_barcode
from barcodemae.eval.search.nearest import blocks_of
from barcodemae.eval.search.reference_search import unit_length
from barcodemae.files import write_json
from barcodemae.stored.arrays import map_numbers


CHANGED = 0.005  # share of the letters that are changed in copies
BLOCK = 16_384
NUM_EMBEDDED = 512
PLANNED = (150_000, 2_000_000)  # records


def simulate(library: ReferenceLibrary, size: int, folder: Path) -> Records:
    """Make records of a library's references and changed copies of them, in mapped files."""
    generator = np.random.default_rng(0)
    assert library.letters is not None
    sites, width = library.letters.shape[1], library.vectors.shape[1]
    original = np.arange(size) % len(library)
    scale = np.float32(np.sqrt(2 * CHANGED / width))
    known = np.zeros(size, np.int32)
    with (folder / LETTERS).open("wb") as letters, (folder / VECTORS).open("wb") as vectors:
        for here in blocks_of(size, BLOCK):
            rows = original[here]
            is_copy = np.arange(here.start, here.stop) >= len(library)
            codes = library.letters[rows]
            is_changed = generator.random(codes.shape, np.float32) < CHANGED
            is_changed &= is_copy[:, None] & (codes < NO_BASE)
            codes[is_changed] = generator.integers(NO_BASE, size=int(is_changed.sum()))
            known[here] = (codes < NO_BASE).sum(axis=1)
            letters.write(codes.tobytes())
            noise = generator.standard_normal((len(rows), width), np.float32) * scale
            moved = library.vectors[rows] + noise * is_copy[:, None]
            vectors.write(unit_length(moved).tobytes())
    placed = map_numbers(folder / LETTERS, np.uint8, (size, sites))
    traits = {name: np.zeros(size, dtype) for name, dtype in TRAITS.items()}
    traits["evidence"][:] = np.nan
    traits["num_known"] = known
    traits["raw_hash"] = np.array([hash_barcode(str(row)) for row in range(size)], np.uint64)
    return Records(
        ids=[f"{library.ids[row]}.{number}" for number, row in enumerate(original.tolist())],
        codes=library.codes[original],
        taxa=library.taxa,
        bins=[library.bins.describe(row)[0] for row in original.tolist()],
        vectors=map_numbers(folder / VECTORS, np.float32, (size, width)),
        letters=placed,
        text_of=text_of_codes(placed),
        traits=traits,
        problems={},
        placeholders=[],
        splits=[],
    )


def time_audit(library: Path, size: int, threads: int) -> dict[str, Any]:
    """Audit simulated records, and time it."""
    import torch

    torch.set_num_threads(threads)
    with TemporaryDirectory() as name:
        records = simulate(ReferenceLibrary(library), size, Path(name))
        before = time.perf_counter(), time.process_time()
        found = audit_records(records, "simulated")
        return {
            "records": size,
            "seconds": time.perf_counter() - before[0],
            "cpu_seconds": time.process_time() - before[1],
            "findings": len(found.findings),
            "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        }


def time_embedding(library: Path, threads: int) -> float:
    """Return the CPU seconds that placing and embedding a record takes."""
    import torch

    torch.set_num_threads(threads)
    opened = ReferenceLibrary(library)
    embedder = load_embedder("default", dtype="auto")
    texts = [opened.barcodes[row] for row in range(NUM_EMBEDDED)]
    embedder.embed([placed.letters for placed in embedder.placer.place(texts[:64])])
    before = time.process_time()
    embedder.embed([placed.letters for placed in embedder.placer.place(texts)])
    return (time.process_time() - before) / len(texts)


def main(
    library: Annotated[Path, typer.Argument(help="Library of real references, in a frame.")],
    sizes: Annotated[str, typer.Option(help="Numbers of records.")] = "5000,20000,40000",
    threads: Annotated[int, typer.Option(help="Threads.")] = 2,
    json_file: Annotated[Path, typer.Option("--json", help="Results file.")] = Path(
        "results/audit/scale.json"
    ),
    only: Annotated[bool, typer.Option(help="Print the record of one size.")] = False,
) -> None:
    """Audit records of growing numbers."""
    if only:
        typer.echo(json.dumps(time_audit(library, int(sizes), threads)))
        return
    rows = []
    for size in sizes.split(","):
        command = [sys.executable, __file__, str(library), "--only", "--sizes", size]
        command += ["--threads", str(threads)]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows.append(json.loads(told.splitlines()[-1]))
        typer.echo(rows[-1])
    about = {
        "references": len(ReferenceLibrary(library)),
        "threads": threads,
        "changed": CHANGED,
        "sizes": sizes,
        "embedding_cpu_seconds": time_embedding(library, threads),
    }
    json_file.parent.mkdir(parents=True, exist_ok=True)
    write_json(json_file, {"about": about, "rows": rows}, indent=1)


def fitted(rows: list[dict[str, Any]], name: str) -> NDArray[np.float64]:
    """Fit what grows with the number of records and with its square, both at least 0."""
    from scipy.optimize import nnls

    sizes = np.array([row["records"] for row in rows], float)
    values = np.array([row[name] for row in rows], float)
    terms = np.stack([sizes, sizes**2], axis=1) / values[:, None]  # errors count as shares
    scale = terms.max(axis=0)
    found: NDArray[np.float64] = nnls(terms / scale, np.ones(len(rows)))[0] / scale
    return found


def scaled(content: Any) -> str:
    """Format time and memory by size, and what they would be for more records."""
    about, rows = content["about"], content["rows"]
    linear, square = fitted(rows, "cpu_seconds")
    embedding = about["embedding_cpu_seconds"]
    cells = []
    for row in rows:
        told = format_number(row["seconds"], 0), format_number(row["peak_memory_gib"], 2)
        cpu = format_number(row["cpu_seconds"], 0)
        more = format_number(embedding * row["records"], 0)
        cells.append([f"{row['records']:,}", cpu, *told, more])
    for size in PLANNED:
        cpu = format_number(linear * size + square * size**2, 0)
        more = format_number(embedding * size, 0)
        cells.append([f"{size:,}, calculated", cpu, "-", "-", more])
    header = ["records", "audit, CPU seconds", "seconds of the clock", "peak memory (GiB)"]
    header += ["placing and embedding, CPU seconds"]
    return (
        f"Records of a library of {about['references']:,} references and copies of them with "
        f"{100 * about['changed']:g} % of the letters changed, {about['threads']} thread(s): "
        f"`python benchmarks/audit_scale.py LIBRARY --sizes {about['sizes']}`. Lines that are "
        "calculated follow from the fit of a linear and a quadratic part to those that are "
        f"measured; embedding from {NUM_EMBEDDED} records.\n\n{table(header, cells)}"
    )


if __name__ == "__main__":
    typer.run(main)
