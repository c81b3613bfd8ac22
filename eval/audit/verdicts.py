"""Verdicts on names: which are likely wrong, from which rank down, and what each record is instead.

In: evidence about names. Out: findings with calibrated probabilities, one for each record: of the
highest rank whose name is likely wrong; and pairs of records whose labels were exchanged.
Guarded by tests/eval/audit/test_doctor.py.

Shapes: N = records, T = ranks.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.eval.audit.findings import Finding
from barcodemae.eval.audit.labels import LABEL_RANKS, gather_labels
from barcodemae.eval.audit.neighborhoods import Neighborhoods
from barcodemae.eval.audit.odds import load_odds
from barcodemae.eval.audit.records import Records
from barcodemae.eval.identify.judge.ladder import UNKNOWN
from barcodemae.eval.search.reference_search import NO_ROW


def label_probabilities(
    records: Records, hoods: Neighborhoods
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the probability that each name is wrong, and the record of another name beside it.

    Args:
        records: Records, N.
        hoods: What each lies among.

    Returns:
        Probabilities, (N, T), 0 where there is no name; rows, (N, T), -1 where there is none.
    """
    probability = np.zeros(records.codes.shape)
    others = np.full(records.codes.shape, NO_ROW, np.int64)
    for rank, model in load_odds().items():
        if rank not in LABEL_RANKS:
            continue
        column = RANKS.index(rank)
        evidence = gather_labels(records, hoods, rank)
        others[evidence.rows, column] = evidence.others
        found = model.probability(evidence.features)
        probability[evidence.rows, column] = np.where(evidence.others == NO_ROW, 0.0, found)
    # A name below a wrong one is wrong, too.
    probability = np.maximum.accumulate(probability, axis=1)
    probability[records.codes == UNKNOWN] = 0.0
    return probability, others


def find_wrong_labels(
    records: Records, hoods: Neighborhoods, min_score: float, skip: Collection[int] = ()
) -> list[Finding]:
    """Find records whose label is likely wrong.

    Args:
        records: Records.
        hoods: What each lies among.
        min_score: Lowest probability that is reported.
        skip: Records whose letters are at fault, which are left out.
    """
    probability, others = label_probabilities(records, hoods)
    findings = {
        row: verdict(records, hoods, row, probability[row], others[row])
        for row in np.flatnonzero(probability.max(axis=1) >= min_score).tolist()
        if row not in skip
    }
    swapped = dict(find_swapped(records, hoods, findings, others))
    return [swapped.get(row, found) for row, found in findings.items()]


def verdict(
    records: Records,
    hoods: Neighborhoods,
    row: int,
    probability: NDArray[np.float64],
    others: NDArray[np.int64],
) -> Finding:
    """Return the finding about one label.

    Args:
        records: Records.
        hoods: What each lies among.
        row: Row of the record.
        probability: Probability that its name is wrong at each rank, (T,).
        others: Record of another name beside it at each rank, (T,).
    """
    likely = [c for c, rank in enumerate(RANKS) if rank in LABEL_RANKS and probability[c] >= 0.5]
    column = likely[0] if likely else int(probability.argmax())
    rank, other = RANKS[column], int(others[column])
    kin = int(hoods.kin[row, column])
    place = np.flatnonzero(hoods.rows[row] == other)
    near = 100 * float(hoods.identity[row, place[0]]) if len(place) else 0.0
    name = records.name(other, rank)
    own = "no other record of its own" if kin == NO_ROW else "its own no nearer than "
    if kin != NO_ROW:
        own += f"{100 * float(hoods.kin_identity[row, column]):.1f} % ({records.ids[kin]})"
    same = [r for r in hoods.rows[row].tolist() if r != NO_ROW and records.name(r, rank) == name]
    text = f"{near:.1f} % identical with {records.ids[other]} of {name}, one of {len(same)} near it"
    return Finding(
        f"wrong_{rank}",
        (row,),
        float(probability[column]),
        f"{text}; {own}",
        rank,
        is_calibrated=True,
        others=tuple(same[:6]),
        suggestion=f"lies in {records.deepest(other)}: check the voucher; leave the record out",
    )


def find_swapped(
    records: Records,
    hoods: Neighborhoods,
    findings: dict[int, Finding],
    others: NDArray[np.int64],
) -> Iterator[tuple[int, Finding]]:
    """Find pairs of suspects each of which lies in the other's taxon, and give both findings.

    Args:
        records: Records.
        hoods: What each lies among.
        findings: Findings about labels, by row.
        others: Record of another name beside each at each rank, (N, T).
    """
    lies_in: dict[tuple[str, str, str], list[int]] = {}
    for row, found in findings.items():
        names = names_of_pair(records, row, found, others)
        if None not in names:
            lies_in.setdefault((found.rank, str(names[0]), str(names[1])), []).append(row)
    for (rank, mine, theirs), rows in lies_in.items():
        back = lies_in.get((rank, theirs, mine), [])
        if mine == theirs or len(rows) != 1 or len(back) != 1:
            continue
        row, partner = rows[0], back[0]
        text = f"{findings[row].evidence}; {records.ids[partner]} lies the other way round"
        how = f"exchange the labels of {records.ids[row]} and {records.ids[partner]}"
        swapped = replace(
            findings[row], kind="swapped_pair", rows=(row, partner), evidence=text, suggestion=how
        )
        yield row, replace(swapped, rows=(row,), others=(partner, *swapped.others[:5]))


def names_of_pair(
    records: Records, row: int, found: Finding, others: NDArray[np.int64]
) -> tuple[str | None, str | None]:
    """Return the name that a record carries at the deepest rank, and that of what it lies among."""
    other = int(others[row, RANKS.index(found.rank)])
    rank = "species" if records.name(row, "species") and records.name(other, "species") else "genus"
    return records.name(row, rank), records.name(other, rank)


__all__ = ["find_wrong_labels", "label_probabilities"]
