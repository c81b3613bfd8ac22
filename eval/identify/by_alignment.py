"""What identification by alignment gives: VSEARCH's SINTAX, and top hits with cut-offs.

In: references with their lineages, queries. Out: `Predictions` like those of this project, so that
one set of scores is applied to all. Names go to the programs as codes, so no name needs escaping.
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
from barcodemae.eval.identify.judge.evidence import UNKNOWN
from barcodemae.eval.identify.scores import Predictions
from barcodemae.eval.search.programs import Blastn, Vsearch, run_program, write_fasta


CUT_OFFS = {"species": 97.0, "genus": 95.0, "family": 90.0}  # percent identity, as is usual
SINTAX_CUT_OFF = 0.8  # the usual one
SINTAX_NAME = re.compile(r"([a-z]):(\d+)\((\d\.\d+)\)")
RANK_OF_LETTER = {letter: RANKS.index(rank) for rank, letter in LETTERS.items()}
GENUS, SPECIES = RANKS.index("genus"), RANKS.index("species")


def write_sintax_references(path: Path, sequences: Sequence[str], codes: NDArray[np.int32]) -> None:
    """Write references with their lineages as SINTAX reads them."""
    with path.open("w") as stream:
        for row, (text, taxa) in enumerate(zip(sequences, codes.tolist(), strict=True)):
            names = (
                f"{letter}:{taxa[rank]}"
                for letter, rank in RANK_OF_LETTER.items()
                if taxa[rank] != UNKNOWN
            )
            stream.write(f">{row};tax={','.join(names)};\n{text}\n")


def read_sintax(text: str, num_queries: int) -> Predictions:
    """Read the table of `--sintax`: names and confidences per query, a row number as its id."""
    shape = (num_queries, len(RANKS))
    names, confidence = np.full(shape, UNKNOWN, np.int64), np.zeros(shape)
    for line in text.splitlines():
        query, found = line.split("\t")[:2]
        for letter, code, value in SINTAX_NAME.findall(found):
            rank = RANK_OF_LETTER[letter]
            names[int(query), rank], confidence[int(query), rank] = int(code), float(value)
    is_assigned = (names != UNKNOWN) & (confidence >= SINTAX_CUT_OFF)
    return Predictions(names, is_assigned, confidence, 1 - confidence[:, [SPECIES, GENUS]])


def identify_by_sintax(
    program: Vsearch, references: Sequence[str], codes: NDArray[np.int32], queries: Sequence[str]
) -> Predictions:
    """Run `vsearch --sintax` (100 bootstrap samples of k-mers per query, one strand)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sintax_references(folder / "references.fa", references, codes)
        write_fasta(folder / "queries.fa", queries)
        command = [
            *(program.program, "--sintax", "queries.fa", "--db", "references.fa"),
            *("--tabbedout", "names.tsv", "--sintax_cutoff", str(SINTAX_CUT_OFF)),
            *("--randseed", "1", "--threads", str(program.threads or 1)),
            *("--strand", "plus", "--quiet"),
        ]
        run_program(command, folder)
        return read_sintax((folder / "names.tsv").read_text(), len(queries))


def from_top_hits(
    hits: Sequence[tuple[int, float] | None], codes: NDArray[np.int32]
) -> Predictions:
    """Name queries after their best hit, at each rank from its usual identity on.

    Args:
        hits: Row of the best reference and percent identity, None where nothing was found.
        codes: Lineages of the references, (R, T).
    """
    rows = np.array([-1 if hit is None else hit[0] for hit in hits])
    identity = np.array([0.0 if hit is None else hit[1] for hit in hits])
    names = np.where(rows[:, None] >= 0, codes[rows], UNKNOWN).astype(np.int64)
    least = np.array([CUT_OFFS.get(rank, CUT_OFFS["family"]) for rank in RANKS])
    is_assigned = (names != UNKNOWN) & (identity[:, None] >= least)
    novelty = np.repeat(-identity[:, None], 2, axis=1)
    return Predictions(names, is_assigned, np.full(names.shape, np.nan), novelty)


def identify_by_top_hit(
    program: Vsearch | Blastn,
    references: Sequence[str],
    codes: NDArray[np.int32],
    queries: Sequence[str],
) -> Predictions:
    """Take the best hit of a search program and its percent identity."""
    return from_top_hits(program.search_identities(references, queries), codes)
