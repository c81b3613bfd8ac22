"""Peak memory of commands on inputs that are far too large for what they hold.

    python benchmarks/memory.py --megabytes 1500 --json results/files/memory.json

Three files, one at a time: a FASTA of one sound record and one line without end, the same packed
by gzip into less than a thousandth, and a table with such a cell. `prepare`, `index`, `identify`
and `embed` read each; their peak resident memory is that of the process, as the system counts it.
"""

import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from barcodemae import __version__
from barcodemae.files import write_json


PIECE = b"A" * (1 << 20)
LINEAGE = "p:Arthropoda,c:Insecta,o:Diptera,f:Culicidae,g:Aedes,s:Aedes_"


def sound_records(count: int) -> Iterator[tuple[str, str, str]]:
    """Yield id, species' epithet and letters of simulated records."""
    generator = random.Random(0)
    letters = generator.choices("ACGT", (32, 16, 16, 36), k=658)
    for number in range(count):
        if number % 2 == 0:
            letters = [generator.choice("ACGT") if generator.random() < 0.1 else x for x in letters]
        yield f"r{number}", "abcdefghij"[number // 2 % 10] * 6, "".join(letters)


def write_fasta(write: Callable[[bytes], Any], megabytes: int) -> None:
    """Write sound records, then one of a single line."""
    for name, epithet, letters in sound_records(40):
        write(f">{name};tax={LINEAGE}{epithet};\n{letters}\n".encode())
    write(b">endless;tax=p:Arthropoda;\n")
    for _ in range(megabytes):
        write(PIECE)
    write(b"\n")


def write_table(write: Callable[[bytes], Any], megabytes: int) -> None:
    """Write sound rows, then one with a cell without end."""
    write(b"processid,phylum,class,order,family,genus,species,sequence\n")
    for name, epithet, letters in sound_records(40):
        names = f"Arthropoda,Insecta,Diptera,Culicidae,Aedes,Aedes {epithet}"
        write(f"{name},{names},{letters}\n".encode())
    write(b"endless,,,,,,,")
    for _ in range(megabytes):
        write(PIECE)
    write(b"\n")


def make_inputs(folder: Path, megabytes: int) -> Iterator[Path]:
    """Make one input after the other; each is removed before the next is made."""
    writers = {"one_line.fasta": write_fasta, "bomb.fasta.gz": write_fasta, "cell.csv": write_table}
    for name, fill in writers.items():
        path = folder / name
        with gzip.open(path, "wb", 9) if path.suffix == ".gz" else path.open("wb") as stream:
            fill(stream.write, megabytes)
        yield path
        path.unlink()


def measure(words: list[str], folder: Path) -> dict[str, Any]:
    """Run a command in a folder; return its exit code, peak memory and last line."""
    command = [sys.executable, "-m", "barcodemae", *words]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        lines = said.read().strip().splitlines() or [""]
    return {
        "exit_code": process.returncode,
        "peak_mib": round(usage.ru_maxrss / 1024),
        "last_line": lines[-1].replace(f"{folder}/", "")[-200:],
    }


def main(
    json_file: Annotated[Path, typer.Option("--json", help="File of the results.")],
    megabytes: Annotated[int, typer.Option(help="Size of the inputs, unpacked.")] = 1500,
    model: Annotated[str, typer.Option(help="Model of all commands.")] = "kmer:4",
) -> None:
    """Measure every command on every input."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        refs = folder / "refs.fasta"
        with refs.open("wb") as stream:
            write_fasta(stream.write, 0)
        lib = str(folder / "lib")
        if measure(["index", str(refs), "-m", model, "-o", lib], folder)["exit_code"]:
            raise SystemExit("the library cannot be made")
        for path in make_inputs(folder, megabytes):
            size = path.stat().st_size
            for command, words in {
                "prepare": ["-o", str(folder / "data")],
                "index": ["-m", model, "-o", str(folder / "other")],
                "identify": ["-r", lib, "-m", model, "-o", str(folder / "out.tsv")],
                "embed": ["-m", model, "-o", str(folder / "vectors.tsv")],
            }.items():
                overwrite = ["--overwrite"] if command in ("prepare", "index") else []
                found = measure([command, str(path), *words, *overwrite], folder)
                rows.append({"command": command, "file": path.name, "bytes": size, **found})
                typer.echo(json.dumps(rows[-1]), err=True)
    command = f"python benchmarks/memory.py --megabytes {megabytes} --model {model}"
    outcome = {"version": __version__, "command": command, "rows": rows}
    write_json(json_file, outcome, indent=1)
    typer.echo(json.dumps(outcome, indent=1))


if __name__ == "__main__":
    typer.run(main)
