"""Alignment search by external programs, the baseline that every model has to beat.

In: reference and query sequences. Out: for `vsearch` and `blastn` the row of the best hit. The
programs are found on PATH. Guarded by tests/eval/search/test_programs.py.
"""

import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from barcodemae.errors import BarcodeMAEError
from barcodemae.eval.embed.screening import clean


@runtime_checkable
class Searcher(Protocol):
    """Anything that finds the best reference for a query without embedding.

    Attributes:
        name: Of the program.
        fingerprint: Program and version.
        settings: The options that decide what is found, as on its command line.
    """

    name: str
    fingerprint: str
    settings: str

    def search(self, references: Sequence[str], queries: Sequence[str]) -> list[int | None]:
        """Return the row of the best reference per query, None where nothing was found."""


class MissingProgramError(BarcodeMAEError):
    """An external program is not on PATH."""


def find_program(program: str, package: str) -> str:
    """Return the path of an external program.

    Raises:
        MissingProgramError: Names the Debian package that holds it.
    """
    path = shutil.which(program)
    if path is None:
        raise MissingProgramError(
            f"`{program}` is not on PATH; it is in the Debian/Ubuntu and bioconda package {package}"
        )
    return path


def write_fasta(path: Path, sequences: Sequence[str]) -> None:
    """Write sequences under their row numbers."""
    with path.open("w") as stream:
        for row, sequence in enumerate(sequences):
            stream.write(f">{row}\n{clean(sequence)}\n")


def run_program(command: str) -> str:
    """Run an external program (words as in a shell) and return its standard output.

    Raises:
        BarcodeMAEError: It failed; with the last line it said.
    """
    words = shlex.split(command)
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        said = (result.stderr.strip() or "no message").rsplit("\n", maxsplit=1)[-1]
        raise BarcodeMAEError(f"{Path(words[0]).name} failed: {said}")
    return result.stdout


def program_version(command: Sequence[str]) -> str:
    """Return the version that a program prints behind its name, e.g. `2.22.1`."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    name = re.escape(Path(command[0]).name)
    found = re.search(rf"{name}:? v?(\d+(?:\.\d+)+)", f"{result.stderr}\n{result.stdout}")
    return found[1] if found else "unknown"


Hit = tuple[int, float]  # row of the reference, percent identity


def best_hits(lines: str, num_queries: int) -> list[Hit | None]:
    """Read lines of hits: the highest score wins, ties go to the lowest target.

    Args:
        lines: Tab-separated row numbers of query and target (`*` for none), a score, and the
            percent identity.
        num_queries: Number of queries.
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
    """Keep the rows of hits."""
    return [None if hit is None else hit[0] for hit in hits]


class Vsearch:
    """Global alignment search: best identity among the most promising references.

    The settings are VSEARCH's usual ones for identification: identity at least 60 %, stop after
    4 accepted or 32 rejected references; highest identity wins.
    """

    settings = "--id 0.6 --maxaccepts 4 --maxrejects 32 --maxhits 4 --strand plus"

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
        with tempfile.TemporaryDirectory() as folder:
            database, wanted, hits = (Path(folder) / name for name in ("r.fa", "q.fa", "hits.tsv"))
            write_fasta(database, references)
            write_fasta(wanted, queries)
            run_program(
                f"{self.program} --usearch_global {wanted} --db {database} "
                f"{self.settings} --userout {hits} --userfields query+target+id+id "
                f"--threads {self.threads} --quiet"
            )
            return best_hits(hits.read_text(), len(queries))


class Blastn:
    """Local alignment search: the hit with the highest bit score.

    The task is the program's own default, megablast. With `-task blastn`, which extends
    matches of 11 instead of 28 bases, 1,669 queries against 33,730 barcodes of one gene had not
    finished after 25 minutes on two shared cores.
    """

    settings = "-task megablast -strand plus -evalue 1e-5 -max_target_seqs 10 -max_hsps 1"

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
        with tempfile.TemporaryDirectory() as folder:
            database, wanted = Path(folder) / "r.fa", Path(folder) / "q.fa"
            write_fasta(database, references)
            write_fasta(wanted, queries)
            run_program(f"{self.index_program} -in {database} -dbtype nucl")
            lines = run_program(
                f"{self.program} -query {wanted} -db {database} {self.settings} "
                f"-num_threads {self.threads} "
                "-outfmt '6 qseqid sseqid bitscore pident'"
            )
            return best_hits(lines, len(queries))


SEARCHERS = ("vsearch", "blastn")


def make_searcher(name: str) -> Searcher:
    """Return the search program `vsearch` or `blastn`."""
    return Vsearch() if name == "vsearch" else Blastn()
