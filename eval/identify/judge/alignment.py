"""Percent identity of a query with its candidates: the number that reviewers ask for.

In: cleaned sequences. Out: identity over the overlap and how much of the query lies in it. Ends
that hang over are not counted against either sequence; N agrees with every base. Sequences are
laid on each other without gaps; edlib shows that gaps would not help, or finds the alignment that
has them. Guarded by tests/eval/test_alignment.py.

Shapes: Q = queries, K = neighbours, A = aligned candidates.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import edlib
import numpy as np
from numpy.typing import NDArray

from barcodemae.eval.identify.judge.evidence import UNKNOWN
from barcodemae.eval.identify.judge.ungapped import find_overlap
from barcodemae.eval.search.reference_search import NONE, Neighborhood


WITHOUT_KINDS = str.maketrans("=XID", "    ")  # of a path such as 12=1X3=2I
WITHOUT_LENGTHS = str.maketrans("", "", "0123456789")
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


def overhang(lengths: Sequence[str], kinds: str, num_errors: int) -> int:
    """Number of steps at the start of an alignment that hang over the outer sequence.

    Letters of the inner sequence without partner at an end are no error. edlib may match a few of
    them before it inserts the others, so a start is cut off behind an insertion as long as it has
    fewer matches than errors.

    Args:
        lengths: Of the steps, from the end that is looked at.
        kinds: Of the steps.
        num_errors: Of the whole alignment; so many matches on, no start can be cut off any more.
    """
    last = kinds.rfind("I") + 1
    score, lowest, cut = 0, 0, 0
    for number, kind, length in zip(range(1, last + 1), kinds, lengths, strict=False):
        if kind == "=":
            score += int(length)
            if score > num_errors:
                break
        else:
            score -= int(length)
            if kind == "I" and score < lowest:
                lowest, cut = score, number
    return cut


def find_path(inner: str, outer: str, limit: int | None) -> Any:
    """Let edlib align `inner` within `outer`: its answer, None if there are more errors than that.

    Args:
        inner: At least one letter.
        outer: Not shorter.
        limit: Of errors; None for no limit. The lower it is, the sooner edlib gives up.
    """
    if limit is not None and limit < 0:
        return None
    found = edlib.align(
        inner,
        outer,
        mode="HW",
        task="path",
        k=-1 if limit is None else limit,
        additionalEqualities=ANY_BASE if "N" in inner or "N" in outer else None,
    )
    return None if found["editDistance"] < 0 else found


def read_path(path: Any, query: str, is_swapped: bool) -> Alignment:
    """Cut off what hangs over and count the columns.

    Args:
        path: See `find_path`.
        query: One of the two sequences.
        is_swapped: Whether it is the outer one.
    """
    num_errors, (first, last), cigar = path["editDistance"], path["locations"][0], path["cigar"]
    lengths, kinds = cigar.translate(WITHOUT_KINDS).split(), cigar.translate(WITHOUT_LENGTHS)
    # Only insertions, letters of `inner` without partner, hang over; the rest follows from sums.
    num_inserted = sum(int(lengths[step.start()]) for step in re.finditer("I", kinds))
    columns = last - first + 1 + num_inserted
    num_equal = columns - num_errors
    in_query = columns - num_inserted if is_swapped else len(query)
    start = overhang(lengths, kinds, num_errors)
    end = len(kinds) - overhang(lengths[start:][::-1], kinds[start:][::-1], num_errors)
    for length, kind in zip(
        lengths[:start] + lengths[end:], kinds[:start] + kinds[end:], strict=True
    ):
        columns -= int(length)
        num_equal -= int(length) if kind == "=" else 0
        in_query -= int(length) if kind != ("I" if is_swapped else "D") else 0
    return Alignment(num_equal / max(columns, 1), in_query / len(query))


def align(query: str, reference: str) -> Alignment:
    """Align the shorter sequence within the longer one, with as few errors as possible.

    First they are laid on each other without gaps; that is the alignment unless another has fewer
    errors. So among equally good alignments one without gaps is preferred.

    Args:
        query: At least one letter.
        reference: At least one letter.
    """
    is_swapped = len(query) > len(reference)
    inner, outer = (reference, query) if is_swapped else (query, reference)
    if inner in outer:
        return Alignment(1.0, len(inner) / len(query))
    overlap = find_overlap(inner, outer)
    path = find_path(inner, outer, None if overlap is None else overlap.num_errors - 1)
    if path is None and overlap is not None:
        return Alignment(overlap.num_equal / overlap.num_columns, overlap.num_columns / len(query))
    return read_path(path, query, is_swapped)


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
    is_named = (species != UNKNOWN) & (rows != NONE)
    names = np.where(is_named, species, UNKNOWN - 1 - rows)  # (Q, K)
    order = np.argsort(names, axis=1, kind="stable")
    ordered = np.take_along_axis(names, order, axis=1)
    is_new = np.diff(ordered, axis=1, prepend=ordered[:, :1] - 1) != 0
    is_first = np.zeros(rows.shape, bool)
    np.put_along_axis(is_first, order, is_new, axis=1)
    is_first &= rows != NONE
    number = is_first.cumsum(axis=1) - 1  # among the chosen of its query
    query, place = np.nonzero(is_first & (number < limit))
    chosen = np.full((len(rows), limit), -1, np.int64)
    chosen[query, number[query, place]] = place
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
