"""What the letters of a record say beside its name: stop codons, indels, decay, how far from all.

In: records and what each lies among. Out: numbers of stop codons, and the features from which
`odds.py` tells NUMT-like copies and sequences foreign to the library.
Guarded by tests/eval/audit/test_doctor.py.

Shapes: N = records, M = usable records, F = features.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.eval.audit.labels import log_distance, typical_log
from barcodemae.eval.audit.neighborhoods import Neighborhoods
from barcodemae.eval.audit.records import Records
from barcodemae.eval.identify.doubts.faults import CODING_SHARE, count_in_frame, frame_shift
from barcodemae.eval.identify.judge.ladder import UNKNOWN
from barcodemae.eval.identify.judge.orientation import has_open_frame
from barcodemae.eval.search.reference_search import NO_ROW


WIDE_SCALE = 0.03  # of distances; a neighbour this much farther than the nearest counts a third
LETTER_FEATURES = (
    "log_nearest",  # log distance to the nearest record
    "slow",  # share of different letters at the first two positions of codons
    "excess",  # of those over a third of the share at the third position
    "stops",  # stop codons, at most 3
    "shifts",  # bases gained or lost, at most 3
    "evidence",  # of a barcode, nats per letter
    "log_family",  # log distance to the nearest of its family
    "log_order",  # to the nearest of its order
    "alone_order",  # no other record is of its order
    "unusual_order",  # log distance to its order, less what is typical of that order
    "mixed_order",  # share of the neighbours' weights for orders other than the commonest
)
NUMT_FEATURES = LETTER_FEATURES[:7]  # a copy in the nucleus lies beside its own kind


def columns_of(names: Sequence[str]) -> list[int]:
    """Return the places of some features among all that letters give."""
    return [LETTER_FEATURES.index(name) for name in names]


def count_stops(records: Records) -> NDArray[np.int64]:
    """Count the stop codons of each record, (N,); all zero if the marker codes for no protein.

    In a frame, in the library's reading frame. Without one, 1 for a record in which every reading
    frame has a stop codon.
    """
    if records.letters is None:
        is_open = [has_open_frame(records.text_of(row)) for row in range(len(records))]
        counts = (~np.array(is_open, bool)).astype(np.int64)
    else:
        counts = count_in_frame(records.letters)
    is_coding = (counts[records.is_usable] == 0).mean() >= CODING_SHARE
    return counts if is_coding else np.zeros_like(counts)


def count_shifts(records: Records) -> NDArray[np.int64]:
    """Count bases gained and lost that move the reading frame, (N,); 0 for whole codons."""
    return frame_shift(records.traits["num_gained"], records.traits["num_lost"])


def gather_letters(
    records: Records, hoods: Neighborhoods, stops: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Gather what the letters say of each usable record.

    Args:
        records: Records, N.
        hoods: What each lies among.
        stops: Number of stop codons of each, (N,).

    Returns:
        Rows of the usable records, (M,), and features, see `LETTER_FEATURES`, (M, F).
    """
    rows = np.flatnonzero(records.is_usable & (hoods.identity[:, 0] >= 0))
    slow, fast = hoods.slow[rows, 0], hoods.fast[rows, 0]
    evidence = np.nan_to_num(records.traits["evidence"][rows], nan=1.0)
    features = [
        log_distance(hoods.identity[rows, 0]),
        slow,
        slow - fast / 3,
        np.minimum(stops[rows], 3),
        np.minimum(count_shifts(records)[rows], 3),
        evidence,
        log_distance(hoods.kin_identity[rows, RANKS.index("family")]),
        *features_of_order(records, hoods, rows),
    ]
    return rows, np.stack(features, axis=1).astype(np.float64)


def features_of_order(
    records: Records, hoods: Neighborhoods, rows: NDArray[np.int64]
) -> list[NDArray[np.float64]]:
    """Return how the neighbours' orders and its own speak of a record.

    Sequences of one foreign kind lie beside each other under labels of many orders.

    Args:
        records: Records, N.
        hoods: What each lies among.
        rows: Rows of some records, (M,).
    """
    codes = records.codes[:, RANKS.index("order")]
    own = hoods.kin_identity[rows, RANKS.index("order")]
    has_kin = own >= 0
    log_own, known = log_distance(own), np.maximum(codes[rows], 0)
    unusual = np.where(codes[rows] == UNKNOWN, 0.0, log_own - typical_log(log_own, has_kin, known))
    near = hoods.rows[rows]
    theirs = np.where(near == NO_ROW, UNKNOWN, codes[near])  # (M, K)
    identity = hoods.identity[rows]
    weights = np.exp((identity - identity[:, :1]) / WIDE_SCALE) * (theirs != UNKNOWN)
    agreed = np.max(
        [(weights * (theirs == theirs[:, [k]])).sum(axis=1) for k in range(theirs.shape[1])], axis=0
    )
    mixed = 1 - agreed / np.maximum(weights.sum(axis=1), 1e-9)
    return [log_own, ~has_kin, unusual, np.where(weights.any(axis=1), mixed, 0.0)]


__all__ = ["LETTER_FEATURES", "count_shifts", "count_stops", "gather_letters"]
