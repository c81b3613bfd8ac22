"""Clusters of records: joined step by step to neighbours that are near enough.

In: records and what each lies among. Out: the cluster of each record at an identity, and how near
two clusters come. Guarded by tests/eval/audit/test_contradictions.py.

Shapes: N = records, K = neighbours.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped]
from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

from barcodemae.eval.audit.neighborhoods import Neighborhoods, compare_pairs
from barcodemae.eval.audit.records import Records
from barcodemae.eval.search.reference_search import NO_ROW


UNIT_IDENTITY = 0.975  # about what parts one BIN from the next (Ratnasingham and Hebert 2013)
SAME_IDENTITY = 0.9999  # no letter differs
MAX_SAMPLED = 12  # records of a cluster that are compared with those of another


def cluster_at(hoods: Neighborhoods, identity: float) -> NDArray[np.int64]:
    """Join every record with the neighbours of at least an identity, (N,)."""
    record, place = np.nonzero((hoods.identity >= identity) & (hoods.rows != NO_ROW))
    num = len(hoods.rows)
    links = sparse.coo_array(
        (np.ones(len(record), np.int8), (record, hoods.rows[record, place])), shape=(num, num)
    )
    clusters: NDArray[np.int64] = connected_components(links, directed=False)[1].astype(np.int64)
    return clusters


def groups_of(keys: NDArray[np.int64], rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Group rows by their key, in the order of the keys."""
    if not len(rows):
        return []
    order = rows[np.argsort(keys[rows], kind="stable")]
    return np.split(order, np.flatnonzero(np.diff(keys[order])) + 1)


def merge_near(
    records: Records, parts: Sequence[NDArray[np.int64]], identity: float
) -> tuple[list[NDArray[np.int64]], float]:
    """Merge clusters that come nearer than an identity; neighbours alone may have missed it.

    Args:
        records: Records.
        parts: Rows of each cluster.
        identity: Identity at which two are one.

    Returns:
        The clusters, the largest first, and the highest identity between two of them.
    """
    merged = [np.asarray(part) for part in sorted(parts, key=len, reverse=True)]
    nearest = -1.0
    one = 0
    while one < len(merged):
        other, nearest_here = one + 1, -1.0
        while other < len(merged):
            value = nearest_between(records, merged[one], merged[other])
            if value >= identity:
                merged[one] = np.concatenate([merged[one], merged.pop(other)])
                other, nearest_here = one + 1, -1.0
                continue
            nearest_here = max(nearest_here, value)
            other += 1
        nearest = max(nearest, nearest_here)
        one += 1
    return merged, nearest


def nearest_between(records: Records, some: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    """Return the highest identity between sampled records of two clusters."""
    left, right = (rows[:: -(-len(rows) // MAX_SAMPLED)] for rows in (some, others))
    pairs = np.stack(np.meshgrid(left, right), axis=-1).reshape(-1, 2)
    return float(compare_pairs(records, pairs[:, 0], pairs[:, 1]).identity.max())


__all__ = ["SAME_IDENTITY", "UNIT_IDENTITY", "cluster_at", "groups_of", "merge_near"]
