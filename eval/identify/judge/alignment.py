"""Alignment of queries with candidate references: percent identity and query coverage.

In: cleaned sequences. Out: identity over the overlap, and the share of the query that lies in it.
Overhanging ends are not counted as errors of either sequence; N matches every base. An ungapped
overlap is tried first; edlib then shows that gaps would not help, or finds the gapped alignment.
Guarded by tests/eval/identify/judge/test_alignment.py.

Shapes: R = references, Q = queries, K = neighbours, A = aligned candidates.
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
from barcodemae.eval.search.reference_search import NO_ROW, Neighborhood


WITHOUT_OPERATIONS = str.maketrans("=XID", "    ")  # leaves the lengths of a CIGAR: 12=1X3=2I
WITHOUT_LENGTHS = str.maketrans("", "", "0123456789")  # leaves its operations
ANY_BASE = [("N", base) for base in "ACGT"]
NUM_CANDIDATES = 8  # aligned per query, each of another species
FULL_COVERAGE = 0.5  # share of the query; over a shorter overlap, identity counts less
COSINE_WEIGHT = 0.05  # of the cosine beside identity: 1 % of identity weighs as much as 0.2 cosine


@dataclass(frozen=True)
class Alignment:
    """Agreement of a query with a reference.

    Attributes:
        identity: Share of matches among the alignment columns of the overlap, 0 to 1.
        coverage: Share of the query's letters that lie in the overlap, 0 to 1.
    """

    identity: float
    coverage: float


def count_overhang(lengths: Sequence[str], operations: str, num_errors: int) -> int:
    """Count the CIGAR operations at the start of an alignment that hang over the outer sequence.

    Letters of the inner sequence that hang over at an end are not errors. edlib may match a few of
    them before it inserts the others. So the overhang ends after the insertion up to which errors
    outnumber matches the most.

    Args:
        lengths: Lengths of the operations, from the end in question.
        operations: Operations, one letter each, from the same end.
        num_errors: Number of errors of the whole alignment; after more matches than that, errors
            can no longer outnumber them.
    """
    last = operations.rfind("I") + 1
    score, lowest, overhang = 0, 0, 0
    for number, operation, length in zip(range(1, last + 1), operations, lengths, strict=False):
        if operation == "=":
            score += int(length)
            if score > num_errors:
                break
        else:
            score -= int(length)
            if operation == "I" and score < lowest:
                lowest, overhang = score, number
    return overhang


def align_with_edlib(inner: str, outer: str, max_errors: int | None) -> Any:
    """Align `inner` within `outer` with edlib.

    Args:
        inner: Sequence of at least one letter.
        outer: Sequence that is not shorter.
        max_errors: Highest number of errors, None for no limit; the lower, the sooner edlib stops.

    Returns:
        edlib's result, None if there are more errors than that.
    """
    if max_errors is not None and max_errors < 0:
        return None
    found = edlib.align(
        inner,
        outer,
        mode="HW",
        task="path",
        k=-1 if max_errors is None else max_errors,
        additionalEqualities=ANY_BASE if "N" in inner or "N" in outer else None,
    )
    return None if found["editDistance"] < 0 else found


def measure_alignment(result: Any, query: str, is_swapped: bool) -> Alignment:
    """Compute identity and coverage of an alignment without its overhanging ends.

    Args:
        result: Result of `align_with_edlib`.
        query: Query, one of the two aligned sequences.
        is_swapped: Whether the query is the outer sequence.
    """
    num_errors, cigar = result["editDistance"], result["cigar"]
    first, last = result["locations"][0]
    lengths = cigar.translate(WITHOUT_OPERATIONS).split()
    operations = cigar.translate(WITHOUT_LENGTHS)
    # Count over the whole alignment. Insertions are letters of `inner` without a partner.
    num_inserted = sum(int(lengths[found.start()]) for found in re.finditer("I", operations))
    num_columns = last - first + 1 + num_inserted
    num_equal = num_columns - num_errors
    num_covered = num_columns - num_inserted if is_swapped else len(query)
    # Subtract the operations that hang over at either end.
    start = count_overhang(lengths, operations, num_errors)
    end = len(operations) - count_overhang(
        lengths[start:][::-1], operations[start:][::-1], num_errors
    )
    for length, operation in zip(
        lengths[:start] + lengths[end:], operations[:start] + operations[end:], strict=True
    ):
        num_columns -= int(length)
        num_equal -= int(length) if operation == "=" else 0
        num_covered -= int(length) if operation != ("I" if is_swapped else "D") else 0
    return Alignment(num_equal / max(num_columns, 1), num_covered / len(query))


def align(query: str, reference: str) -> Alignment:
    """Align the shorter sequence within the longer one with as few errors as possible.

    The ungapped overlap is the alignment unless a gapped one has fewer errors. So among equally
    good alignments an ungapped one is preferred.

    Args:
        query: Cleaned sequence of at least one letter.
        reference: Cleaned sequence of at least one letter.
    """
    is_swapped = len(query) > len(reference)
    inner, outer = (reference, query) if is_swapped else (query, reference)
    if inner in outer:
        return Alignment(1.0, len(inner) / len(query))
    overlap = find_overlap(inner, outer)
    result = align_with_edlib(inner, outer, None if overlap is None else overlap.num_errors - 1)
    if result is None and overlap is not None:
        return Alignment(overlap.num_equal / overlap.num_columns, overlap.num_columns / len(query))
    return measure_alignment(result, query, is_swapped)


@dataclass(frozen=True)
class AlignedCandidates:
    """Aligned candidates of each query, best score first.

    Attributes:
        rows: Rows among the references, (Q, A); -1 is padding.
        score: Identity, reduced where less than half of the query is covered, and a little by the
            cosine distance, (Q, A); minus infinity for padding.
        identity: Identity of the alignment, (Q, A), 0 to 1; -1 for padding.
        coverage: Share of the query that the alignment covers, (Q, A), 0 to 1; -1 for padding.
    """

    rows: NDArray[np.int64]
    score: NDArray[np.float64]
    identity: NDArray[np.float64]
    coverage: NDArray[np.float64]


def nearest_of_each_species(
    rows: NDArray[np.int64], species: NDArray[np.int32], limit: int = NUM_CANDIDATES
) -> NDArray[np.int64]:
    """Choose the nearest neighbour of each species.

    Args:
        rows: Rows of the neighbours among the references, nearest first, (Q, K); -1 is padding.
        species: Codes of their species, (Q, K); each neighbour without a species counts as one.
        limit: Highest number of neighbours per query, A.

    Returns:
        Positions of the chosen neighbours in 0 to K - 1, nearest first, (Q, A); -1 is padding.
    """
    # A neighbour without a species gets a code of its own, made from its row.
    is_named = (species != UNKNOWN) & (rows != NO_ROW)
    names = np.where(is_named, species, UNKNOWN - 1 - rows)  # (Q, K)
    # After a stable sort by species, the first of each run of equal codes is its nearest.
    order = np.argsort(names, axis=1, kind="stable")
    ordered = np.take_along_axis(names, order, axis=1)
    is_new = np.diff(ordered, axis=1, prepend=ordered[:, :1] - 1) != 0
    is_first = np.zeros(rows.shape, bool)
    np.put_along_axis(is_first, order, is_new, axis=1)  # back in the order of nearness
    is_first &= rows != NO_ROW
    # Keep the first `limit` of each query.
    number = is_first.cumsum(axis=1) - 1  # (Q, K), index among the chosen of its query
    query, place = np.nonzero(is_first & (number < limit))
    chosen = np.full((len(rows), limit), -1, np.int64)  # (Q, A)
    chosen[query, number[query, place]] = place
    return chosen


def align_neighbors(
    queries: Sequence[str],
    neighborhood: Neighborhood,
    species: NDArray[np.int32],
    barcode_of: Callable[[int], str],
) -> AlignedCandidates:
    """Align queries with their nearest neighbour of each species; ties keep the order of cosines.

    Cosines have a small weight in the score: of two references with equal identity to the query,
    the one with the nearer embedding belongs to the right species more often.

    Args:
        queries: Cleaned sequences, Q.
        neighborhood: Nearest references of each query, (Q, K).
        species: Codes of all references' species, (R,).
        barcode_of: Function that returns the barcode of a reference by its row.
    """
    # Choose the candidates.
    places = nearest_of_each_species(neighborhood.rows, species[neighborhood.rows])  # (Q, A)
    is_candidate = places >= 0
    rows = np.where(is_candidate, np.take_along_axis(neighborhood.rows, places, axis=1), NO_ROW)
    cosine = np.take_along_axis(neighborhood.similarity, places, axis=1)
    # Align them.
    identity, coverage = np.full(rows.shape, -1.0), np.full(rows.shape, -1.0)
    for query, place in np.argwhere(is_candidate).tolist():
        found = align(queries[query], barcode_of(int(rows[query, place])))
        identity[query, place], coverage[query, place] = found.identity, found.coverage
    # Order them by score; rounding makes equal scores equal on every machine.
    score = identity * np.minimum(coverage / FULL_COVERAGE, 1.0) + COSINE_WEIGHT * (cosine - 1)
    score = np.where(is_candidate, score, -np.inf).round(12)
    order = np.argsort(-score, axis=1, kind="stable")
    return AlignedCandidates(
        *(np.take_along_axis(part, order, axis=1) for part in (rows, score, identity, coverage))
    )
