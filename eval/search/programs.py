"""Alignment search by external programs, the baseline that every model has to beat.

In: reference and query sequences. Out: for `vsearch` and `blastn` the row of each query's top hit.
The programs are found on PATH. They are started with lists of arguments, in the folder of their
files, by names relative to it: `blastn -db` takes a blank in a path for the end of a name.
Guarded by tests/eval/search/test_programs.py.

Shapes: Q = queries.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from barcodemae.conventions.letters import clean
from barcodemae.errors import BarcodeMAEError


@runtime_checkable
class Searcher(Protocol):
    """Anything that finds the best reference for a query without embedding.

    Attributes:
        name: Name of the program.
        fingerprint: Name and version of the program.
        architecture: Kind of system, for the first column of a table.
        settings: Options that change the hits, as on its command line; for records.
    """

    name: str
    fingerprint: str
    architecture: str
    settings: str

    def search(self, references: Sequence[str], queries: Sequence[str]) -> list[int | None]:
        """Return the row of each query's best reference, None where there is no hit, Q."""


class MissingProgramError(BarcodeMAEError):
    """An external program is not on PATH."""


def find_program(program: str, package: str) -> str:
    """Return the absolute path of an external program.

    Raises:
        MissingProgramError: It is not on PATH; the message names the package that contains it.
    """
    path = shutil.which(program)
    if path is None:
        raise MissingProgramError(
            f"`{program}` is not on PATH; it is in the Debian/Ubuntu and bioconda package {package}"
        )
    return str(Path(path).absolute())


def write_fasta(path: Path, sequences: Sequence[str]) -> None:
    """Write cleaned sequences as FASTA, with their row numbers as ids."""
    with path.open("w") as stream:
        for row, sequence in enumerate(sequences):
            stream.write(f">{row}\n{clean(sequence)}\n")


def run_program(command: Sequence[str], folder: Path) -> str:
    """Run an external program and return its standard output.

    Args:
        command: Path of the program and its arguments, without shell quoting.
        folder: Folder to run in; names of files are relative to it.

    Raises:
        BarcodeMAEError: It failed; the message ends with the last line of its error output.
    """
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        said = (result.stderr.strip() or "no message").rsplit("\n", maxsplit=1)[-1]
        raise BarcodeMAEError(f"{Path(command[0]).name} failed: {said}")
    return result.stdout


def program_version(command: Sequence[str]) -> str:
    """Return the version that a program prints after its name, e.g. `2.22.1`."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    name = re.escape(Path(command[0]).name)
    found = re.search(rf"{name}:? v?(\d+(?:\.\d+)+)", f"{result.stderr}\n{result.stdout}")
    return found[1] if found else "unknown"


ALIGNMENT = "alignment search"
Hit = tuple[int, float]  # row of the reference, percent identity


def best_hits(lines: str, num_queries: int) -> list[Hit | None]:
    """Choose the top hit of each query: the highest score, of equal ones the lowest target.

    Args:
        lines: Tab-separated hits: row of the query, row of the target (`*` for none), score,
            percent identity.
        num_queries: Number of queries, Q.

    Returns:
        Top hit of each query, None where there is no hit, Q.
    """
    best: dict[int, tuple[float, int, float]] = {}
    for line in lines.splitlines():
        query, target, score, identity = line.split("\t")
        if target == "*":
            continue
        hit = (float(score), -int(target), float(identity))
        best[int(query)] = max(best.get(int(query), hit), hit)
    found = [best.get(row) for row in range(num_queries)]
    return [None if hit is None else (-hit[1], hit[2]) for hit in found]


def rows_of(hits: Sequence[Hit | None]) -> list[int | None]:
    """Return the rows of hits, without their identities."""
    return [None if hit is None else hit[0] for hit in hits]


class Vsearch:
    """VSEARCH's global alignment search: the hit with the highest identity.

    The settings are those usual for identification: identity of at least 60 %, stop after 4
    accepted or 32 rejected references.

    Args:
        threads: Number of threads, 0 for all cores.
    """

    architecture = ALIGNMENT
    options = (
        *("--id", "0.6", "--maxaccepts", "4", "--maxrejects", "32", "--maxhits", "4"),
        *("--strand", "plus"),
    )
    settings = " ".join(options)

    def __init__(self, threads: int = 0) -> None:
        self.program = find_program("vsearch", "vsearch")
        self.threads = threads
        self.name = "vsearch"
        self.fingerprint = f"vsearch {program_version([self.program, '--version'])}"

    def search(self, references: Sequence[str], queries: Sequence[str]) -> list[int | None]:
        """Return the row of the best reference per query, None where nothing was found."""
        return rows_of(self.search_identities(references, queries))

    def search_identities(
        self, references: Sequence[str], queries: Sequence[str]
    ) -> list[Hit | None]:
        """Return the best reference per query with its percent identity."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_fasta(folder / "references.fa", references)
            write_fasta(folder / "queries.fa", queries)
            command = [
                *(self.program, "--usearch_global", "queries.fa", "--db", "references.fa"),
                *self.options,
                *("--userout", "hits.tsv", "--userfields", "query+target+id+id"),
                *("--threads", str(self.threads), "--quiet"),
            ]
            run_program(command, folder)
            return best_hits((folder / "hits.tsv").read_text(), len(queries))


class Blastn:
    """BLAST's local alignment search: the hit with the highest bit score.

    The task is the program's own default, megablast. With `-task blastn`, which extends matches of
    11 instead of 28 bases, 1,669 queries against 33,730 barcodes of one gene had not finished after
    25 minutes on two shared cores.

    Args:
        threads: Number of threads.
    """

    architecture = ALIGNMENT
    options = (
        *("-task", "megablast", "-strand", "plus", "-evalue", "1e-5"),
        *("-max_target_seqs", "10", "-max_hsps", "1"),
    )
    settings = " ".join(options)

    def __init__(self, threads: int = 2) -> None:
        self.program = find_program("blastn", "ncbi-blast+")
        self.index_program = find_program("makeblastdb", "ncbi-blast+")
        self.threads = threads
        self.name = "blastn"
        self.fingerprint = f"blastn {program_version([self.program, '-version'])}"

    def search(self, references: Sequence[str], queries: Sequence[str]) -> list[int | None]:
        """Return the row of the best reference per query, None where nothing was found."""
        return rows_of(self.search_identities(references, queries))

    def search_identities(
        self, references: Sequence[str], queries: Sequence[str]
    ) -> list[Hit | None]:
        """Return the best reference per query with its percent identity."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_fasta(folder / "references.fa", references)
            write_fasta(folder / "queries.fa", queries)
            run_program([self.index_program, "-in", "references.fa", "-dbtype", "nucl"], folder)
            command = [
                *(self.program, "-query", "queries.fa", "-db", "references.fa"),
                *self.options,
                *("-num_threads", str(self.threads)),
                *("-outfmt", "6 qseqid sseqid bitscore pident"),
            ]
            return best_hits(run_program(command, folder), len(queries))


SEARCHERS = ("vsearch", "blastn")


def make_searcher(name: str) -> Searcher:
    """Return a search program by its name, `vsearch` or `blastn`."""
    return Vsearch() if name == "vsearch" else Blastn()
