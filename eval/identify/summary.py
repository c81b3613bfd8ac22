"""Summary of a run: how many records were named down to which rank, were new, or were no barcodes.

In: records with their identifications or rejections. Out: counts, as JSON and in a few lines.
Guarded by tests/eval/identify/test_summary.py.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.findings import Identification
from barcodemae.eval.identify.identification import Rejection
from barcodemae.eval.identify.judge.ladder import LADDER, Mixture
from barcodemae.fasta import SequenceRecord


SIZE = re.compile(r";size=(\d+)")  # reads behind a record, as dereplication writes them
SAMPLE = re.compile(r";sample=([^;]+)")  # sample of a record, likewise
NO_NAME, NO_BARCODE, REJECTED = "no name", "not a barcode", "rejected"


@dataclass
class Summary:
    """Counts of a run.

    Attributes:
        mixture: Mixture of the sample; None of a part of a run.
        records: Outcome -> number of records: the deepest named rank, `no name`, `not a barcode`
            or `rejected`.
        reads: The same in reads, where ids carry `;size=`.
        novel: Rank -> number of records whose taxon of that rank is new, and none above it.
        reasons: Reason -> number of rejected records.
        has_sizes: Whether any id carries `;size=`.
    """

    mixture: Mixture | None = None
    records: Counter[str] = field(default_factory=Counter)
    reads: Counter[str] = field(default_factory=Counter)
    novel: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    has_sizes: bool = False

    def add(self, record: SequenceRecord, named: Identification | Rejection) -> None:
        """Count one record."""
        size = SIZE.search(record.id)
        self.has_sizes |= size is not None
        if isinstance(named, Rejection):
            outcome = REJECTED
            self.reasons[named.reason.partition(":")[0]] += 1
        elif not named.placed.is_barcode:
            outcome = NO_BARCODE
        else:
            assigned = named.assigned()
            outcome = assigned[-1][0] if assigned else NO_NAME
            for rank in LADDER:
                if f"novel_{rank}" in named.flags:
                    self.novel[rank] += 1
                    break
        self.records[outcome] += 1
        self.reads[outcome] += int(size.group(1)) if size else 1

    def merge(self, other: "Summary") -> None:
        """Add the counts of another part of the run."""
        for mine, theirs in (
            (self.records, other.records),
            (self.reads, other.reads),
            (self.novel, other.novel),
            (self.reasons, other.reasons),
        ):
            mine.update(theirs)
        self.has_sizes |= other.has_sizes

    def to_json(self) -> dict[str, Any]:
        """Return the counts as plain values."""
        outcomes = (*reversed(RANKS), NO_NAME, NO_BARCODE, REJECTED)
        content: dict[str, Any] = {
            "records": sum(self.records.values()),
            "deepest_name": {name: self.records[name] for name in outcomes},
            "new": {rank: self.novel[rank] for rank in reversed(LADDER)},
            "rejected_because": dict(sorted(self.reasons.items())),
        }
        if self.mixture is not None:
            content["mixture"] = {"origin": self.mixture.origin, **self.mixture.by_name()}
        if self.has_sizes:
            content["reads"] = sum(self.reads.values())
            content["deepest_name_reads"] = {name: self.reads[name] for name in outcomes}
        return content

    def lines(self) -> list[str]:
        """Return the summary for people."""
        named = ", ".join(
            f"{self.records[rank]:,} to {rank}" for rank in reversed(RANKS) if self.records[rank]
        )
        others = [
            f"{self.records[name]:,} {words}"
            for name, words in ((NO_NAME, "without a name"), (NO_BARCODE, "not barcodes"))
            if self.records[name]
        ]
        lines = ["named: " + (named or "none") + "".join(f"; {part}" for part in others)]
        new = ", ".join(
            f"{self.novel[rank]:,} of a new {rank}" for rank in reversed(LADDER) if self.novel[rank]
        )
        if new:
            lines.append(f"new: {new}")
        if self.mixture is not None:
            shares = ", ".join(
                f"{100 * share:.1f} % {name.replace('_', ' ')}"
                for name, share in self.mixture.by_name().items()
                if share >= 0.0005
            )
            lines.append(f"mixture {self.mixture.origin}: {shares}")
        if self.has_sizes:
            lines.append(f"reads: {sum(self.reads.values()):,}")
        return lines
