"""The rivals of a benchmark, and at which thresholds each is scored.

In: nothing. Out: `RIVALS`, by name. Guarded by tests/benchmarks/test_rivals.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from barcodemae.eval.identify.scores import Predictions
from rivals import bootstraps, top_hits
from rivals.references import References


Naming = Callable[[References, Sequence[str], int], Predictions]


@dataclass(frozen=True)
class Rival:
    """A program that names barcodes.

    Attributes:
        identify: Function from references, queries and threads to names.
        package: Package of Debian and Ubuntu that has the program.
        thresholds: Supports from which names are scored; none for a program with cut-offs of its
            own.
        max_queries: Largest number of queries of a set, None for all; for slow programs.
    """

    identify: Naming
    package: str
    thresholds: tuple[float, ...] = ()
    max_queries: int | None = None


RIVALS = {
    "SINTAX": Rival(bootstraps.sintax, "vsearch", (0.6, 0.8)),
    "VSEARCH best hit": Rival(top_hits.vsearch, "vsearch"),
    "MMseqs2 best hit": Rival(top_hits.mmseqs, "mmseqs2"),
    "BLAST best hit": Rival(top_hits.blastn, "ncbi-blast+", max_queries=200),
    "RDP": Rival(bootstraps.rdp, "rdp-classifier", (0.5, 0.8), max_queries=1000),
    "dada2": Rival(bootstraps.dada2, "r-bioc-dada2", (0.5, 0.8), max_queries=500),
}


def program_of(method: str) -> str:
    """Return the name in `RIVALS` of a method: `SINTAX` of `SINTAX 0.6`; else the method."""
    return next((name for name in RIVALS if method.startswith(name)), method)
