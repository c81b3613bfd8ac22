"""Speed of identification by size of the library: python benchmarks/identify_scale.py --data DIR.

Libraries of 34 thousand, 140 thousand and 2.4 million references: the first made by `barcodemae
index`, the others of its references and copies of them with some bases changed; the vector of a
copy is that of the original plus a corresponding amount of noise. Timed are the command lines of
`identify` with exact search in float32, in a short form, with faiss, and of VSEARCH and MMseqs2,
each up to a number of references (`--engines exact=2400000,int8`): on the same file and number of
threads, less the time of the same command on one query, the faster of two rounds (one round with
millions of references). How often the nearest reference is that of the first engine is counted in
the outputs. Told are also the bytes on the disk, and references written per second: vectors,
letters, names, short forms and hashes, without placing and embedding. Records are written after
every size.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import typer
from measure import show, time_command
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from barcodemae.dataset import read_splits
from barcodemae.eval.identify.judge.comparison import code_letters
from barcodemae.eval.identify.reference.library import (
    CALIBRATION,
    DESCRIPTION,
    FAISS_FILE,
    HASHES,
    LETTERS,
    LINEAGE,
    STRAND,
    VECTORS,
    hash_barcode,
)
from barcodemae.eval.identify.reference.writer import placed_references
from barcodemae.eval.search.compressed import FULL, VECTOR_FORMATS, write_compressed
from barcodemae.eval.search.faiss_search import build_faiss, import_faiss
from barcodemae.eval.search.programs import write_fasta
from barcodemae.eval.search.reference_search import unit_length
from barcodemae.files import write_json
from barcodemae.stored.manifest import MANIFEST, hash_file, write_manifest


CHANGED = 0.02  # share of the bases that are changed in copies
BLOCK = 50_000
LARGE = 1_000_000  # references; larger libraries are timed in one round
PROGRAM = (sys.executable, "-m", "barcodemae")
BASES = np.frombuffer(b"ACGT", np.uint8)


OURS, RIVALS = ("exact", *VECTOR_FORMATS[1:], "faiss"), ("vsearch", "mmseqs")
Engines = dict[str, int]  # engine -> number of references up to which it is timed


def parse_engines(text: str) -> Engines:
    """Read `exact=2400000,int8,...`: engines, and up to how many references they are timed."""
    found: Engines = {}
    for part in text.split(","):
        name, _, limit = part.partition("=")
        if name not in (*OURS, *RIVALS):
            raise typer.BadParameter(f"{name} is not one of {', '.join((*OURS, *RIVALS))}")
        found[name] = int(limit or sys.maxsize)
    return found


def change_bases(barcodes: list[str], generator: np.random.Generator) -> list[str]:
    """Copy barcodes with some bases changed."""
    changed = []
    for barcode in barcodes:
        text = np.frombuffer(barcode.encode(), np.uint8).copy()
        places = np.flatnonzero(generator.random(len(text)) < CHANGED)
        text[places] = BASES[generator.integers(4, size=len(places))]
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


def grow(library: Path, size: int, folder: Path, fasta: Path | None, form: str) -> None:
    """Write a larger library, and its barcodes as FASTA.

    Args:
        library: Folder of the library of real references.
        size: Number of references of the larger library.
        folder: Folder to write the larger library to.
        fasta: FASTA file to write its barcodes to; None for none.
        form: Format of the vectors that searches scan.
    """
    folder.mkdir()
    for name in (CALIBRATION, STRAND):
        shutil.copy(library / name, folder / name)
    description = json.loads((library / DESCRIPTION).read_text()) | {"references": size}
    for name in ("scanned", "flagged"):  # neither is of the copies
        description.pop(name, None)
    hashes = np.zeros(size, np.uint64)
    vectors = open_memmap(folder / VECTORS, "w+", np.float32, (size, description["dimensions"]))
    with pa.ipc.open_file(library / LINEAGE) as reader:
        schema = reader.schema
    letters: Any = None
    if width := description["frame"]:
        letters = open_memmap(folder / LETTERS, "w+", np.uint8, (size, width))
    with (
        (fasta or Path(os.devnull)).open("w") as stream,
        pa.OSFile(str(folder / LINEAGE), "wb") as sink,
        pa.ipc.new_file(sink, schema) as writer,
    ):
        for rows, batch, found in copies(library, size):
            writer.write_batch(batch)
            vectors[rows] = found
            if letters is not None:
                letters[rows] = code_letters(placed_references(pa.table(batch)), width)
            barcodes = batch["barcode"].to_pylist()
            hashes[rows] = [hash_barcode(text) for text in barcodes]
            stream.writelines(
                f">{row}\n{text}\n"
                for row, text in zip(range(rows.start, rows.stop), barcodes, strict=True)
            )
            typer.echo(f"  {rows.stop} of {size} references", err=True)
    vectors.flush()
    np.save(folder / HASHES, hashes)
    if form != FULL:
        error = write_compressed(vectors, folder, form)
        description["scanned"] = {"format": form, "error": error}
    (folder / DESCRIPTION).write_text(json.dumps(description))
    write_manifest(folder)


def change_description(folder: Path, **changes: Any) -> None:
    """Change entries of a library's description, and what the manifest says of it; None removes."""
    description = json.loads((folder / DESCRIPTION).read_text()) | changes
    kept = {name: value for name, value in description.items() if value is not None}
    (folder / DESCRIPTION).write_text(json.dumps(kept))
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][DESCRIPTION] = asdict(hash_file(folder / DESCRIPTION))
    (folder / MANIFEST).write_text(json.dumps(manifest))


def add_faiss(folder: Path) -> None:
    """Add a faiss index to a library."""
    index = build_faiss(np.load(folder / VECTORS, mmap_mode="r"))
    import_faiss().write_index(index, str(folder / FAISS_FILE))
    change_description(folder, engine="faiss")


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
    library: Path,
    model: str,
    queries: dict[str, Path],
    count: int,
    engines: Sequence[str],
    threads: int,
) -> Iterator[dict[str, Any]]:
    """Time `identify` with each engine and yield a record for each."""
    description = json.loads((library / DESCRIPTION).read_text())
    size, scanned = description["references"], description.get("scanned")
    on_disk = sum(path.stat().st_size for path in library.iterdir() if path.name != FAISS_FILE)
    first: NDArray[np.str_] | None = None
    for name in engines:
        change_description(library, scanned=scanned if name in VECTOR_FORMATS else None)
        output = library.with_name("names.tsv")
        command = [
            *(*PROGRAM, "identify", "--reference", str(library), "--model", model),
            *("--engine", "faiss" if name == "faiss" else "exact", "--threads", str(threads)),
            *("-o", str(output)),
        ]
        record = {"references": size, "engine": name, **timed(command, queries, count, size)}
        found = nearest(output)
        first = found if first is None else first
        same = 100 * float((found == first).mean())
        yield record | {"same_nearest": same, "disk_gib": on_disk / 2**30}


def time_rivals(
    fasta: Path,
    size: int,
    queries: dict[str, Path],
    count: int,
    engines: Sequence[str],
    threads: int,
) -> Iterator[dict[str, Any]]:
    """Time the search for the top hit by VSEARCH and by MMseqs2."""
    hits = str(fasta.with_name("hits"))
    vsearch = [
        *("vsearch", "--db", str(fasta), "--id", "0.6", "--maxaccepts", "4", "--maxrejects", "32"),
        *("--blast6out", hits, "--strand", "plus", "--quiet"),
        *("--threads", str(threads), "--usearch_global"),
    ]
    mmseqs = [
        *(
            "sh",
            "-c",
            'exec mmseqs easy-search "$5" "$1" "$2" "$3" --search-type 3 --threads "$4" ',
        ),
        *("mmseqs", str(fasta), hits, str(fasta.with_name("mmseqs")), str(threads)),
    ]
    mmseqs[2] += "--max-accept 4 -v 1"
    for name, command in (("vsearch", vsearch), ("mmseqs", mmseqs)):
        if name in engines:
            yield {"references": size, "engine": name, **timed(command, queries, count, size)}


def main(
    data: Annotated[Path, typer.Option(help="Folder of a prepared data set.")],
    model: Annotated[
        str, typer.Option(help="Model folder, Hub name, kmer:K, default.")
    ] = "default",
    library: Annotated[
        Path | None, typer.Option(help="Library of DATA that is there; else it is made.")
    ] = None,
    sizes: Annotated[str, typer.Option(help="Sizes of libraries.")] = "33730,140000,2400000",
    num_queries: Annotated[int, typer.Option(help="Number of queries.")] = 2048,
    threads: Annotated[int, typer.Option(help="Threads of every engine.")] = 2,
    engines: Annotated[
        str, typer.Option(help="Engines, and up to how many references: exact=2400000,int8,...")
    ] = "exact,faiss,vsearch",
    json_file: Annotated[Path, typer.Option("--json", help="Write the records.")] = Path(
        "results/identify/scale.json"
    ),
) -> None:
    """Measure the speed of identification by size of the library."""
    barcodes = read_splits(data, ("test", "test_unseen"), ("dna_barcode",))["dna_barcode"]
    chosen = np.random.default_rng(0).permutation(len(barcodes))[:num_queries]
    wanted = barcodes.take(chosen).to_pylist()
    wanted_engines = parse_engines(engines)
    form = next((name for name in VECTOR_FORMATS[1:] if name in wanted_engines), FULL)
    command = (
        f"python benchmarks/identify_scale.py --data {data.resolve().name} "
        f"--model {Path(model).name} --sizes {sizes} --num-queries {num_queries} "
        f"--threads {threads} --engines {engines}"
    )
    shared = {"queries": len(wanted), "threads": threads, "command": command}
    records: list[dict[str, Any]] = []
    json_file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        queries = {"many": folder / "many.fa", "one": folder / "one.fa"}
        write_fasta(queries["many"], wanted)
        write_fasta(queries["one"], wanted[:1])
        if library is None:
            library = folder / "real"
            indexing = [*PROGRAM, "index", str(data), "-o", str(library), "--model", model]
            subprocess.run(indexing, check=True)
        for size in map(int, sizes.split(",")):
            here = [name for name, limit in wanted_engines.items() if size <= limit]
            ours = [name for name in OURS if name in here]
            grown, fasta = folder / "library", folder / "references.fa"
            is_read = any(name in here for name in RIVALS)
            started = time.perf_counter()
            grow(library, size, grown, fasta if is_read else None, form)
            written = {"written_per_second": size / (time.perf_counter() - started)}
            if "faiss" in ours:
                add_faiss(grown)
            rows = time_library(grown, model, queries, len(wanted), ours, threads)
            records += [row | written for row in rows]
            shutil.rmtree(grown)
            records += time_rivals(fasta, size, queries, len(wanted), here, threads)
            write_json(json_file, [record | shared for record in records], indent=1)
    show([{key: row.get(key, float("nan")) for key in records[0]} for row in records], "by size")


if __name__ == "__main__":
    typer.run(main)
