"""The web page beside the command: python benchmarks/web_page.py --data DATA --library LIB.

Both name whole barcodes and damaged reads against one library, the page in Chromium on the cores of
this machine, the command with ONNX Runtime in float32. Measured are
- names: how many rows of the two tables have the same names, how many are the same letter for
  letter, and the largest difference of a probability;
- speed: records per second, from the press of the button to the answer, after a first visit that
  fetched everything; of the command with start-up;
- weight: megabytes that a visitor fetches once.

In: a prepared data set, and a library with a frame in float32. Out: a results file. Runs in the
environment of `make test-browser`; ONNXRUNTIME_WEB may name the package file of ONNX Runtime.
"""

import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from browsing import DESKTOP, Browser, Host, Page, damaged, open_chromium
from open_world import processor

from barcodemae.dataset import RANKS, dataset_hash, read_splits
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.files import write_json


ROOT = Path(__file__).parents[1]
BUILD = ROOT / "space" / "static" / "build.py"
COMPUTING = ("--engine", "onnx", "--dtype", "float32")
WHOLE, DAMAGED = "whole barcodes", "damaged reads"
Rows = list[dict[str, str]]


def build_site(library: Path, folder: Path) -> dict[str, float]:
    """Build the page with a library, and return what its parts weigh, MB."""
    words = [sys.executable, "-m", "barcodemae", "index", str(library)]
    subprocess.run([*words, "--web", str(folder / "library")], check=True)
    package = os.environ.get("ONNXRUNTIME_WEB")
    build = [sys.executable, str(BUILD), str(folder), *(["--runtime", package] if package else [])]
    subprocess.run(build, check=True)
    files = [path for path in folder.rglob("*") if path.is_file()]
    weights = {path: path.stat().st_size / 1e6 for path in files}
    graphs = {path for path in files if path.suffix == ".onnx"}
    references = {path for path in files if folder / "library" in path.parents} - graphs
    return {
        "graphs": sum(weights[path] for path in graphs),
        "references": sum(weights[path] for path in references),
        "page_and_runtime": sum(weights[path] for path in set(files) - graphs - references),
    }


def read_table(path: Path) -> Rows:
    """Read a table of names."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def name_by_command(fasta: Path, library: Path, output: Path) -> tuple[Rows, float]:
    """Name a file by the command; return its table and the seconds that it took."""
    words = [sys.executable, "-m", "barcodemae", "identify", str(fasta), "-r", str(library)]
    started = time.perf_counter()
    subprocess.run([*words, *COMPUTING, "-o", str(output)], check=True)
    return read_table(output), time.perf_counter() - started


def name_on_page(fasta: Path, page: Page) -> tuple[Rows, float]:
    """Name a file on the page; return the table that it saves and the seconds that it took."""
    page.find("#file").send_keys(str(fasta))
    started = time.perf_counter()
    page.identify()
    seconds = time.perf_counter() - started
    return read_table(page.save("save", "barcodemae.tsv")), seconds


def compare(found: Rows, expected: Rows) -> dict[str, float]:
    """Compare the page's table with the command's.

    Raises:
        ValueError: They are not of the same records.
    """
    if [row["id"] for row in found] != [row["id"] for row in expected]:
        raise ValueError("the page and the command did not name the same records")
    pairs = list(zip(found, expected, strict=True))
    probabilities = [f"{rank}_probability" for rank in RANKS]
    differences = [
        abs(float(mine[name]) - float(theirs[name]))
        for mine, theirs in pairs
        for name in probabilities
        if mine[name] and theirs[name]
    ]
    return {
        "named": len(pairs),
        "same_names": sum(all(mine[r] == theirs[r] for r in RANKS) for mine, theirs in pairs),
        "same_rows": sum(mine == theirs for mine, theirs in pairs),
        "largest_difference": max(differences, default=0.0),
    }


def measure(
    fasta: Path, library: Path, browser: Browser, host: Host, folder: Path
) -> dict[str, float]:
    """Let both name a file."""
    expected, seconds = name_by_command(fasta, library, folder / f"{fasta.stem}.tsv")
    # The first visit fetches everything, the second has all cores.
    Page(browser, host, DESKTOP)
    is_kept = "return document.documentElement.dataset.offline === 'ready'"
    browser.until(lambda: browser.execute_script(is_kept))
    found, seconds_on_page = name_on_page(fasta, Page(browser, host, DESKTOP))
    records = fasta.read_text().count(">")
    return compare(found, expected) | {
        "records": records,
        "page_seconds": seconds_on_page,
        "page_records_per_second": records / seconds_on_page,
        "command_seconds": seconds,
    }


def main(
    data: Annotated[Path, typer.Option(help="Prepared data set that the queries are from.")],
    library: Annotated[Path, typer.Option(help="Library with a frame, in float32.")],
    num_queries: Annotated[int, typer.Option("--queries", help="Whole barcodes.")] = 2000,
    num_damaged: Annotated[int, typer.Option("--damaged", help="Barcodes to damage.")] = 700,
    json_file: Annotated[Path, typer.Option("--json", help="Where the results go.")] = Path(
        "results/speed/web.json"
    ),
) -> None:
    """Compare the page with the command."""
    pool = read_splits(data, ("val_unseen", "test"), ("processid", "dna_barcode"))
    chosen = np.random.default_rng(0).permutation(pool.num_rows)[: max(num_queries, num_damaged)]
    names, texts = (pool[column].to_pylist() for column in ("processid", "dna_barcode"))
    records = [f">{names[row]}\n{texts[row]}\n" for row in chosen]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {
            WHOLE: "".join(records[:num_queries]),
            DAMAGED: damaged("".join(records[:num_damaged])),
        }
        weights = build_site(library, folder / "site")
        host = Host(folder / "site")
        content: dict[str, Any] = {"kinds": {}}
        with open_chromium(folder) as browser:
            host.start(browser)
            for kind, text in files.items():
                fasta = folder / f"{kind.split()[0]}.fasta"
                fasta.write_text(text)
                typer.echo(f"{kind} ...", err=True)
                content["kinds"][kind] = measure(fasta, library, browser, host, folder)
            host.stop()
    content |= {
        "references": len(ReferenceLibrary(library)),
        "megabytes": weights,
        "dataset_hash": dataset_hash(data),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "command": "python benchmarks/web_page.py --data DATA --library LIB",
    }
    json_file.parent.mkdir(parents=True, exist_ok=True)
    write_json(json_file, content)
    typer.echo(content)


if __name__ == "__main__":
    typer.run(main)
