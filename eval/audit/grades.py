"""Grades of species and completeness of higher taxa, as BAGS gives them (Fontes et al. 2021).

    A  more than ten records in one unit that holds no other species
    B  three to ten of them
    C  records in several units that hold no other species
    D  one or two records
    E  a unit that holds another species, too

A unit is a BIN where it is known, else a cluster of the letters, by its BIN if it has one.
In: records and their clusters. Out: a grade for every species, and a row for every order and
family.
Guarded by tests/eval/audit/test_contradictions.py.
"""

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.eval.audit.records import Records
from barcodemae.eval.identify.judge.ladder import UNKNOWN


GRADES = "ABCDE"
MANY, FEW = 10, 3  # records
SPECIES = RANKS.index("species")


@dataclass(frozen=True)
class SpeciesGrade:
    """Grade of one species.

    Attributes:
        order: Its order, empty if unknown.
        family: Its family, empty if unknown.
        species: Its name.
        grade: A to E.
        records: Number of its records.
        units: Number of units that they lie in.
        shared_with: Other species in those units, separated by commas.
    """

    order: str
    family: str
    species: str
    grade: str
    records: int
    units: int
    shared_with: str


def grade_species(records: Records, clusters: NDArray[np.int64]) -> list[SpeciesGrade]:
    """Grade every species.

    Args:
        records: Records.
        clusters: Cluster of each record.
    """
    units = units_of(records, clusters)
    members: dict[int, list[int]] = defaultdict(list)
    species_of: dict[str, set[int]] = defaultdict(set)
    for row in np.flatnonzero((records.codes[:, SPECIES] != UNKNOWN) & records.is_usable).tolist():
        code = int(records.codes[row, SPECIES])
        members[code].append(row)
        species_of[units[row]].add(code)
    grades = []
    for code, rows in members.items():
        own = {units[row] for row in rows}
        shared = sorted({other for unit in own for other in species_of[unit]} - {code})
        names = [records.taxa[SPECIES][other] for other in shared]
        order, family = (commonest(records, rows, rank) for rank in ("order", "family"))
        grades.append(
            SpeciesGrade(
                order=order,
                family=family,
                species=records.taxa[SPECIES][code],
                grade=grade_of(len(rows), len(own), is_shared=bool(shared)),
                records=len(rows),
                units=len(own),
                shared_with=", ".join(names),
            )
        )
    return sorted(grades, key=lambda item: (item.order, item.family, item.species))


def units_of(records: Records, clusters: NDArray[np.int64]) -> list[str]:
    """Return the unit of each record: its BIN, else the BIN of its cluster, else the cluster."""
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for name, cluster in zip(records.bins, clusters.tolist(), strict=True):
        if name is not None:
            found[cluster][name] += 1
    of_cluster = {cluster: names.most_common(1)[0][0] for cluster, names in found.items()}
    return [
        of_cluster.get(cluster, f"cluster {cluster}") if name is None else name
        for name, cluster in zip(records.bins, clusters.tolist(), strict=True)
    ]


def commonest(records: Records, rows: list[int], rank: str) -> str:
    """Return the most frequent name of some records at a rank; empty if they have none."""
    names = Counter(name for row in rows if (name := records.name(row, rank)) is not None)
    return names.most_common(1)[0][0] if names else ""


def grade_of(num_records: int, num_units: int, *, is_shared: bool) -> str:
    """Return the grade of a species by its numbers of records and units."""
    if is_shared:
        return "E"
    if num_records < FEW:
        return "D"
    if num_units > 1:
        return "C"
    return "A" if num_records > MANY else "B"


def completeness(records: Records, grades: list[SpeciesGrade]) -> list[dict[str, Any]]:
    """Return how complete every order and family is, the largest first.

    Args:
        records: Records.
        grades: Grades of their species.
    """
    table = []
    for rank in ("order", "family"):
        column = RANKS.index(rank)
        by_name: dict[str, list[SpeciesGrade]] = defaultdict(list)
        for item in grades:
            by_name[getattr(item, rank)].append(item)
        codes = records.codes[:, column]
        for code, name in enumerate(records.taxa[column]):
            rows = np.flatnonzero(codes == code)
            mine = by_name.get(name, [])
            counts = Counter(item.grade for item in mine)
            named = records.codes[rows, SPECIES] != UNKNOWN
            genera = records.codes[rows, RANKS.index("genus")]
            table.append(
                {
                    "rank": rank,
                    "name": name,
                    "records": len(rows),
                    "genera": len(np.unique(genera[genera != UNKNOWN])),
                    "species": len(mine),
                    "without_species": int((~named).sum()),
                    "without_bin": sum(records.bins[row] is None for row in rows.tolist()),
                    "single_records": sum(item.records == 1 for item in mine),
                    **{grade: counts[grade] for grade in GRADES},
                }
            )
    return sorted(table, key=lambda row: (row["rank"] != "order", -row["records"], row["name"]))


def as_rows(grades: list[SpeciesGrade]) -> list[dict[str, Any]]:
    """Write grades as dictionaries."""
    return [asdict(item) for item in grades]


__all__ = ["GRADES", "SpeciesGrade", "as_rows", "completeness", "grade_species"]
