"""Speed and memory of `barcodemae prepare` on tables in the layout of BIOSCAN-5M, or of BOLD.

    python benchmarks/prepare.py --rows 500000 --rows 5150000 --out results.json
    python benchmarks/prepare.py --layout bold-targz --rows 250000 --rows 1000000 --plan 20000000
    python benchmarks/prepare.py --layout bold-targz --rows 20000000 --kill --out results.json

With `--layout bold-targz` or `bold-parquet` the rows stand in a BOLD package: its columns as a TSV
in a tar.gz, or as Parquet. `--plan` adds what that many rows would take, calculated as linear from
the largest run.

A table of each size is generated, prepared in a process of its own, and deleted. The barcodes
descend from 25,000 random ancestors with about 2 % of the bases changed; 46.6 % of the rows are
distinct, as in the published table (2.4 of 5.15 million). Reported are wall-clock and CPU seconds,
and peak resident memory.

With `--kill` the last table is prepared three times more, with `--resume`: without interruption,
killed (SIGKILL) when half of the segments are on the disk, and resumed. The bytes of both data sets
are compared.
"""

import argparse
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from barcodemae.files import write_json
from barcodemae.model_files import hash_file
from barcodemae.training.data.progress import ROWS_PER_SEGMENT


HEADER = (
    "processid,sampleid,taxon,phylum,class,order,family,subfamily,genus,species,dna_bin,"
    "dna_barcode,country,province_state,coord-lat,coord-lon,image_measurement_value,area_fraction,"
    "scale_factor,inferred_ranks,split,index_bioscan_1M_insect,chunk"
)
# Rows of each split of the published table; pre-training rows have no species.
SPLIT_ROWS = {
    "pretrain": 4_677_756,
    "train": 289_203,
    "val": 14_757,
    "test": 39_373,
    "key_unseen": 36_465,
    "val_unseen": 8_819,
    "test_unseen": 7_887,
    "other_heldout": 76_590,
}
DISTINCT_SHARE = 2.4 / 5.15
NUM_SPECIES = 25_000
BARCODE_BP = 658
BOLD_COLUMNS = {  # column of a BOLD package -> ours
    "processid": "processid",
    "sampleid": "sampleid",
    "bin_uri": "dna_bin",
    "phylum": "phylum",
    "class": "class",
    "order": "order",
    "family": "family",
    "subfamily": "subfamily",
    "genus": "genus",
    "species": "species",
    "identification": "taxon",
    "country/ocean": "country",
    "nuc": "dna_barcode",
}
ROWS_PER_BLOCK = 20_000
LEAST_SEGMENTS = 8  # of a small table too, so that there is a half
SECONDS_BETWEEN_LOOKS = 0.05


def write_table(path: Path, num_rows: int, seed: int = 0) -> None:
    """Write a metadata table with a number of rows."""
    generator = np.random.default_rng(seed)
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)
    ancestors = letters[generator.integers(0, 4, (NUM_SPECIES, BARCODE_BP), dtype=np.uint8)]
    shares = np.array(list(SPLIT_ROWS.values())) / sum(SPLIT_ROWS.values())
    recent: list[tuple[str, int, str]] = []
    with path.open("w") as stream:
        stream.write(HEADER + "\n")
        for start in range(0, num_rows, ROWS_PER_BLOCK):
            size = min(ROWS_PER_BLOCK, num_rows - start)
            is_new = generator.random(size) < DISTINCT_SHARE
            is_new[0] = True
            fresh = _descendants(generator, ancestors, letters, shares, int(is_new.sum()))
            number = -1
            rows = []
            for row in range(size):
                number += bool(is_new[row])
                pool = fresh if is_new[row] or not recent else recent
                at = number if is_new[row] else int(generator.integers(0, len(pool)))
                rows.append(_line(start + row, *pool[min(at, len(pool) - 1)]))
            stream.write("".join(rows))
            recent = (recent + fresh)[-200_000:]


def _descendants(
    generator: np.random.Generator,
    ancestors: NDArray[np.uint8],
    letters: NDArray[np.uint8],
    shares: NDArray[np.float64],
    size: int,
) -> list[tuple[str, int, str]]:
    """Generate barcodes that are new to the table, with their species and split."""
    names = list(SPLIT_ROWS)
    species = generator.integers(0, NUM_SPECIES, size)
    barcodes = ancestors[species]
    is_changed = generator.random(barcodes.shape, dtype=np.float32) < 0.02
    barcodes[is_changed] = letters[generator.integers(0, 4, int(is_changed.sum()))]
    splits = generator.choice(len(names), size, p=shares)
    lengths = generator.integers(500, BARCODE_BP + 1, size)
    lengths[generator.random(size) < 0.8] = BARCODE_BP
    return [
        (bytes(barcode[:length]).decode(), int(kind), names[split])
        for barcode, kind, split, length in zip(barcodes, species, splits, lengths, strict=True)
    ]


def _line(row: int, barcode: str, species: int, split: str) -> str:
    genus = species // 5
    order, family = genus % 20, genus % 700
    is_labelled = split != "pretrain"
    names = f"Genus{genus},Genus{genus} species{species}" if is_labelled else ","
    taxon = f"Genus{genus} species{species}" if is_labelled else f"Family{family}idae"
    return (
        f"BSC{row:09d}-23,BIOUG{row:08d},{taxon},Arthropoda,Insecta,Order{order},Family{family}idae"
        f",,{names},BOLD:AAA{species:04d},{barcode},Costa Rica,Guanacaste,10.85,-85.61,"
        f"123456.0,0.25,1.5,,{split},,{row // 10_000}\n"
    )


def as_package(table: Path, layout: str) -> Path:
    """Turn a table into a BOLD package, and delete it.

    Args:
        table: CSV in the layout of BIOSCAN-5M.
        layout: `bold-targz` or `bold-parquet`.
    """
    renamed = table.with_name("BOLD_Public.tsv")
    with table.open() as source, renamed.open("w", newline="") as target:
        rows = csv.DictReader(source)
        writer = csv.writer(target, delimiter="\t", lineterminator="\n")
        writer.writerow([*BOLD_COLUMNS, "marker_code", "kingdom"])
        for row in rows:
            writer.writerow([*(row[name] for name in BOLD_COLUMNS.values()), "COI-5P", "Animalia"])
    table.unlink()
    if layout == "bold-parquet":
        package = table.with_name("BOLD_Public.parquet")
        options = pyarrow.csv.ParseOptions(delimiter="\t")
        with (
            pyarrow.csv.open_csv(renamed, parse_options=options) as reader,
            pyarrow.parquet.ParquetWriter(package, reader.schema) as parquet,
        ):
            for batch in reader:
                parquet.write_batch(batch)
    else:
        package = table.with_name("BOLD_Public.tar.gz")
        with tarfile.open(package, "w:gz", compresslevel=1) as archive:
            archive.add(renamed, renamed.name)
    renamed.unlink()
    return package


def make_table(num_rows: int, folder: Path, layout: str) -> Path:
    """Generate one table."""
    table = folder / "BIOSCAN_5M_Insect_Dataset_metadata.csv"
    write_table(table, num_rows)
    return table if layout == "bioscan5m" else as_package(table, layout)


def measure(num_rows: int, table: Path) -> dict[str, float]:
    """Prepare one table; return what was measured."""
    out, size = table.with_name("prepared"), table.stat().st_size
    script = (
        "import json, resource, sys\n"
        "from barcodemae.cli import main\n"
        "code = main(sys.argv[1:])\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print(json.dumps([used.ru_utime, used.ru_stime, used.ru_maxrss]))\n"
        "sys.exit(code)\n"
    )
    command = [sys.executable, "-c", script, "prepare", str(table), "--out", str(out)]
    start = time.perf_counter()
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    wall = time.perf_counter() - start
    user, system, peak = json.loads(run.stdout.splitlines()[-1])
    description = json.loads((out / "dataset.json").read_text())
    return {
        "rows": num_rows,
        "distinct": description["rows"]["kept"],
        "table_gb": size / 1e9,
        "wall_s": wall,
        "cpu_s": user + system,
        "peak_gib": peak / (1 << 20),
    }


def interrupt(num_rows: int, table: Path) -> dict[str, Any]:
    """Prepare one table with `--resume`, uninterrupted, and killed half-way and resumed.

    Returns:
        What was measured of the three runs, and whether the data sets are the same.
    """
    whole, out = table.with_name("whole"), table.with_name("interrupted")
    per_segment = min(ROWS_PER_SEGMENT, num_rows // LEAST_SEGMENTS)
    runs = {"without interruption": resumable(table, whole, per_segment)}
    expected = hash_files(whole)
    shutil.rmtree(whole)
    half = max(1, runs["without interruption"]["segments"] // 2)
    runs["killed"] = resumable(table, out, per_segment, kill_at=half)
    runs["resumed"] = resumable(table, out, per_segment)
    return {
        "rows": num_rows,
        "rows_per_segment": per_segment,
        "runs": [{"run": name, **run} for name, run in runs.items()],
        "same_bytes": hash_files(out) == expected,
    }


def resumable(
    table: Path, out: Path, per_segment: int, kill_at: int | None = None
) -> dict[str, float]:
    """Prepare a table with `--resume`.

    Args:
        table: The table.
        out: Folder of the data set.
        per_segment: Rows of a segment.
        kill_at: Number of segments on the disk at which the process is killed; None to let it end.

    Returns:
        Time and memory of the run, and the segments that were on the disk last.

    Raises:
        SystemExit: The run failed, or ended before it could be killed.
    """
    script = (
        "import sys\n"
        "from barcodemae.cli import main\n"
        "from barcodemae.training.data import progress\n"
        f"progress.ROWS_PER_SEGMENT = {per_segment}\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    start = time.perf_counter()
    command = [sys.executable, "-c", script, "prepare", str(table), "--out", str(out), "--resume"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    segments, ended = 0, 0
    while not ended:
        segments = segments_of(out) or segments
        if kill_at is not None and segments >= kill_at:
            os.kill(process.pid, signal.SIGKILL)
        time.sleep(SECONDS_BETWEEN_LOOKS)
        ended, status, used = os.wait4(process.pid, os.WNOHANG)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != (0 if kill_at is None else -signal.SIGKILL):
        raise SystemExit(f"`prepare --resume` ended with {process.returncode}")
    return {
        "segments": segments,
        "wall_s": time.perf_counter() - start,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_gib": used.ru_maxrss / (1 << 20),
    }


def segments_of(out: Path) -> int:
    """Count the segments that an unfinished run has on the disk."""
    progress = out.with_name(f"{out.name}.partial") / "progress.json"
    with suppress(FileNotFoundError):
        return len(json.loads(progress.read_text())["segments"])
    return 0


def hash_files(folder: Path) -> dict[str, str]:
    """Hash the files of a data set."""
    return {path.name: hash_file(path).hex() for path in folder.iterdir()}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, action="append", help="rows of a table; repeatable")
    parser.add_argument(
        "--layout", default="bioscan5m", choices=("bioscan5m", "bold-targz", "bold-parquet")
    )
    parser.add_argument("--plan", type=int, default=0, help="rows to calculate for")
    parser.add_argument("--kill", action="store_true", help="kill and resume the last table's run")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    parser.add_argument("--tmp", type=Path, help="where the tables go (needs 10 GB for 5 M rows)")
    options = parser.parse_args()
    results = {"cores": len(os.sched_getaffinity(0)), "python": sys.version.split()[0], "runs": []}
    results["layout"] = options.layout
    sizes = options.rows or [500_000, 5_150_000]
    for number, num_rows in enumerate(sizes, start=1):
        with tempfile.TemporaryDirectory(dir=options.tmp) as folder:
            table = make_table(num_rows, Path(folder), options.layout)
            results["runs"].append(measure(num_rows, table))
            print(json.dumps(results["runs"][-1]))
            if options.kill and number == len(sizes):
                shutil.rmtree(table.with_name("prepared"))
                results["killed"] = interrupt(num_rows, table)
                print(json.dumps(results["killed"]))
    if len(results["runs"]) > 1:
        first, last = results["runs"][0], results["runs"][-1]
        times = last["rows"] / first["rows"]
        results["growth"] = {
            name: round((last[name] / first[name]) / times, 3) for name in ("cpu_s", "peak_gib")
        }
        print(json.dumps(results["growth"]), "(1 = linear in the rows)")
    if options.plan:
        largest = results["runs"][-1]
        times = options.plan / largest["rows"]
        per_row = (largest["peak_gib"] - results["runs"][0]["peak_gib"]) / max(
            largest["rows"] - results["runs"][0]["rows"], 1
        )
        results["calculated"] = {
            "rows": options.plan,
            "cpu_s": largest["cpu_s"] * times,
            "peak_gib": largest["peak_gib"] + per_row * (options.plan - largest["rows"]),
        }
        print(json.dumps(results["calculated"]), "(calculated as linear)")
    if options.out:
        write_json(options.out, results)


if __name__ == "__main__":
    main()
