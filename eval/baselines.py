"""What a sceptic asks for first: k-mer counts and alignment search, under the same protocol.

In: sequences. Out: for `kmer:K` vectors of counts (N, 4**K) like any embedder; for `vsearch` and
`blastn` the row of the best hit. The programs are found on PATH. Guarded by
tests/eval/test_baselines.py.
"""

import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped]

from barcodemae.errors import BarcodeMAEError, SettingsError
from barcodemae.eval.screening import clean


KMER_PREFIX = "kmer:"
MAX_COUNTED_K = 7  # 4**7 = 16,384 columns
BASE_CODES = np.full(256, -1, np.int16)  # wide enough for the number of any k-mer
BASE_CODES[[ord(base) for base in "ACGT"]] = range(4)


class KmerCounts:
    """Counts of all overlapping k-mers of A, C, G, T; k-mers with another letter are skipped.

    Args:
        k: Length in bp, 1 to 7.

    Raises:
        SettingsError: k is out of range.
    """

    def __init__(self, k: int) -> None:
        if not 1 <= k <= MAX_COUNTED_K:
            raise SettingsError(f"kmer:{k}: k must be between 1 and {MAX_COUNTED_K}")
        self.k = k
        self.name = self.fingerprint = f"{KMER_PREFIX}{k}"

    def kmer_codes(self, sequence: str) -> NDArray[np.int64]:
        """Number the k-mers of a sequence in `product("ACGT")` order, in place."""
        bases = BASE_CODES[np.frombuffer(clean(sequence).encode("ascii", "replace"), np.uint8)]
        num_kmers = max(len(bases) - self.k + 1, 0)
        codes = np.zeros(num_kmers, np.int16)
        for offset in range(self.k):
            codes = 4 * codes + bases[offset : offset + num_kmers]
        is_unknown = bases < 0
        if is_unknown.any():
            num_unknown = np.concatenate([[0], is_unknown.cumsum()])  # before each base
            codes = codes[num_unknown[self.k :] == num_unknown[:num_kmers]]
        return codes.astype(np.int64)

    def counts(self, sequences: Sequence[str]) -> sparse.csr_array:
        """Count k-mers, (N, 4**k) sparse."""
        pairs = [np.unique(self.kmer_codes(text), return_counts=True) for text in sequences]
        starts = [0, *accumulate(len(codes) for codes, _ in pairs)]
        columns = np.concatenate([codes for codes, _ in pairs])
        values = np.concatenate([count for _, count in pairs]).astype(np.float32)
        return sparse.csr_array((values, columns, starts), shape=(len(pairs), 4**self.k))

    def embed(self, sequences: Sequence[str], *, progress: bool = False) -> NDArray[np.float32]:
        """Count k-mers, (N, 4**k) dense."""
        return self.counts(sequences).toarray()  # type: ignore[no-any-return]

    def find_invalid(self, sequences: Sequence[str]) -> dict[int, str]:
        """Return row -> reason for sequences without any countable k-mer."""
        return {
            row: f"no k-mer of {self.k} bases without an ambiguous letter"
            for row, text in enumerate(sequences)
            if len(self.kmer_codes(text)) == 0
        }


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


def load_kmer_counts(model: str) -> KmerCounts | None:
    """Return the k-mer counter named `kmer:K`, or None if `model` is another name.

    Raises:
        SettingsError: K is not a number or out of range.
    """
    if not model.startswith(KMER_PREFIX):
        return None
    digits = model.removeprefix(KMER_PREFIX)
    if not digits.isdigit():
        raise SettingsError(f"{model}: K must be a number, e.g. kmer:5")
    return KmerCounts(int(digits))
