"""Names of the best hit, cut off by identity: VSEARCH, BLAST, MMseqs2.

The cut-offs are the usual ones, 97 / 95 / 90 % for species, genus, family and above. In:
references, queries. Out: `Predictions` without confidences, and less identity for more novelty.
Guarded by tests/benchmarks/test_rivals.py.

Shapes: Q = queries.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from barcodemae.eval.identify.by_alignment import from_top_hits, identify_by_top_hit
from barcodemae.eval.identify.scores import Predictions
from barcodemae.eval.search.programs import (
    Blastn,
    Vsearch,
    best_hits,
    find_program,
    run_program,
    write_fasta,
)
from rivals.references import References


MMSEQS_OPTIONS = (
    *("--search-type", "3", "--strand", "1", "--max-accept", "10", "-v", "1"),
    *("--format-output", "query,target,bits,pident"),
)


def with_family(found: Predictions) -> Predictions:
    """Repeat the novelty of genera for families: it is the same identity, (Q, 3)."""
    return replace(found, novelty=np.hstack([found.novelty, found.novelty[:, 1:]]))


def vsearch(references: References, queries: Sequence[str], threads: int) -> Predictions:
    """Name queries by VSEARCH's best hit."""
    program = Vsearch(threads)
    return with_family(
        identify_by_top_hit(program, references.sequences, references.codes, queries)
    )


def blastn(references: References, queries: Sequence[str], threads: int) -> Predictions:
    """Name queries by BLAST's best hit."""
    program = Blastn(threads)
    return with_family(
        identify_by_top_hit(program, references.sequences, references.codes, queries)
    )


def mmseqs(references: References, queries: Sequence[str], threads: int) -> Predictions:
    """Name queries by the best hit of `mmseqs easy-search`."""
    program = find_program("mmseqs", "mmseqs2")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_fasta(folder / "references.fa", references.sequences)
        write_fasta(folder / "queries.fa", queries)
        command = [
            *(program, "easy-search", "queries.fa", "references.fa", "hits.tsv", "temporary"),
            *(*MMSEQS_OPTIONS, "--threads", str(threads)),
        ]
        run_program(command, folder)
        hits = best_hits((folder / "hits.tsv").read_text(), len(queries))
    return with_family(from_top_hits(hits, references.codes))
