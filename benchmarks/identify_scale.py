"""Speed of identification by size of the library: python benchmarks/identify_scale.py --data DIR.

Libraries of 34 thousand, 140 thousand and 2.4 million references: the first made by `barcodemae
index`, the others of its references and copies of them with some bases changed; the vector of a
copy is that of the original plus a corresponding amount of noise. Timed are the command lines of
`identify` with exact search and with faiss, and of VSEARCH up to `--vsearch-limit` references: on
the same file and number of threads, less the time of the same command on one query, the faster of
two rounds (one round with millions of references). How often faiss misses the nearest reference is
counted in the outputs.
"""

import csv
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import typer
from measure import show, time_command
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from barcodemae.dataset import read_splits
from barcodemae.eval.identify.reference.library import (
    CALIBRATION,
    DESCRIPTION,
    ENGINES,
    FAISS_FILE,
    HASHES,
    LINEAGE,
    STRAND,
    VECTORS,
    hash_barcode,
)
from barcodemae.eval.search.programs import write_fasta
from barcodemae.eval.search.reference_search import build_faiss, import_faiss, unit_length
from barcodemae.files import write_json


CHANGED = 0.02  # share of the bases that are changed in copies
BLOCK = 50_000
LARGE = 1_000_000  # references; larger libraries are timed in one round
PROGRAM = (sys.executable, "-m", "barcodemae")
LETTERS = np.frombuffer(b"ACGT", np.uint8)


def change_bases(barcodes: list[str], generator: np.random.Generator) -> list[str]:
    """Copy barcodes with some bases changed."""
    changed = []
    for barcode in barcodes:
        text = np.frombuffer(barcode.encode(), np.uint8).copy()
        places = np.flatnonzero(generator.random(len(text)) < CHANGED)
        text[places] = LETTERS[generator.integers(4, size=len(places))]
        changed.append(text.tobytes().decode())
    return changed


def copies(library: Path, size: int) -> Iterator[tuple[slice, pa.RecordBatch, NDArray[np.float32]]]:
    """Yield the references of a larger library: the real ones, then changed copies of them.

    Args:
        library: Folder of the library of real references.
        size: Number of references of the larger library.

    Yields:
        Rows, lineages with barcodes, and vectors of a block of references.
    """
    generator = np.random.default_rng(0)
    vectors = np.load(library / VECTORS)
    with pa.ipc.open_file(library / LINEAGE) as reader:
        lineage = reader.read_all().combine_chunks()
    scale = np.float32(np.sqrt(2 * CHANGED / vectors.shape[1]))
    for start in range(0, size, BLOCK):
        rows = np.arange(start, min(start + BLOCK, size))
        original = rows % len(vectors)
        is_copy = rows >= len(vectors)
        table = lineage.take(original)
        texts = table["barcode"].to_pylist()
        num_real = int((~is_copy).sum())  # they are the first of a block
        texts[num_real:] = change_bases(texts[num_real:], generator)
        barcodes = pa.array(texts, table["barcode"].type)
        table = table.set_column(table.column_names.index("barcode"), "barcode", barcodes)
        ids = pa.array(
            [f"{name}.{row}" for name, row in zip(table["id"].to_pylist(), rows, strict=True)],
            table["id"].type,
        )
        table = table.set_column(table.column_names.index("id"), "id", ids)
        noise = generator.standard_normal((len(rows), vectors.shape[1]), np.float32) * scale
        found = vectors[original] + noise * is_copy[:, None]
        yield (
            slice(start, start + len(rows)),
            table.combine_chunks().to_batches()[0],
            unit_length(found),
        )


def grow(library: Path, size: int, folder: Path, fasta: Path) -> None:
    """Write a larger library, and its barcodes as FASTA.

    Args:
        library: Folder of the library of real references.
        size: Number of references of the larger library.
        folder: Folder to write the larger library to.
        fasta: FASTA file to write its barcodes to.
    """
    folder.mkdir()
    for name in (CALIBRATION, STRAND):
        shutil.copy(library / name, folder / name)
    description = json.loads((library / DESCRIPTION).read_text()) | {"references": size}
    (folder / DESCRIPTION).write_text(json.dumps(description))
    hashes = np.zeros(size, np.uint64)
    vectors = open_memmap(folder / VECTORS, "w+", np.float32, (size, description["dimensions"]))
    with pa.ipc.open_file(library / LINEAGE) as reader:
        schema = reader.schema
    with (
        fasta.open("w") as stream,
        pa.OSFile(str(folder / LINEAGE), "wb") as sink,
        pa.ipc.new_file(sink, schema) as writer,
    ):
        for rows, batch, found in copies(library, size):
            writer.write_batch(batch)
            vectors[rows] = found
            barcodes = batch["barcode"].to_pylist()
            hashes[rows] = [hash_barcode(text) for text in barcodes]
            stream.writelines(
                f">{row}\n{text}\n"
                for row, text in zip(range(rows.start, rows.stop), barcodes, strict=True)
            )
            typer.echo(f"  {rows.stop} of {size} references", err=True)
    vectors.flush()
    np.save(folder / HASHES, hashes)


def add_faiss(folder: Path) -> None:
    """Add a faiss index to a library."""
    index = build_faiss(np.load(folder / VECTORS, mmap_mode="r"))
    import_faiss().write_index(index, str(folder / FAISS_FILE))
    description = json.loads((folder / DESCRIPTION).read_text())
    (folder / DESCRIPTION).write_text(json.dumps(description | {"engine": "faiss"}))


def timed(
    command: Sequence[str], queries: dict[str, Path], count: int, size: int
) -> dict[str, float]:
    """Time a command on many queries and on one.

    Args:
        command: Arguments of the command line but the last, which is the file of queries.
        queries: `many` and `one` -> file of that many queries.
        count: Number of queries in the file of many.
        size: Number of references; with more than `LARGE` there is one round only.
    """
    start_up, whole, peak = np.inf, np.inf, 0
    for _ in range(1 if size > LARGE else 2):
        typer.echo(f"timing {size} references: {command[-1]} ...", err=True)
        start_up = min(start_up, time_command([*command, str(queries["one"])])[0])
        seconds, used = time_command([*command, str(queries["many"])])
        whole, peak = min(whole, seconds), max(peak, used)
    return {
        "queries_per_second": (count - 1) / max(whole - start_up, 1e-9),
        "start_up_seconds": start_up,
        "peak_memory_gib": peak / 2**30,
    }


def nearest(output: Path) -> NDArray[np.str_]:
    """Read the id of each query's nearest reference from an output of `identify`."""
    with output.open() as stream:
        rows = csv.DictReader(stream, delimiter="\t")
        return np.array([row["nearest_reference"] for row in rows])


def time_library(
    library: Path, model: str, queries: dict[str, Path], count: int, threads: int
) -> Iterator[dict[str, Any]]:
    """Time `identify` with each engine and yield a record for each."""
    size = json.loads((library / DESCRIPTION).read_text())["references"]
    found: dict[str, NDArray[np.str_]] = {}
    for engine in ENGINES:
        output = library.with_name(f"{engine}.tsv")
        command = [
            *(*PROGRAM, "identify", "--reference", str(library), "--model", model),
            *("--engine", engine, "--threads", str(threads), "-o", str(output)),
        ]
        record = {"references": size, "engine": engine, **timed(command, queries, count, size)}
        found[engine] = nearest(output)
        same = 100 * float((found[engine] == found["exact"]).mean())
        yield record | {"same_nearest": same}


def time_vsearch(
    fasta: Path, size: int, queries: dict[str, Path], count: int, threads: int
) -> dict[str, Any]:
    """Time VSEARCH's search for the top hit."""
    command = [
        *("vsearch", "--db", str(fasta), "--id", "0.6", "--maxaccepts", "4", "--maxrejects", "32"),
        *("--blast6out", str(fasta.with_name("hits")), "--strand", "plus", "--quiet"),
        *("--threads", str(threads), "--usearch_global"),
    ]
    return {"references": size, "engine": "vsearch", **timed(command, queries, count, size)}


def main(
    data: Annotated[Path, typer.Option(help="Folder of a prepared data set.")],
    model: Annotated[
        str, typer.Option(help="Model folder, Hub name, kmer:K, default.")
    ] = "default",
    sizes: Annotated[str, typer.Option(help="Sizes of libraries.")] = "33730,140000,2400000",
    num_queries: Annotated[int, typer.Option(help="Number of queries.")] = 2048,
    threads: Annotated[int, typer.Option(help="Threads of every engine.")] = 2,
    vsearch_limit: Annotated[int, typer.Option(help="Largest library for VSEARCH.")] = 2_400_000,
    json_file: Annotated[Path, typer.Option("--json", help="Write the records.")] = Path(
        "results/identify/scale.json"
    ),
) -> None:
    """Measure the speed of identification by size of the library."""
    barcodes = read_splits(data, ("test", "test_unseen"), ("dna_barcode",))["dna_barcode"]
    chosen = np.random.default_rng(0).permutation(len(barcodes))[:num_queries]
    wanted = barcodes.take(chosen).to_pylist()
    command = (
        f"python benchmarks/identify_scale.py --data {data.resolve().name} "
        f"--model {Path(model).name} --sizes {sizes} --num-queries {num_queries} "
        f"--threads {threads} --vsearch-limit {vsearch_limit}"
    )
    shared = {"queries": len(wanted), "threads": threads, "command": command}
    records: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        queries = {"many": folder / "many.fa", "one": folder / "one.fa"}
        write_fasta(queries["many"], wanted)
        write_fasta(queries["one"], wanted[:1])
        real = folder / "real"
        indexing = [*PROGRAM, "index", str(data), "-o", str(real), "--model", model]
        subprocess.run(indexing, check=True)
        for size in map(int, sizes.split(",")):
            library, fasta = folder / "library", folder / "references.fa"
            grow(real, size, library, fasta)
            add_faiss(library)
            records += time_library(library, model, queries, len(wanted), threads)
            shutil.rmtree(library)
            if size <= vsearch_limit:
                records.append(time_vsearch(fasta, size, queries, len(wanted), threads))
    show([{key: row.get(key, float("nan")) for key in records[0]} for row in records], "by size")
    json_file.parent.mkdir(parents=True, exist_ok=True)
    write_json(json_file, [record | shared for record in records], indent=1)


if __name__ == "__main__":
    typer.run(main)
