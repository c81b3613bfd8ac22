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
from barcodemae.eval.search.nearest import blocks_of
from barcodemae.eval.search.reference_search import NO_ROW, ExactSearch, unit_length


MAX_IDENTITY = 0.975  # with the nearest record; a record with a nearer one is no suspect
NUM_PARENTS = 6  # candidates for each half, P
MIN_PART = 60  # known letters on either side of the point of change
SHORT_WIDTH = 96  # numbers for the letters of a half
NUM_CANDIDATES = 32  # chosen by them, of which the letters choose the parents
FAR = 8192  # differences; more than there are sites
SUSPECTS_PER_BLOCK, RECORDS_PER_BLOCK = 256, 4096
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
    halves = (slice(0, middle), slice(middle, letters.shape[1]))
    sides = []
    for number, sites in enumerate(halves):
        report("chimeras", number * len(suspects), len(halves) * len(suspects))
        sides.append(nearest_of_half(letters, sites, suspects, usable))
    found = [
        best_parents(letters, suspects[here], sides[0][here], sides[1][here], near[here])
        for near in [hoods.rows[suspects, :NUM_PARENTS]]
        for here in blocks_of(len(suspects), SUSPECTS_PER_BLOCK)
    ]
    report("chimeras", len(halves) * len(suspects), len(halves) * len(suspects))
    lefts, rights, points, features = (np.concatenate(part) for part in zip(*found, strict=True))
    return Chimeras(suspects, lefts, rights, points, features)


def nearest_of_half(
    letters: NDArray[np.uint8],
    sites: slice,
    suspects: NDArray[np.int64],
    usable: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Search the records with the most equal letters on some sites, less the different ones.

    Short forms of the letters choose some, the letters themselves the nearest of these.

    Args:
        letters: Letter codes of all records, (N, W).
        sites: Sites of the half.
        suspects: Rows to search for, (S,).
        usable: Rows to search, (R,).

    Returns:
        Rows of the nearest, the nearest first, (S, P); -1 is padding.
    """
    short = short_forms(letters, sites, usable)
    place_of = np.zeros(len(letters), np.int64)
    place_of[usable] = np.arange(len(usable))
    search = ExactSearch(short)
    nearest = np.full((len(suspects), NUM_PARENTS), NO_ROW, np.int64)
    for here in blocks_of(len(suspects), SUSPECTS_PER_BLOCK):
        block = suspects[here]
        found = search.search(short[place_of[block]], NUM_CANDIDATES).rows  # (S, C)
        rows = np.where(found == NO_ROW, NO_ROW, usable[found])
        theirs, mine = letters[rows, sites], letters[block, sites][:, None]  # (S, C, H)
        is_shared = (mine < NO_BASE) & (theirs < NO_BASE)
        num_equal = (is_shared & (mine == theirs)).sum(axis=2)
        score = 2 * num_equal - is_shared.sum(axis=2)  # equal letters less different ones
        score[(rows == block[:, None]) | (rows == NO_ROW)] = -letters.shape[1]
        order = np.argsort(-score, axis=1, kind="stable")[:, :NUM_PARENTS]
        best = np.take_along_axis(rows, order, axis=1)
        best[best == block[:, None]] = NO_ROW
        nearest[here, : best.shape[1]] = best
    return nearest


def short_forms(
    letters: NDArray[np.uint8], sites: slice, rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Project the letters of some sites to few numbers that keep how far records are apart.

    Args:
        letters: Letter codes of all records, (N, W).
        sites: Sites of the half.
        rows: Rows of the records, (R,).

    Returns:
        Vectors of unit length, (R, `SHORT_WIDTH`).
    """
    width = NO_BASE * len(range(*sites.indices(letters.shape[1])))
    drawn = np.random.default_rng(0).standard_normal((width, SHORT_WIDTH), np.float32)
    sample = one_hot(letters[rows[:: -(-len(rows) // RECORDS_PER_BLOCK)], sites])
    center = sample.mean(axis=0) @ drawn  # where all records are alike, none is told apart
    short = np.empty((len(rows), SHORT_WIDTH), np.float32)
    for here in blocks_of(len(rows), RECORDS_PER_BLOCK):
        short[here] = unit_length(one_hot(letters[rows[here], sites]) @ drawn - center)
    return short


def one_hot(letters: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Write letter codes as numbers whose products count equal letters, (R, H) to (R, 4 H)."""
    bases = np.arange(NO_BASE, dtype=np.uint8)
    numbers: NDArray[np.float32] = (letters[:, :, None] == bases).astype(np.float32)
    return numbers.reshape(len(letters), -1)


def best_parents(
    letters: NDArray[np.uint8],
    rows: NDArray[np.int64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    near: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Find the pairs of parents, and the points, that explain suspects best.

    Args:
        letters: Letter codes of all records, (N, W).
        rows: Suspects, (S,).
        left: Candidates for their left parts, (S, P); -1 is padding.
        right: Candidates for their right parts, (S, P); likewise.
        near: Their nearest records, which may explain the whole of them, (S, P); likewise.

    Returns:
        Left parents, (S,), right parents, (S,), sites, (S,), and features, (S, 4).
    """
    mine, suspects = letters[rows], np.arange(len(rows))
    is_known = mine < NO_BASE  # (S, W)
    known = np.pad(is_known.cumsum(axis=1, dtype=np.int16), ((0, 0), (1, 0)))  # (S, W + 1)
    candidates = np.concatenate([left, right, near], axis=1)
    upto = differences(letters, mine, candidates)  # (S, candidates, W + 1)
    after = upto[:, :, -1:] - upto  # differences from each point on
    after[candidates == NO_ROW] = FAR
    single = upto[:, :, -1].min(axis=1)  # (S,)
    is_inside = (known >= MIN_PART) & (known <= known[:, -1:] - MIN_PART)
    outside = np.where(is_inside, 0, FAR).astype(np.int16)  # (S, W + 1)
    rest = np.full(len(rows), FAR, np.int16)
    chosen = np.zeros((3, len(rows)), np.int64)  # places of both parents, and the point
    for one in range(left.shape[1]):
        begun = upto[:, one] + outside
        for other in range(right.shape[1]):
            both = begun + after[:, left.shape[1] + other]  # (S, W + 1)
            point = both.argmin(axis=1)
            value = both[suspects, point]
            is_better = value < rest
            rest[is_better] = value[is_better]
            chosen[:, is_better] = np.stack([np.full_like(point, one), point * 0 + other, point])[
                :, is_better
            ]
    lefts, rights = left[suspects, chosen[0]], right[suspects, chosen[1]]
    is_split = rest < FAR  # else too little is known on one side of every point
    rest = np.where(is_split, rest, single)
    lefts, rights = (np.where(is_split, part, near[:, 0]) for part in (lefts, rights))
    per = 100.0 / np.maximum(known[:, -1], 1)
    features = [
        (single - rest) * per,
        np.log((single + LITTLE) / (rest + LITTLE)),
        rest * per,
        100 * apart(letters, mine, lefts, rights),
    ]
    return lefts, rights, chosen[2], np.stack(features, axis=1).astype(np.float64)


def differences(
    letters: NDArray[np.uint8], mine: NDArray[np.uint8], candidates: NDArray[np.int64]
) -> NDArray[np.int16]:
    """Count the differences between suspects and candidates up to each site, (S, C, W + 1).

    An unknown letter of a candidate explains nothing, so it counts as one; padding differs from
    everything.
    """
    theirs = letters[candidates]  # (S, C, W)
    differs = (theirs != mine[:, None]) & (mine < NO_BASE)[:, None]
    counts = np.zeros((*candidates.shape, mine.shape[1] + 1), np.int16)
    np.cumsum(differs, axis=2, out=counts[:, :, 1:])
    counts[candidates == NO_ROW] = FAR
    return counts


def apart(
    letters: NDArray[np.uint8],
    mine: NDArray[np.uint8],
    lefts: NDArray[np.int64],
    rights: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the share of sites at which the parents of suspects differ, (S,)."""
    one, other = letters[lefts], letters[rights]
    is_shared = (one < NO_BASE) & (other < NO_BASE) & (mine < NO_BASE)
    num = ((one != other) & is_shared).sum(axis=1)
    found: NDArray[np.float64] = num / np.maximum(is_shared.sum(axis=1), 1)
    return found


__all__ = ["CHIMERA_FEATURES", "Chimeras", "find_chimeras"]
