"""Neighbours of a query where only some references may name it: the others stay as background.

How far apart the taxa of a neighbourhood are is told by all references, also by those that a
restriction excludes. So a query keeps excluded neighbours beside the allowed ones: they give
distances a scale, and a bound to what is not among the neighbours, but no name. Without them a
query among the few references of one allowed species would have no rival at all, and evidence
unlike any that the calibration has seen.

In: the nearest allowed references, and the nearest of all. Out: one neighbourhood of both, and
comparisons in which allowed references come first.
Guarded by tests/eval/identify/judge/test_background.py.

Shapes: Q = queries, K = neighbours, R = references.
"""

import numpy as np
from numpy.typing import NDArray

from barcodemae.eval.identify.judge.comparison import FIELDS, Comparison
from barcodemae.eval.search.reference_search import NO_ROW, Neighborhood


LEAST_ALLOWED = 16  # neighbours of a query that may name it, if there are so many


def with_background(
    allowed: Neighborhood, nearest: Neighborhood, is_allowed: NDArray[np.bool_]
) -> Neighborhood:
    """Put the nearest allowed references and the nearest excluded ones together.

    If at least `LEAST_ALLOWED` of the nearest are allowed, these neighbours are the nearest of all.

    Args:
        allowed: Nearest allowed references, (Q, K).
        nearest: Nearest of all references, (Q, K).
        is_allowed: Which references may name a query, (R,).

    Returns:
        Neighbours, the allowed ones first, (Q, K).
    """
    exists = nearest.rows != NO_ROW
    is_background = exists & ~is_allowed[nearest.rows]  # (Q, K)
    num_allowed = np.maximum((exists & ~is_background).sum(axis=1), LEAST_ALLOWED)  # (Q,)
    is_kept = np.arange(allowed.rows.shape[1]) < num_allowed[:, None]  # (Q, K)
    parts = ((allowed, is_kept), (nearest, is_background))
    rows = np.concatenate([np.where(kept, p.rows, NO_ROW) for p, kept in parts], axis=1)
    cosines = np.concatenate([np.where(kept, p.similarity, -np.inf) for p, kept in parts], axis=1)
    order = np.argsort(rows == NO_ROW, axis=1, kind="stable")[:, : nearest.rows.shape[1]]
    return Neighborhood(
        np.take_along_axis(rows, order, axis=1), np.take_along_axis(cosines, order, axis=1)
    )


def allowed_first(compared: Comparison, is_allowed: NDArray[np.bool_]) -> Comparison:
    """Put the allowed neighbours of each query before the others, each by score, (Q, K)."""
    is_background = (compared.rows == NO_ROW) | ~is_allowed[compared.rows]
    order = np.argsort(is_background, axis=1, kind="stable")
    return Comparison(
        **{name: np.take_along_axis(getattr(compared, name), order, axis=1) for name in FIELDS}
    )
