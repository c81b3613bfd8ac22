"""Identification by other programs: VSEARCH's SINTAX, and top hits with identity thresholds.

In: references with their lineages, queries. Out: `Predictions`, which are scored like those of this
project. Taxa are written for the programs as codes, so no name needs escaping.
Guarded by tests/eval/identify/test_by_alignment.py.

Shapes: R = references, Q = queries, T = ranks.
"""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.formats import LETTERS
from barcodemae.eval.identify.judge.ladder import UNKNOWN
from barcodemae.eval.identify.scores import Predictions
from barcodemae.eval.search.programs import Blastn, Vsearch, run_program, write_fasta


IDENTITY_THRESHOLDS = {"species": 97.0, "genus": 95.0, "family": 90.0}  # percent; the usual ones
SINTAX_THRESHOLD = 0.8  # confidence; the usual one
SINTAX_NAME = re.compile(r"([a-z]):(\d+)\((\d\.\d+)\)")
RANK_OF_LETTER = {letter: RANKS.index(rank) for rank, letter in LETTERS.items()}
GENUS, SPECIES = RANKS.index("genus"), RANKS.index("species")


def write_sintax_references(path: Path, sequences: Sequence[str], codes: NDArray[np.int32]) -> None:
    """Write references with their lineages in the format of SINTAX.

    Args:
        path: FASTA file to write.
        sequences: Barcodes of the references, R.
        codes: Codes of their taxa, (R, T).
    """
    with path.open("w") as stream:
        for row, (text, taxa) in enumerate(zip(sequences, codes.tolist(), strict=True)):
            names = (
                f"{letter}:{taxa[rank]}"
                for letter, rank in RANK_OF_LETTER.items()
                if taxa[rank] != UNKNOWN
            )
            stream.write(f">{row};tax={','.join(names)};\n{text}\n")


def read_sintax(text: str, num_queries: int) -> Predictions:
    """Read the output table of `--sintax`, in which the ids of queries are their row numbers.

    Args:
        text: Content of the table.
        num_queries: Number of queries, Q.
    """
    shape = (num_queries, len(RANKS))
    names, confidence = np.full(shape, UNKNOWN, np.int64), np.zeros(shape)
    for line in text.splitlines():
        query, found = line.split("\t")[:2]
        for letter, code, value in SINTAX_NAME.findall(found):
            rank = RANK_OF_LETTER[letter]
            names[int(query), rank], confidence[int(query), rank] = int(code), float(value)
    is_assigned = (names != UNKNOWN) & (confidence >= SINTAX_THRESHOLD)
    return Predictions(names, is_assigned, confidence, 1 - confidence[:, [SPECIES, GENUS]])


def identify_by_sintax(
    program: Vsearch, references: Sequence[str], codes: NDArray[np.int32], queries: Sequence[str]
) -> Predictions:
    """Identify queries by `vsearch --sintax` (100 bootstrap samples per query, one strand).

    Args:
        program: VSEARCH.
        references: Barcodes of the references, R.
        codes: Codes of their taxa, (R, T).
        queries: Cleaned sequences, Q.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sintax_references(folder / "references.fa", references, codes)
        write_fasta(folder / "queries.fa", queries)
        command = [
            *(program.program, "--sintax", "queries.fa", "--db", "references.fa"),
            *("--tabbedout", "names.tsv", "--sintax_cutoff", str(SINTAX_THRESHOLD)),
            *("--randseed", "1", "--threads", str(program.threads or 1)),
            *("--strand", "plus", "--quiet"),
        ]
        run_program(command, folder)
        return read_sintax((folder / "names.tsv").read_text(), len(queries))


def from_top_hits(
    hits: Sequence[tuple[int, float] | None], codes: NDArray[np.int32]
) -> Predictions:
    """Assign the lineage of the top hit, at each rank if its identity reaches the threshold.

    Args:
        hits: Row of the best reference and percent identity of each query, None where there is no
            hit, Q.
        codes: Codes of the references' taxa, (R, T).
    """
    rows = np.array([-1 if hit is None else hit[0] for hit in hits])  # (Q,)
    identity = np.array([0.0 if hit is None else hit[1] for hit in hits])  # (Q,)
    names = np.where(rows[:, None] >= 0, codes[rows], UNKNOWN).astype(np.int64)  # (Q, T)
    default = IDENTITY_THRESHOLDS["family"]
    thresholds = np.array([IDENTITY_THRESHOLDS.get(rank, default) for rank in RANKS])  # (T,)
    is_assigned = (names != UNKNOWN) & (identity[:, None] >= thresholds)
    novelty = np.repeat(-identity[:, None], 2, axis=1)
    return Predictions(names, is_assigned, np.full(names.shape, np.nan), novelty)


def identify_by_top_hit(
    program: Vsearch | Blastn,
    references: Sequence[str],
    codes: NDArray[np.int32],
    queries: Sequence[str],
) -> Predictions:
    """Identify queries by the top hit of a search program and its identity.

    Args:
        program: Search program.
        references: Barcodes of the references, R.
        codes: Codes of their taxa, (R, T).
        queries: Cleaned sequences, Q.
    """
    return from_top_hits(program.search_identities(references, queries), codes)
