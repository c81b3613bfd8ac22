"""Findings about letters, whatever the name: strand, marker, decay, chimeras, length, no names.

In: records, what each lies among, suspects for chimeras. Out: findings. Those of chimeras,
NUMT-like copies and foreign sequences have calibrated probabilities; the others are facts.
Guarded by tests/eval/audit/test_doctor.py.
"""

from collections.abc import Iterator

import numpy as np

from barcodemae.eval.audit.chimeras import Chimeras
from barcodemae.eval.audit.findings import Finding
from barcodemae.eval.audit.letters import columns_of, count_shifts, count_stops, gather_letters
from barcodemae.eval.audit.neighborhoods import Neighborhoods
from barcodemae.eval.audit.odds import load_odds
from barcodemae.eval.audit.records import NOT_BARCODE, Records
from barcodemae.eval.identify.doubts.faults import MAX_UNKNOWN, SHORT_SHARE


LIKELY = 0.5  # probability from which on letters are at fault rather than not


def find_in_traits(records: Records) -> Iterator[Finding]:
    """Find what is told by how a record stood in its file."""
    traits = records.traits
    for row, why in records.problems.items():
        kind = "not_barcode" if traits["state"][row] == NOT_BARCODE else "unreadable"
        yield Finding(kind, (row,), 1.0, why)
    for row in np.flatnonzero(traits["is_reverse"]).tolist():
        text = f"placed as its reverse complement, {traits['evidence'][row]:.2f} nats per letter"
        yield Finding("other_strand", (row,), 1.0, text)
    for label in records.placeholders:
        yield Finding("no_name", (label.row,), 1.0, f"{label.rank}: {label.text}", label.rank)
    usable = np.flatnonzero(records.is_usable)
    known, unknown = traits["num_known"][usable], traits["num_unknown"][usable]
    median = float(np.median(known))
    for row in usable[known < SHORT_SHARE * median].tolist():
        num = int(traits["num_known"][row])
        text = f"{num} known letters, the median is {median:.0f}"
        yield Finding("truncated", (row,), min(1.0, 1 - num / median), text)
    share = unknown / np.maximum(known + unknown, 1)
    for row, value in zip(usable.tolist(), share.tolist(), strict=True):
        if value > MAX_UNKNOWN:
            text = f"{value:.1%} of the letters between its ends are unknown"
            yield Finding("many_unknown", (row,), min(1.0, 5 * value), text)


def find_in_letters(
    records: Records, hoods: Neighborhoods, chimeras: Chimeras, min_score: float
) -> Iterator[Finding]:
    """Find what the letters tell: each record has one finding of the most likely cause.

    A cause that is less likely than not hides no stop codon and no lost base.

    Args:
        records: Records.
        hoods: What each lies among.
        chimeras: Suspects for chimeras.
        min_score: Lowest probability that is reported.
    """
    stops, shifts = count_stops(records), count_shifts(records)
    best: dict[int, Finding] = {}
    for found in (
        *find_chimeric(records, chimeras, min_score),
        *find_decayed(records, hoods, stops, min_score),
    ):
        row = found.rows[0]
        if row not in best or best[row].score < found.score:
            best[row] = found
    yield from best.values()
    explained = {row for row, found in best.items() if found.score >= LIKELY}
    for row in np.flatnonzero(records.is_usable & (stops > 0)).tolist():
        if row not in explained:
            text = f"{stops[row]} stop codon(s) in the reading frame of the library"
            yield Finding("stop_codon", (row,), 1.0, text)
    for row in np.flatnonzero(records.is_usable & (shifts > 0)).tolist():
        if row not in explained:
            gained, lost = (int(records.traits[name][row]) for name in ("num_gained", "num_lost"))
            text = f"{gained} bases gained, {lost} lost inside the barcode"
            yield Finding("frameshift", (row,), 1.0, text)


def find_chimeric(records: Records, chimeras: Chimeras, min_score: float) -> Iterator[Finding]:
    """Find chimeras among the suspects."""
    model = load_odds().get("chimera")
    if model is None or not len(chimeras.rows):
        return
    probability = model.probability(chimeras.features)
    for place in np.flatnonzero(probability >= min_score).tolist():
        row, left, right = (
            int(part[place]) for part in (chimeras.rows, chimeras.left, chimeras.right)
        )
        gain, _, rest, apart = chimeras.features[place].tolist()
        text = (
            f"up to site {int(chimeras.site[place])} like {records.ids[left]} "
            f"({records.deepest(left)}), from there like {records.ids[right]} "
            f"({records.deepest(right)}): together they differ in {rest:.1f} % of the letters, the "
            f"best single record in {rest + gain:.1f} %, they from each other in {apart:.1f} %"
        )
        score = float(probability[place])
        yield Finding("chimera", (row,), score, text, is_calibrated=True, others=(left, right))


def find_decayed(
    records: Records, hoods: Neighborhoods, stops: np.ndarray, min_score: float
) -> Iterator[Finding]:
    """Find NUMT-like copies and sequences that are foreign to the library."""
    rows, features = gather_letters(records, hoods, stops)
    for kind in ("numt_like", "foreign"):
        model = load_odds().get(kind)
        if model is None or not len(rows):
            continue
        probability = model.probability(features[:, columns_of(model.features)])
        for place in np.flatnonzero(probability >= min_score).tolist():
            row = int(rows[place])
            near = int(hoods.rows[row, 0])
            text = (
                f"{100 * float(hoods.identity[row, 0]):.1f} % identical with the nearest record "
                f"{records.ids[near]} ({records.deepest(near)}); differs from it in "
                f"{100 * features[place, 1]:.1f} % of the letters at the first two positions of "
                f"codons; {int(stops[row])} stop codon(s)"
            )
            score = float(probability[place])
            yield Finding(kind, (row,), score, text, is_calibrated=True, others=(near,))


__all__ = ["LIKELY", "find_in_letters", "find_in_traits"]
