"""Percent identity of a query with its candidates, by edlib: the number that reviewers ask for.

In: cleaned sequences. Out: identity over the overlap and how much of the query lies in it. Ends
that hang over are not counted against either sequence; N agrees with every base. Guarded by
tests/eval/test_alignment.py.

Shapes: Q = queries, K = neighbours, A = aligned candidates.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import edlib
import numpy as np
from numpy.typing import NDArray

from barcodemae.eval.evidence import UNKNOWN
from barcodemae.eval.reference_search import NONE, Neighborhood


STEP = re.compile(r"(\d+)([=XID])")
ANY_BASE = [("N", base) for base in "ACGT"]
NUM_CANDIDATES = 8  # aligned per query, each of another species
FULL_COVERAGE = 0.5  # of the query; an identity over less counts less
COSINE_WEIGHT = 0.05  # beside identity: one percent identity weighs as much as 0.2 in cosine


@dataclass(frozen=True)
class Alignment:
    """How two sequences agree where they overlap.

    Attributes:
        identity: Share of equal letters among the columns of the overlap, 0 to 1.
        coverage: Share of the query that lies in the overlap, 0 to 1.
    """

    identity: float
    coverage: float


def overhang(steps: Sequence[tuple[str, str]], num_errors: int) -> int:
    """Number of steps at the start of an alignment that hang over the outer sequence.

    Letters of the inner sequence without partner at an end are no error. edlib may match a few of
    them before it inserts the others, so a start is cut off behind an insertion as long as it has
    fewer matches than errors.

    Args:
        steps: Lengths and kinds, from the end that is looked at.
        num_errors: Of the whole alignment; so many matches on, no start can be cut off any more.
    """
    score, lowest, cut = 0, 0, 0
    for number, (length, kind) in enumerate(steps, start=1):
        score += int(length) if kind == "=" else -int(length)
        if score > num_errors:
            break
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
    if inner in outer:
        return Alignment(1.0, len(inner) / len(query))
    found = edlib.align(inner, outer, mode="HW", task="path", additionalEqualities=ANY_BASE)
    num_errors, (first, last) = found["editDistance"], found["locations"][0]
    # Only insertions, letters of `inner` without partner, hang over; the rest follows from sums.
    steps = STEP.findall(found["cigar"]) if "I" in found["cigar"] else []
    num_inserted = sum(int(length) for length, kind in steps if kind == "I")
    columns = last - first + 1 + num_inserted
    num_equal = columns - num_errors
    in_query = columns - num_inserted if is_swapped else len(inner)
    start = overhang(steps, num_errors)
    end = len(steps) - overhang(steps[start:][::-1], num_errors)
    for length, kind in steps[:start] + steps[end:]:
        columns -= int(length)
        num_equal -= int(length) if kind == "=" else 0
        in_query -= int(length) if kind != ("I" if is_swapped else "D") else 0
    return Alignment(num_equal / max(columns, 1), in_query / len(query))


@dataclass(frozen=True)
class AlignedCandidates:
    """Candidates in the order of their alignments, best first, each (Q, A).

    Attributes:
        rows: Among the references; -1 where there are fewer.
        score: Identity, lowered where less than half of the query is covered, and a little by
            the distance of the embeddings; minus infinity where there is none.
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
    """Choose the nearest neighbour of each species: their places, (Q, K) to (Q, limit).

    References without a species are chosen each for itself; -1 fills up.
    """
    chosen = np.full((len(rows), limit), -1, np.int64)
    for query, (line, names) in enumerate(zip(rows.tolist(), species.tolist(), strict=True)):
        kept: dict[tuple[int, int], int] = {}
        for place, (row, name) in enumerate(zip(line, names, strict=True)):
            if row != NONE and len(kept) < limit:
                kept.setdefault((name, row if name == UNKNOWN else -1), place)
        chosen[query, : len(kept)] = list(kept.values())
    return chosen


def align_neighbors(
    queries: Sequence[str],
    neighborhood: Neighborhood,
    species: NDArray[np.int32],
    barcode_of: Callable[[int], str],
) -> AlignedCandidates:
    """Align queries with the nearest neighbour of each species; ties keep the order of cosines.

    Where alignments differ little the embeddings have a say: of two references that are as
    identical to the query, the one that looks more like it is of the right species more often.

    Args:
        queries: Cleaned sequences, Q.
        neighborhood: What the search found for them.
        species: Species of all references, (R,).
        barcode_of: Barcode of a reference by its row.
    """
    places = one_per_species(neighborhood.rows, species[neighborhood.rows])
    is_there = places >= 0
    rows = np.where(is_there, np.take_along_axis(neighborhood.rows, places, axis=1), NONE)
    cosine = np.take_along_axis(neighborhood.similarity, places, axis=1)
    identity, coverage = np.full(rows.shape, -1.0), np.full(rows.shape, -1.0)
    for query, place in np.argwhere(is_there).tolist():
        found = align(queries[query], barcode_of(int(rows[query, place])))
        identity[query, place], coverage[query, place] = found.identity, found.coverage
    score = identity * np.minimum(coverage / FULL_COVERAGE, 1.0) + COSINE_WEIGHT * (cosine - 1)
    score = np.where(is_there, score, -np.inf).round(12)
    order = np.argsort(-score, axis=1, kind="stable")
    return AlignedCandidates(
        *(np.take_along_axis(part, order, axis=1) for part in (rows, score, identity, coverage))
    )
