"""Chimeras: records whose left and right parts are of two references, found by letters in a frame.

A record with a near relative of its whole length is none, so only the others are looked at. The
nearest references of each half are searched by equal letters, and of every pair of a left and a
right one the point is found where changing from one to the other explains most letters.
In: records and what each lies among. Out: for each suspect its parents and features.
Guarded by tests/eval/audit/test_doctor.py.

Shapes: S = suspects, R = usable records, W = sites of the frame, H = sites of a half, P = parents.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from barcodemae.eval.audit.neighborhoods import Neighborhoods
from barcodemae.eval.audit.records import Records
from barcodemae.eval.identify.judge.comparison import NO_BASE
from barcodemae.eval.identify.reference.survey import OnProgress
from barcodemae.eval.search.products import dot_products
from barcodemae.eval.search.reference_search import NO_ROW


MAX_IDENTITY = 0.975  # with the nearest record; a record with a nearer one is no suspect
NUM_PARENTS = 6  # candidates for each half, P
MIN_PART = 60  # known letters on either side of the point of change
SUSPECTS_PER_BLOCK, RECORDS_PER_BLOCK = 1024, 4096
LITTLE = 2.0  # letters, added to numbers of differences before their logarithm
CHIMERA_FEATURES = (
    "gain",  # letters that two parents explain and the best single one does not, per 100
    "log_ratio",  # log of differences from the best single parent over those from both
    "rest",  # differences from both, per 100 letters
    "apart",  # differences between the parents, per 100 letters
)


@dataclass(frozen=True)
class Chimeras:
    """Suspects with their most likely parents.

    Attributes:
        rows: Suspects, (S,).
        left: Record that the left part is nearest to, (S,).
        right: Record that the right part is nearest to, (S,).
        site: Site of the frame at which they meet, (S,).
        features: See `CHIMERA_FEATURES`, (S, 4).
    """

    rows: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    site: NDArray[np.int64]
    features: NDArray[np.float64]


def find_chimeras(records: Records, hoods: Neighborhoods, report: OnProgress) -> Chimeras:
    """Find suspects and their parents; none without a frame.

    Args:
        records: Records.
        hoods: What each lies among.
        report: Function called with the stage, the number of suspects done, and their total.
    """
    is_suspect = records.is_usable & (hoods.identity[:, 0] < MAX_IDENTITY)
    is_suspect &= hoods.rows[:, 0] != NO_ROW
    suspects = np.flatnonzero(is_suspect)
    letters = records.letters
    if letters is None or not len(suspects):
        none = np.zeros(0, np.int64)
        return Chimeras(none, none, none, none, np.zeros((0, len(CHIMERA_FEATURES))))
    usable = np.flatnonzero(records.is_usable)
    middle = letters.shape[1] // 2
    found = []
    for start in range(0, len(suspects), SUSPECTS_PER_BLOCK):
        block = suspects[start : start + SUSPECTS_PER_BLOCK]
        sides = [
            nearest_of_half(letters, sites, block, usable)
            for sites in (slice(0, middle), slice(middle, letters.shape[1]))
        ]
        whole = hoods.rows[block, :NUM_PARENTS]
        for row, left, right, near in zip(block.tolist(), *sides, whole, strict=True):
            found.append((row, *best_parents(letters, row, left, right, near[near != NO_ROW])))
        report("chimeras", start + len(block), len(suspects))
    rows, lefts, rights, sites, features = zip(*found, strict=True)
    return Chimeras(*(np.array(part) for part in (rows, lefts, rights, sites, features)))


def one_hot(letters: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Write letter codes as numbers whose products count equal letters, (R, H) to (R, 4 H)."""
    bases = np.arange(NO_BASE, dtype=np.uint8)
    numbers: NDArray[np.float32] = (letters[:, :, None] == bases).astype(np.float32)
    return numbers.reshape(len(letters), -1)


def nearest_of_half(
    letters: NDArray[np.uint8],
    sites: slice,
    suspects: NDArray[np.int64],
    usable: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Search the records with the most equal letters on some sites, less the different ones.

    Args:
        letters: Letter codes of all records, (N, W).
        sites: Sites of the half.
        suspects: Rows to search for, (S,).
        usable: Rows to search, (R,).

    Returns:
        Rows of the nearest, the nearest first, (S, P).
    """
    mine = letters[suspects, sites]
    queries = one_hot(mine)
    queries_known = (mine < NO_BASE).astype(np.float32)
    best = np.zeros((len(suspects), 0), np.int64)
    scores = np.zeros((len(suspects), 0), np.float32)
    for start in range(0, len(usable), RECORDS_PER_BLOCK):
        rows = usable[start : start + RECORDS_PER_BLOCK]
        theirs = letters[rows, sites]
        # Equal letters less different ones: twice the equal ones less the shared.
        shared = dot_products(queries_known, (theirs < NO_BASE).astype(np.float32))
        score = 2 * dot_products(queries, one_hot(theirs)) - shared
        score[suspects[:, None] == rows] = -np.inf
        here = min(NUM_PARENTS, score.shape[1])
        top = np.argpartition(-score, here - 1, axis=1)[:, :here]
        best = np.concatenate([best, rows[top]], axis=1)
        scores = np.concatenate([scores, np.take_along_axis(score, top, axis=1)], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :NUM_PARENTS]
        best = np.take_along_axis(best, order, axis=1)
        scores = np.take_along_axis(scores, order, axis=1)
    return best


def best_parents(
    letters: NDArray[np.uint8],
    row: int,
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    near: NDArray[np.int64],
) -> tuple[int, int, int, list[float]]:
    """Find the pair of parents, and the point, that explain a suspect best.

    Args:
        letters: Letter codes of all records, (N, W).
        row: The suspect.
        left: Candidates for its left part, (P,).
        right: Candidates for its right part, (P,).
        near: Its nearest records, which may explain the whole of it.

    Returns:
        Left parent, right parent, site, features.
    """
    mine = letters[row]
    candidates = np.concatenate([left, right, near])
    theirs = letters[candidates]
    is_shared = (mine < NO_BASE) & (theirs < NO_BASE)
    differs = (theirs != mine) & (mine < NO_BASE)  # an unknown letter of a parent explains nothing
    upto = np.pad(differs.cumsum(axis=1), ((0, 0), (1, 0)))  # (candidates, W + 1)
    known = np.pad((mine < NO_BASE).cumsum(), (1, 0))  # (W + 1,)
    inside = np.flatnonzero((known >= MIN_PART) & (known <= known[-1] - MIN_PART))
    single = int(upto[:, -1].min())
    if not len(inside):
        return int(near[0]), int(near[0]), 0, [0.0, 0.0, 100.0 * single / max(known[-1], 1), 0.0]
    after = upto[:, -1:] - upto  # differences from each point on
    lefts, rights = upto[: len(left), inside], after[len(left) : len(left) + len(right), inside]
    both = lefts[:, None] + rights[None]  # (P, P, points)
    one, other, point = np.unravel_index(int(both.argmin()), both.shape)
    rest, per = int(both[one, other, point]), 100.0 / max(int(known[-1]), 1)
    parents = theirs[one], theirs[len(left) + other]
    shared = is_shared[one] & is_shared[len(left) + other]
    apart = float(((parents[0] != parents[1]) & shared).sum()) / max(int(shared.sum()), 1)
    features = [
        (single - rest) * per,
        float(np.log((single + LITTLE) / (rest + LITTLE))),
        rest * per,
        100 * apart,
    ]
    return int(left[one]), int(right[other]), int(inside[point]), features


__all__ = ["CHIMERA_FEATURES", "Chimeras", "find_chimeras"]
