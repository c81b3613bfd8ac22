"""Percent identity of a query with its candidates, by edlib: the number that reviewers ask for.

In: cleaned sequences. Out: identity over the overlap and how much of the query lies in it. Ends
that hang over are not counted against either sequence; N agrees with every base. Guarded by
tests/eval/test_alignment.py.

Shapes: Q = queries, K = neighbours, A = aligned candidates.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import edlib
import numpy as np
from numpy.typing import NDArray

from barcodemae.eval.evidence import UNKNOWN


STEP = re.compile(r"(\d+)([=XID])")
ANY_BASE = [("N", base) for base in "ACGT"]
NUM_CANDIDATES = 8  # aligned per query, each of another species
FULL_COVERAGE = 0.5  # of the query; an identity over less counts less


@dataclass(frozen=True)
class Alignment:
    """How two sequences agree where they overlap.

    Attributes:
        identity: Share of equal letters among the columns of the overlap, 0 to 1.
        coverage: Share of the query that lies in the overlap, 0 to 1.
    """

    identity: float
    coverage: float


def overhang(steps: Sequence[tuple[int, str]]) -> int:
    """Number of steps at the start of an alignment that hang over the outer sequence.

    Letters of the inner sequence without partner at an end are no error. edlib may match a few of
    them before it inserts the others, so a start is cut off behind an insertion as long as it has
    fewer matches than errors.
    """
    score, lowest, cut = 0, 0, 0
    for number, (count, kind) in enumerate(steps, start=1):
        score += count if kind == "=" else -count
        if kind == "I" and score < lowest:
            lowest, cut = score, number
    return cut


def align(query: str, reference: str) -> Alignment:
    """Align the shorter sequence within the longer one.

    Args:
        query: At least one letter.
        reference: At least one letter.
    """
    is_swapped = len(query) > len(reference)
    inner, outer = (reference, query) if is_swapped else (query, reference)
    found = edlib.align(inner, outer, mode="HW", task="path", additionalEqualities=ANY_BASE)
    steps = [(int(count), kind) for count, kind in STEP.findall(found["cigar"])]
    steps = steps[overhang(steps) :]
    steps = steps[: len(steps) - overhang(steps[::-1])]
    counts = {kind: sum(n for n, step in steps if step == kind) for kind in "=XID"}
    columns = sum(counts.values())
    in_query = columns - counts["I" if is_swapped else "D"]
    return Alignment(counts["="] / max(columns, 1), in_query / len(query))


@dataclass(frozen=True)
class AlignedCandidates:
    """Candidates in the order of their alignments, best first, each (Q, A).

    Attributes:
        rows: Among the references; -1 where there are fewer.
        score: Identity, lowered where less than half of the query is covered; minus infinity
            where there is none.
        identity: See `Alignment`.
        coverage: See `Alignment`.
    """

    rows: NDArray[np.int64]
    score: NDArray[np.float64]
    identity: NDArray[np.float64]
    coverage: NDArray[np.float64]


def one_per_species(
    rows: NDArray[np.int64], species: NDArray[np.int32], limit: int = NUM_CANDIDATES
) -> NDArray[np.int64]:
    """Keep the nearest neighbour of each species, (Q, K) to (Q, limit); -1 fills up.

    References without a species are kept each for itself.
    """
    chosen = np.full((len(rows), limit), -1, np.int64)
    for query, (line, names) in enumerate(zip(rows.tolist(), species.tolist(), strict=True)):
        kept: dict[tuple[int, int], int] = {}
        for row, name in zip(line, names, strict=True):
            if row >= 0 and len(kept) < limit:
                kept.setdefault((name, row if name == UNKNOWN else -1), row)
        chosen[query, : len(kept)] = list(kept.values())
    return chosen


def align_candidates(
    queries: Sequence[str], candidates: NDArray[np.int64], barcodes: Sequence[Sequence[str]]
) -> AlignedCandidates:
    """Align queries with their candidates and order these; ties keep the order they come in.

    Args:
        queries: Cleaned sequences, Q.
        candidates: Rows of references, (Q, A); -1 for none.
        barcodes: Their barcodes; nothing where there is no candidate.
    """
    shape = candidates.shape
    identity, coverage = np.full(shape, -1.0), np.full(shape, -1.0)
    for query, texts in enumerate(barcodes):
        for place, text in enumerate(texts):
            found = align(queries[query], text)
            identity[query, place], coverage[query, place] = found.identity, found.coverage
    score = np.where(
        candidates >= 0, identity * np.minimum(coverage / FULL_COVERAGE, 1.0), -np.inf
    ).round(12)
    order = np.argsort(-score, axis=1, kind="stable")
    return AlignedCandidates(
        *(
            np.take_along_axis(part, order, axis=1)
            for part in (candidates, score, identity, coverage)
        )
    )
