"""The neighbourhood of a finding as a small tree: average linkage of identities, with names.

In: an audit and a finding. Out: leaves and joins as plain numbers, which the page draws.
Guarded by tests/eval/audit/report/test_report.py.

Shapes: L = leaves.
"""

from typing import Any

import numpy as np
from scipy.cluster.hierarchy import linkage  # type: ignore[import-untyped]
from scipy.spatial.distance import squareform  # type: ignore[import-untyped]

from barcodemae.dataset import RANKS
from barcodemae.eval.audit.doctor import Audit
from barcodemae.eval.audit.findings import Finding
from barcodemae.eval.audit.neighborhoods import compare_pairs
from barcodemae.eval.search.reference_search import NO_ROW


MAX_LEAVES = 12
MAX_SUSPECTS, MAX_OTHERS = 3, 5
SUSPECT, KIN, OTHER = "suspect", "kin", "other"


def choose_leaves(audit: Audit, found: Finding) -> dict[int, str]:
    """Choose the records of a tree: suspects, what shows the fault, neighbours, the own kin.

    Returns:
        Row -> its part in the finding.
    """
    usable = audit.records.is_usable
    suspects = [row for row in found.rows[:MAX_SUSPECTS] if usable[row]]
    kin = [
        int(audit.hoods.kin[row, RANKS.index(rank)])
        for row in suspects
        for rank in ("species", "genus", "family")
    ]
    near = [int(other) for row in suspects for other in audit.hoods.rows[row]]
    shown = [row for row in found.others[:MAX_OTHERS] if usable[row]]
    leaves = dict.fromkeys(suspects, SUSPECT)
    for part, rows in ((KIN, kin), (OTHER, shown), (OTHER, near)):
        for row in rows:
            if row != NO_ROW and len(leaves) < MAX_LEAVES:
                leaves.setdefault(row, part)
    return leaves


def tree_of(audit: Audit, found: Finding) -> dict[str, Any] | None:
    """Return the tree of a finding; None if fewer than two of its records have letters.

    Returns:
        `leaves`: id, name, family and part of each, L; `joins`: two nodes and their distance in
        percent, L - 1, where node L + i is the i-th join.
    """
    leaves = choose_leaves(audit, found)
    if len(leaves) < 2:
        return None
    records, rows = audit.records, np.array(list(leaves))
    one, other = np.triu_indices(len(rows), 1)
    distance = 100 * (1 - compare_pairs(records, rows[one], rows[other]).identity)
    square = np.zeros((len(rows), len(rows)))
    square[one, other] = square[other, one] = np.maximum(distance, 0)
    joins = linkage(squareform(square, checks=False), "average")
    return {
        "leaves": [
            [records.ids[row], records.deepest(row), records.name(row, "family") or "", part]
            for row, part in leaves.items()
        ],
        "joins": [[int(a), int(b), round(float(d), 2)] for a, b, d, _ in joins],
    }


__all__ = ["tree_of"]
