"""Evidence that a record's name at a rank is wrong: it lies among others, and far from its own.

In: records and what each lies among. Out: for each rank, features of every record that has a name
there, and the record of another name that it lies next to. `odds.py` turns them into probabilities.
Guarded by tests/eval/audit/test_doctor.py.

Shapes: N = records, K = neighbours, M = records with a name at the rank, F = features.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.eval.audit.neighborhoods import Neighborhoods
from barcodemae.eval.audit.records import Records
from barcodemae.eval.identify.judge.ladder import LADDER, UNKNOWN
from barcodemae.eval.search.reference_search import NO_ROW


LABEL_RANKS = LADDER[::-1]  # species first
SCALE = 0.01  # of distances; a neighbour this much farther than the nearest counts a third
LITTLE = 0.003  # added to distances before their logarithm: two letters of a barcode
NEARLY = 0.02  # of identity; neighbours of the other name this near to its nearest stand for it
ALONE_DISTANCE = 0.25  # stands for the distance to its own of a record that has none
MAX_PARTNERS = 8  # records of a pair of taxa that are looked at as partners
PRIOR_MEMBERS = 2.0  # what is typical of all taxa weighs as much as so many members of one
FEATURES = (
    "log_own",  # log distance to the nearest of its own name
    "log_other",  # to the nearest of another name
    "log_ratio",  # the first less the second, if positive
    "alone",  # no other record has its name
    "own_votes",  # share of the neighbours' weights for its own name
    "support",  # log of one plus the weights for the other name
    "purity",  # share of the weights for other names that are for that one
    "log_other_own",  # log distance of those neighbours to their own
    "unusual",  # log distance to its own, less what is typical of that name
    "beyond",  # share of its own name among the neighbours beyond a single nearest one
    "partner",  # log ratio of a record that lies the other way round
)


@dataclass(frozen=True)
class LabelEvidence:
    """Evidence about the names of a rank.

    Attributes:
        rank: The rank.
        rows: Records with a name there and a neighbour, (M,).
        features: Features, see `FEATURES`, (M, F).
        others: Nearest record of another name, (M,); -1 if no neighbour has another name.
    """

    rank: str
    rows: NDArray[np.int64]
    features: NDArray[np.float64]
    others: NDArray[np.int64]


def log_distance(identity: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the log of distances; an identity of -1 stands for none."""
    distance = np.where(identity < 0, ALONE_DISTANCE, 1 - identity)
    logs: NDArray[np.float64] = np.log(distance.astype(np.float64) + LITTLE)
    return logs


def gather_labels(records: Records, hoods: Neighborhoods, rank: str) -> LabelEvidence:
    """Gather the evidence about all names of a rank.

    Args:
        records: Records, N.
        hoods: What each lies among.
        rank: A rank of `LABEL_RANKS`.
    """
    column = RANKS.index(rank)
    codes = records.codes[:, column]
    rows = np.flatnonzero((codes != UNKNOWN) & (hoods.rows[:, 0] != NO_ROW))
    near, identity = hoods.rows[rows], hoods.identity[rows]  # (M, K)
    own_identity = hoods.kin_identity[:, column]  # (N,)
    theirs = np.where(near == NO_ROW, UNKNOWN, codes[near])  # (M, K)
    is_same = theirs == codes[rows][:, None]
    is_foreign = (theirs != UNKNOWN) & ~is_same
    has_other = is_foreign.any(axis=1)
    first = is_foreign.argmax(axis=1)
    place = np.arange(len(rows))
    other = np.where(has_other, near[place, first], NO_ROW)  # (M,)
    other_identity = np.where(has_other, identity[place, first], np.float32(NO_ROW))
    is_that = is_foreign & (theirs == theirs[place, first][:, None])
    weights = np.exp((identity - identity[:, :1]) / SCALE)  # (M, K), 1 for the nearest
    total = (weights * (is_same | is_foreign)).sum(axis=1)
    stands = is_that & (identity >= other_identity[:, None] - NEARLY)
    best_kin = np.where(stands, own_identity[near], -1.0).max(axis=1)
    farther = np.maximum(other_identity[:, None] - identity, 0.0)
    near_other = np.exp(-farther / SCALE)  # (M, K), 1 for the nearest of another name
    votes = (near_other * is_foreign).sum(axis=1)
    own = own_identity[rows]
    key = records.codes[:, RANKS.index("species" if rank == "species" else "genus")]
    log_own, log_other = log_distance(own), log_distance(other_identity)
    log_ratio = np.maximum(log_own - log_other, 0.0)
    features = np.stack(
        [
            log_own,
            log_other,
            log_ratio,
            own < 0,
            (weights * is_same).sum(axis=1) / np.maximum(total, 1e-9),
            np.log1p((near_other * is_that).sum(axis=1)),
            (near_other * is_that).sum(axis=1) / np.maximum(votes, 1e-9),
            log_distance(best_kin.astype(np.float32)),
            log_own - typical_log(log_own, own >= 0, codes[rows]),
            share_beyond(identity, is_same, is_foreign),
            find_partners(rows, other, key, log_ratio),
        ],
        axis=1,
    )
    return LabelEvidence(rank, rows, features.astype(np.float64), other)


def share_beyond(
    identity: NDArray[np.float32], is_same: NDArray[np.bool_], is_foreign: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the share of the own name among the neighbours beyond a single nearest one.

    Of two records of different names beside each other that one is right whose name those around
    both have. Where several are as near, they say it themselves.

    Args:
        identity: Identity with the neighbours, the nearest first, (M, K).
        is_same: Whether a neighbour has the same name, (M, K).
        is_foreign: Whether it has another one, (M, K).

    Returns:
        Shares, (M,); one half where several are as near, and where there is no other.
    """
    is_named = is_same | is_foreign
    is_beyond = is_named & (identity < identity[:, :1] - NEARLY)
    first = np.where(is_beyond, identity, -1.0).max(axis=1, keepdims=True)
    weights = np.exp(np.minimum(identity - first, 0.0) / SCALE) * is_beyond  # (M, K)
    total = weights.sum(axis=1)
    shares: NDArray[np.float64] = (weights * is_same).sum(axis=1) / np.maximum(total, 1e-9)
    is_single = (is_named & (identity >= identity[:, :1] - NEARLY)).sum(axis=1) == 1
    return np.where(is_single & (total > 0), shares, 0.5)


def find_partners(
    rows: NDArray[np.int64],
    others: NDArray[np.int64],
    key: NDArray[np.int32],
    log_ratio: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return how surely another record lies the other way round: here in name, there in letters.

    Two taxa that lie beside each other do so, too, but there the partner is the neighbour itself.

    Args:
        rows: Records, (M,).
        others: Nearest record of another name of each, (M,); -1 if there is none.
        key: Codes of the names by which partners are told, (N,).
        log_ratio: How much farther its own is than the other, as a log, (M,).

    Returns:
        The highest log ratio of a partner, (M,); 0 without.
    """
    pairs: dict[tuple[int, int], list[int]] = {}
    names, places = key[rows].tolist(), np.where(others == NO_ROW, UNKNOWN, key[others]).tolist()
    order = np.argsort(-log_ratio, kind="stable")
    for item in order[log_ratio[order] > 0].tolist():
        if UNKNOWN not in (names[item], places[item]) and names[item] != places[item]:
            found = pairs.setdefault((names[item], places[item]), [])
            if len(found) < MAX_PARTNERS:
                found.append(item)
    partner = np.zeros(len(rows))
    for (name, place), members in pairs.items():
        back = pairs.get((place, name), ())
        for item in members:
            for other in back:
                if others[item] != rows[other] and others[other] != rows[item]:
                    partner[item] = log_ratio[other]
                    break
    return partner


def typical_log(
    logs: NDArray[np.float64], has_kin: NDArray[np.bool_], codes: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Return what is typical of each record's name: the mean log distance of its other members.

    Args:
        logs: Log distances of records to their own, (M,).
        has_kin: Whether they have any, (M,).
        codes: Codes of their names, (M,).
    """
    if not has_kin.any():
        return logs
    overall = logs[has_kin].mean()
    num = np.bincount(codes, has_kin, minlength=codes.max() + 1)[codes]
    total = np.bincount(codes, logs * has_kin, minlength=codes.max() + 1)[codes]
    typical: NDArray[np.float64] = (total - logs * has_kin + PRIOR_MEMBERS * overall) / (
        num - has_kin + PRIOR_MEMBERS
    )
    return typical


__all__ = ["FEATURES", "LABEL_RANKS", "LabelEvidence", "gather_labels"]
