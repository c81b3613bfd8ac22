"""Alignment of queries with candidate references: percent identity and query coverage.

In: cleaned sequences. Out: identity over the overlap, and the share of the query that lies in it.
Overhanging ends are not counted as errors of either sequence; N matches every base. An ungapped
overlap is tried first; edlib then shows that gaps would not help, or finds the gapped alignment.
Guarded by tests/eval/identify/judge/test_alignment.py.

"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import edlib

from barcodemae.eval.identify.judge.ungapped import find_overlap


WITHOUT_OPERATIONS = str.maketrans("=XID", "    ")  # leaves the lengths of a CIGAR: 12=1X3=2I
WITHOUT_LENGTHS = str.maketrans("", "", "0123456789")  # leaves its operations
ANY_BASE = [("N", base) for base in "ACGT"]


@dataclass(frozen=True)
class Alignment:
    """Agreement of a query with a reference.

    Attributes:
        identity: Share of matches among the alignment columns of the overlap, 0 to 1.
        coverage: Share of the query's letters that lie in the overlap, 0 to 1.
        num_gaps: Number of inserted and deleted bases within the overlap.
    """

    identity: float
    coverage: float
    num_gaps: int = 0


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


def find_overlap_of(lengths: Sequence[str], operations: str, num_errors: int) -> slice:
    """Find the CIGAR operations of the overlap, between the overhanging ends.

    Args:
        lengths: Lengths of all operations.
        operations: All operations, one letter each.
        num_errors: Number of errors of the whole alignment.
    """
    start = count_overhang(lengths, operations, num_errors)
    rest = slice(start, None)
    num_after = count_overhang(lengths[rest][::-1], operations[rest][::-1], num_errors)
    return slice(start, len(operations) - num_after)


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
    inside = find_overlap_of(lengths, operations, num_errors)
    start, end = inside.start, inside.stop
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


def align_substitutions(query: str, reference: str) -> Alignment:
    """Align a read that lost or gained bases; identity counts substitutions only.

    Sequencing loses and gains bases, mostly of homopolymers; evolution of a coding marker hardly
    ever does. So the columns of gaps say nothing of the species.

    Args:
        query: Cleaned sequence of at least one letter.
        reference: Cleaned sequence of at least one letter.
    """
    is_swapped = len(query) > len(reference)
    inner, outer = (reference, query) if is_swapped else (query, reference)
    result = align_with_edlib(inner, outer, None)
    lengths = result["cigar"].translate(WITHOUT_OPERATIONS).split()
    operations = result["cigar"].translate(WITHOUT_LENGTHS)
    inside = find_overlap_of(lengths, operations, result["editDistance"])
    counts = dict.fromkeys("=XID", 0)
    for length, operation in zip(lengths[inside], operations[inside], strict=True):
        counts[operation] += int(length)
    num_paired = counts["="] + counts["X"]
    return Alignment(
        counts["="] / max(num_paired, 1),
        (num_paired + counts["D" if is_swapped else "I"]) / len(query),
        num_gaps=counts["I"] + counts["D"],
    )
