"""What the letters of a record say beside its name: stop codons, indels, decay, how far from all.

In: records and what each lies among. Out: numbers of stop codons, and the features from which
`odds.py` tells NUMT-like copies and sequences foreign to the library.
Guarded by tests/eval/audit/test_doctor.py.

Shapes: N = records, W = sites of the frame, C = codons, M = usable records, F = features.
"""

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.eval.audit.labels import log_distance
from barcodemae.eval.audit.neighborhoods import Neighborhoods
from barcodemae.eval.audit.records import Records
from barcodemae.eval.identify.judge.comparison import CODON, conserved_sites
from barcodemae.eval.identify.judge.orientation import has_open_frame


STOPS = ((3, 0, 0), (3, 0, 2))  # TAA and TAG as codes; others are amino acids in some animals
ROWS_PER_BLOCK = 8192
CODING_SHARE = 0.9  # of records without stop codons, above which the marker codes for a protein
LETTER_FEATURES = (
    "log_nearest",  # log distance to the nearest record
    "slow",  # share of different letters at the first two positions of codons
    "excess",  # of those over a third of the share at the third position
    "stops",  # stop codons, at most 3
    "shifts",  # bases gained or lost, at most 3
    "evidence",  # of a barcode, nats per letter
    "log_family",  # log distance to the nearest of its family
)


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


def count_in_frame(letters: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count the stop codons of letters in a frame, (N, W) to (N,)."""
    third = int(np.flatnonzero(~conserved_sites(letters))[0])
    start = (third + 1) % CODON  # the first site of a whole codon
    counts = np.zeros(len(letters), np.int64)
    for first in range(0, len(letters), ROWS_PER_BLOCK):
        block = letters[first : first + ROWS_PER_BLOCK, start:]
        num_codons = block.shape[1] // CODON
        codons = block[:, : num_codons * CODON].reshape(len(block), num_codons, CODON)
        for stop in STOPS:
            is_stop = (codons == np.array(stop, np.uint8)).all(axis=2)  # (block, C)
            counts[first : first + len(block)] += is_stop.sum(axis=1)
    return counts


def count_shifts(records: Records) -> NDArray[np.int64]:
    """Count bases gained and lost that move the reading frame, (N,); 0 for whole codons."""
    net = records.traits["num_gained"].astype(np.int64) - records.traits["num_lost"]
    total = records.traits["num_gained"].astype(np.int64) + records.traits["num_lost"]
    return np.where(net % CODON == 0, np.where(net == 0, total, 0), total)


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
    ]
    return rows, np.stack(features, axis=1).astype(np.float64)


__all__ = ["LETTER_FEATURES", "count_shifts", "count_stops", "gather_letters"]
