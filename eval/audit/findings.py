"""Findings of an audit: what each kind means, how much harm it does, and what to do about it.

In: rows, scores and evidence of the other files of this folder. Out: `Finding`s in order: harm
times score, so that what misleads a name most stands first.
Guarded by tests/eval/audit/test_doctor.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Kind:
    """A kind of finding.

    Attributes:
        name: As it stands in tables.
        title: What it says, for people.
        harm: Harm that it does to names, 0 to 1, which orders findings of equal score.
        suggestion: What to do about it.
        spoils: Whether `clean` drops the records of a finding, from a score on.
        misleads: Whether a name that rests on one of its records is doubtful, too, which `identify`
            tells of libraries made with the findings; all that spoil do.
    """

    name: str
    title: str
    harm: float
    suggestion: str
    spoils: bool = False
    misleads: bool = False

    @property
    def is_told(self) -> bool:
        """Whether `identify` tells of a name that rests on a record of such a finding."""
        return self.spoils or self.misleads


_CHECK = "check the voucher; until then leave the record out"
KINDS = {
    kind.name: kind
    for kind in (
        Kind("wrong_phylum", "wrong phylum", 1.0, _CHECK, spoils=True),
        Kind("wrong_class", "wrong class", 1.0, _CHECK, spoils=True),
        Kind("wrong_order", "wrong order", 1.0, _CHECK, spoils=True),
        Kind("wrong_family", "wrong family", 1.0, _CHECK, spoils=True),
        Kind("wrong_genus", "wrong genus", 0.95, _CHECK, spoils=True),
        Kind("wrong_species", "wrong species", 0.8, _CHECK, spoils=True),
        Kind("swapped_pair", "two labels exchanged", 1.0, "exchange the two labels", spoils=True),
        Kind("not_barcode", "not this marker", 1.0, "leave the record out", spoils=True),
        Kind("unreadable", "cannot be read", 0.9, "leave the record out", spoils=True),
        Kind(
            "foreign",
            "foreign to the library: contamination or another phylum",
            1.0,
            "compare with all of GenBank; leave the record out",
            spoils=True,
        ),
        Kind("chimera", "chimera of two records", 0.95, "leave the record out", spoils=True),
        Kind("numt_like", "NUMT-like divergence", 0.85, "leave the record out", spoils=True),
        Kind("stop_codon", "stop codons", 0.8, "check the trace; leave it out", spoils=True),
        Kind(
            "frameshift",
            "bases gained or lost",
            0.5,
            "check the trace at the indel",
            misleads=True,
        ),
        Kind(
            "one_barcode_several_names",
            "one barcode under several names",
            0.75,
            "find out which name is right; until then give the rank above",
            misleads=True,
        ),
        Kind(
            "bin_several_names",
            "one BIN under several names",
            0.6,
            "check the records of the rarer names",
            misleads=True,
        ),
        Kind(
            "name_in_distant_clusters",
            "one name in distant clusters",
            0.6,
            "split species or misidentified: check the records of the smaller cluster",
        ),
        Kind("name_several_bins", "one name in several BINs", 0.4, "check the rarer BINs"),
        Kind(
            "synonym_like",
            "two names that letters do not tell apart",
            0.5,
            "check whether one is a synonym or a slip of the pen",
        ),
        Kind(
            "several_parents",
            "one taxon under several higher taxa",
            0.7,
            "keep one lineage, or mark the homonyms",
            misleads=True,
        ),
        Kind("no_name", "a label that names no taxon", 0.3, "leave the rank empty"),
        Kind("other_strand", "on the other strand", 0.45, "write its reverse complement"),
        Kind("truncated", "much shorter than the others", 0.25, "fine for fragments, weak else"),
        Kind("many_unknown", "many unknown letters", 0.25, "take a better read if there is one"),
        Kind(
            "duplicate_across_partitions",
            "also in another partition",
            0.5,
            "keep it in one partition: accuracy is too high else",
        ),
    )
}


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        kind: Name of its kind.
        rows: Rows of the records that it is about, the suspect ones.
        score: Probability that it is true where `is_calibrated`; else its strength, 0 to 1.
        evidence: What shows it, in words.
        rank: Rank of the names that it is about; empty if of none.
        is_calibrated: Whether planted faults taught the score.
        others: Rows of records that show it.
        suggestion: What to do about it, if more is known than for the kind.
    """

    kind: str
    rows: tuple[int, ...]
    score: float
    evidence: str
    rank: str = ""
    is_calibrated: bool = False
    others: tuple[int, ...] = field(default=())
    suggestion: str = ""

    @property
    def weight(self) -> float:
        """Harm times score, by which findings are ordered."""
        return KINDS[self.kind].harm * self.score

    @property
    def advice(self) -> str:
        """What to do about it."""
        return self.suggestion or KINDS[self.kind].suggestion


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Sort findings: the most harmful and most certain first, then by row."""
    return sorted(findings, key=lambda found: (-round(found.weight, 6), found.kind, found.rows))


def count_kinds(findings: Iterable[Finding]) -> dict[str, int]:
    """Count the findings of each kind, in the order of `KINDS`."""
    counts = dict.fromkeys(KINDS, 0)
    for found in findings:
        counts[found.kind] += 1
    return {name: count for name, count in counts.items() if count}


__all__ = ["KINDS", "Finding", "Kind", "count_kinds", "in_order"]
