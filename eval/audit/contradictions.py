"""Names that contradict each other: over one barcode, over one BIN, over distant clusters.

In: records, what each lies among, their clusters. Out: findings. None of them says which record is
wrong, so their scores are strengths, not probabilities.
Guarded by tests/eval/audit/test_contradictions.py.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator

import edlib
import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.eval.audit.clusters import SAME_IDENTITY, cluster_at, groups_of, merge_near
from barcodemae.eval.audit.findings import Finding
from barcodemae.eval.audit.neighborhoods import Neighborhoods
from barcodemae.eval.audit.records import Records
from barcodemae.eval.identify.judge.ladder import UNKNOWN
from barcodemae.eval.search.reference_search import NO_ROW


SPECIES = RANKS.index("species")
# Highest score of several names over one barcode, by the highest rank that differs: two species may
# share their barcodes, two families do not.
CONFLICT_SCORES = {"species": 0.5, "genus": 0.7, "subfamily": 0.7}
SPLIT_IDENTITY = 0.97  # clusters of one name that come no nearer are distant
FULL_SPLIT = 0.10  # distance between clusters of one name from which on the score is highest
ALIKE_LETTERS = 2  # edits between two names that look like one
ALIKE_IDENTITY = 0.97
MAX_SHOWN = 6


def tell(counts: Counter[str]) -> str:
    """Tell names with their numbers, the most frequent first."""
    shown = [f"{name} ({count})" for name, count in counts.most_common(MAX_SHOWN)]
    return ", ".join(shown) + (", ..." if len(counts) > MAX_SHOWN else "")


def names_of(records: Records, rows: NDArray[np.int64], rank: str) -> Counter[str]:
    """Count the names of some records at a rank."""
    place = RANKS.index(rank)
    codes = records.codes[rows, place]
    return Counter(records.taxa[place][code] for code in codes[codes != UNKNOWN].tolist())


def rarer(records: Records, rows: NDArray[np.int64], rank: str, name: str) -> tuple[int, ...]:
    """Return the rows whose name at a rank is known and another one."""
    return tuple(row for row in rows.tolist() if records.name(row, rank) not in (None, name))


def find_same_barcode(records: Records, hoods: Neighborhoods) -> Iterator[Finding]:
    """Find groups of records without a different letter that carry several names."""
    same = cluster_at(hoods, SAME_IDENTITY)
    for group in groups_of(same, np.flatnonzero(records.is_usable)):
        if len(group) < 2:
            continue
        for rank in RANKS:
            counts = names_of(records, group, rank)
            if len(counts) > 1:
                odd = rarer(records, group, rank, counts.most_common(1)[0][0])
                others = tuple(row for row in group.tolist() if row not in odd)
                score = CONFLICT_SCORES.get(rank, 1.0)
                yield Finding(
                    "one_barcode_several_names",
                    odd,
                    score,
                    f"the same letters in {len(group)} records: {tell(counts)}",
                    rank,
                    others=others[:MAX_SHOWN],
                )
                break


def find_bins(records: Records) -> Iterator[Finding]:
    """Find BINs with several species names, and species names in several BINs."""
    by_bin: dict[str, list[int]] = defaultdict(list)
    by_species: dict[int, list[int]] = defaultdict(list)
    for row, (name, code) in enumerate(zip(records.bins, records.codes[:, SPECIES], strict=True)):
        if name is not None and code != UNKNOWN:
            by_bin[name].append(row)
            by_species[int(code)].append(row)
    for name, rows in by_bin.items():
        counts = names_of(records, np.array(rows), "species")
        if len(counts) > 1:
            most, count = counts.most_common(1)[0]
            odd = rarer(records, np.array(rows), "species", most)
            share = count / len(rows)
            text = f"{name}: {tell(counts)}; majority {most}, {share:.0%}"
            others = tuple(row for row in rows if row not in odd)[:MAX_SHOWN]
            yield Finding("bin_several_names", odd, share, text, "species", others=others)
    for code, rows in by_species.items():
        bins = Counter(str(records.bins[row]) for row in rows)
        if len(bins) > 1:
            most, count = bins.most_common(1)[0]
            odd = tuple(row for row in rows if records.bins[row] != most)
            text = f"{records.taxa[SPECIES][code]}: {tell(bins)}"
            others = tuple(row for row in rows if records.bins[row] == most)[:MAX_SHOWN]
            score = min(1.0, 2 * (1 - count / len(rows)))
            yield Finding("name_several_bins", odd, score, text, "species", others=others)


def find_split_names(
    records: Records, hoods: Neighborhoods, units: NDArray[np.int64]
) -> Iterator[Finding]:
    """Find species names whose records lie in clusters far from each other.

    Args:
        records: Records.
        hoods: What each lies among.
        units: Cluster of each record.
    """
    codes = records.codes[:, SPECIES].astype(np.int64)
    named = np.flatnonzero((codes != UNKNOWN) & records.is_usable)
    for rows in groups_of(codes, named):
        parts = groups_of(units, rows)
        if len(parts) < 2:
            continue
        merged, nearest = merge_near(records, parts, SPLIT_IDENTITY)
        if len(merged) < 2:
            continue
        small = np.concatenate(merged[1:])
        sizes = " + ".join(str(len(part)) for part in merged)
        intruders = Counter(
            records.deepest(int(near))
            for row in small.tolist()
            for near in hoods.rows[row, :1]
            if near != NO_ROW and records.codes[near, SPECIES] != codes[row]
        )
        text = f"{sizes} records in clusters at least {100 * (1 - nearest):.1f} % apart"
        if intruders:
            text += f"; the smaller ones lie next to {tell(intruders)}"
        score = min(1.0, (1 - nearest) / FULL_SPLIT)
        others = tuple(merged[0][:MAX_SHOWN].tolist())
        yield Finding(
            "name_in_distant_clusters",
            tuple(sorted(small.tolist())),
            score,
            text,
            "species",
            others=others,
        )


def find_synonyms(records: Records, hoods: Neighborhoods) -> Iterator[Finding]:
    """Find pairs of species names that letters do not tell apart, or that look alike."""
    codes = records.codes[:, SPECIES]
    pairs: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row in np.flatnonzero((codes != UNKNOWN) & records.is_usable).tolist():
        near = hoods.rows[row]
        is_other = (near != NO_ROW) & (codes[near] != UNKNOWN) & (codes[near] != codes[row])
        if not is_other.any():
            continue
        place = int(is_other.argmax())
        if hoods.identity[row, place] >= ALIKE_IDENTITY:
            pairs[int(codes[row]), int(codes[near[place]])].append(row)
    sizes = Counter(codes[codes != UNKNOWN].tolist())
    names = records.taxa[SPECIES]
    for (one, other), rows in pairs.items():
        back = pairs.get((other, one), [])
        is_first = one < other or not back
        if not is_first:
            continue
        alike = looks_alike(names[one], names[other])
        mixed = [
            sum(is_mixed(hoods, codes, row) for row in group) / sizes[code]
            for code, group in ((one, rows), (other, back))
        ]
        if alike or min(mixed) > 0.5:
            what = "names that look alike" if alike else "records of both lie among each other"
            text = f"{names[one]} ({sizes[one]}) and {names[other]} ({sizes[other]}): {what}"
            score = 0.9 if alike else min(mixed) * min(1.0, min(sizes[one], sizes[other]) / 3)
            fewer, more = (rows, back) if sizes[one] <= sizes[other] else (back or rows, rows)
            yield Finding(
                "synonym_like",
                tuple(fewer),
                score,
                text,
                "species",
                others=tuple(more[:MAX_SHOWN]),
            )


def is_mixed(hoods: Neighborhoods, codes: NDArray[np.int32], row: int) -> bool:
    """Whether a record is as near to another species as to its own."""
    near = hoods.rows[row]
    is_other = (near != NO_ROW) & (codes[near] != UNKNOWN) & (codes[near] != codes[row])
    return bool(hoods.identity[row][is_other].max() >= hoods.kin_identity[row, SPECIES])


def looks_alike(one: str, other: str) -> bool:
    """Whether two names of species differ by a letter or two, or only by the genus."""
    if one.partition(" ")[2] == other.partition(" ")[2]:
        return True
    if min(len(one), len(other)) < 8:
        return False
    distance = int(edlib.align(one, other, k=ALIKE_LETTERS)["editDistance"])
    return 0 <= distance <= ALIKE_LETTERS


def find_several_parents(records: Records) -> Iterator[Finding]:
    """Find taxa that stand under several taxa of the nearest rank above."""
    for place in range(1, len(RANKS) - 1):
        above = RANKS[place - 1] if RANKS[place - 1] != "subfamily" else "family"
        column = RANKS.index(above)
        pairs = records.codes[:, [place, column]]
        known = np.flatnonzero((pairs != UNKNOWN).all(axis=1))
        for rows in groups_of(pairs[:, 0].astype(np.int64), known):
            if len(np.unique(pairs[rows, 1])) < 2:
                continue
            counts = names_of(records, rows, above)
            odd = rarer(records, rows, above, counts.most_common(1)[0][0])
            share = 1 - len(odd) / len(rows)
            text = f"{records.taxa[place][pairs[rows[0], 0]]}: {tell(counts)}"
            yield Finding("several_parents", odd, share, text, above)


__all__ = [
    "find_bins",
    "find_same_barcode",
    "find_several_parents",
    "find_split_names",
    "find_synonyms",
]
