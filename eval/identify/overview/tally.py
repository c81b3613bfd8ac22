"""Counts behind the overview: per sample and over all, in records and in reads.

In: what `named_table.py` reads. Out: a `Tally`, whose size depends on the number of taxa and
samples, not on that of records. Guarded by tests/eval/identify/overview/test_tally.py.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from barcodemae.eval.identify.judge.ladder import LADDER
from barcodemae.eval.identify.overview.named_table import (
    NamedRecord,
    RejectedRecord,
    read_named,
    read_rejected,
)
from barcodemae.eval.identify.summary import REJECTED


MAX_LISTED = 300  # candidates of each rank, and rejected records, that the page lists
NUM_BINS = 1000  # of identities and probabilities; the page joins them to fewer
Lineage = tuple[tuple[str, str], ...]  # rank and name of each name given, from the top


@dataclass
class Counts:
    """Counts of one sample, in records or in reads.

    Attributes:
        outcomes: Outcome, see `NamedRecord.outcome`, or `rejected` -> number.
        lineages: Names given -> number.
        novel: Highest new rank -> number.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    lineages: Counter[Lineage] = field(default_factory=Counter)
    novel: Counter[str] = field(default_factory=Counter)

    def add(self, record: NamedRecord, amount: int) -> None:
        """Count one record."""
        self.outcomes[record.outcome] += amount
        self.lineages[tuple(record.names.items())] += amount
        if record.novel is not None:
            self.novel[record.novel] += amount


@dataclass
class Tally:
    """Counts of everything that the page shows.

    Attributes:
        records: Sample -> counts in records, in the order in which samples appear.
        reads: Sample -> counts in reads; a record whose id tells no size is one read.
        has_reads: Whether any id tells a size.
        flags: Flag -> number of records.
        identities: Outcome -> number of records by identity, in steps of 1/1000.
        probabilities: Outcome -> number of records by the probability of the deepest name.
        reasons: Reason -> number of rejected records.
        rejected: Sample and record of the first rejected records.
        num_candidates: Highest new rank -> number of records.
    """

    records: dict[str, Counts] = field(default_factory=dict)
    reads: dict[str, Counts] = field(default_factory=dict)
    has_reads: bool = False
    flags: Counter[str] = field(default_factory=Counter)
    identities: dict[str, Counter[int]] = field(default_factory=dict)
    probabilities: dict[str, Counter[int]] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    rejected: list[tuple[str, RejectedRecord]] = field(default_factory=list)
    num_candidates: Counter[str] = field(default_factory=Counter)
    _best: dict[str, list[tuple[float, int, str, NamedRecord]]] = field(default_factory=dict)
    _order: "count[int]" = field(default_factory=count)

    def add(self, sample: str, record: NamedRecord) -> None:
        """Count one record with names, or with the finding that it is no barcode."""
        sample = record.sample or sample
        self.has_reads |= record.reads is not None
        self.records.setdefault(sample, Counts()).add(record, 1)
        self.reads.setdefault(sample, Counts()).add(record, record.reads or 1)
        self.flags.update(record.flags)
        for counters, value in (
            (self.identities, record.identity),
            (self.probabilities, record.probability),
        ):
            if value is not None:
                place = min(int(value * NUM_BINS), NUM_BINS - 1)
                counters.setdefault(record.outcome, Counter())[place] += 1
        if record.novel is not None and record.novelty is not None:
            self.num_candidates[record.novel] += 1
            entry = (record.novelty, -next(self._order), sample, record)
            best = self._best.setdefault(record.novel, [])
            push = heapq.heappush if len(best) < MAX_LISTED else heapq.heappushpop
            push(best, entry)

    def reject(self, sample: str, record: RejectedRecord) -> None:
        """Count one rejected record."""
        sample = record.sample or sample
        self.has_reads |= record.reads is not None
        self.records.setdefault(sample, Counts()).outcomes[REJECTED] += 1
        self.reads.setdefault(sample, Counts()).outcomes[REJECTED] += record.reads or 1
        self.reasons[record.reason.partition(":")[0]] += 1
        if len(self.rejected) < MAX_LISTED:
            self.rejected.append((sample, record))

    def candidates(self) -> list[tuple[str, NamedRecord]]:
        """Return sample and record of the most probable new taxa, species first."""
        return [
            (sample, record)
            for rank in reversed(LADDER)
            for _, _, sample, record in sorted(self._best.get(rank, []), reverse=True)
        ]

    def counts(self, measure: str) -> dict[str, Counts]:
        """Return the counts of all samples in `records` or in `reads`."""
        return self.reads if measure == "reads" else self.records


def sample_names(paths: Sequence[Path]) -> list[str]:
    """Name the sample of each table by its file; by its path where two files share a name."""
    stems = [path.name.removesuffix(".gz").removesuffix(".tsv") for path in paths]
    return [
        stem if stems.count(stem) == 1 else str(path)
        for stem, path in zip(stems, paths, strict=True)
    ]


def tally_tables(paths: Sequence[Path], samples: Iterable[str]) -> Tally:
    """Count what tables of names and their lists of rejected records hold.

    Args:
        paths: Tables that `identify` wrote.
        samples: Name of the sample of each; ids that carry `;sample=` overrule it.

    Raises:
        DataError: One of them is no such table, or is damaged.
    """
    tally = Tally()
    for path, sample in zip(paths, samples, strict=True):
        for record in read_named(path):
            tally.add(sample, record)
        for rejected in read_rejected(path):
            tally.reject(sample, rejected)
    return tally
