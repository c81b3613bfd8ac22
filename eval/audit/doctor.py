"""The audit itself: all findings about a reference, its grades, and how complete it is.

In: a prepared data set and a model, or a library. Out: an `Audit`.
Guarded by tests/eval/audit/test_doctor.py.

Shapes: N = records.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from barcodemae.conventions.letters import clean
from barcodemae.dataset import SPLITS, read_rows
from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.audit.chimeras import Chimeras, find_chimeras
from barcodemae.eval.audit.clusters import UNIT_IDENTITY, cluster_at
from barcodemae.eval.audit.contradictions import (
    find_bins,
    find_same_barcode,
    find_several_parents,
    find_split_names,
    find_synonyms,
)
from barcodemae.eval.audit.findings import Finding, in_order
from barcodemae.eval.audit.grades import SpeciesGrade, completeness, grade_species
from barcodemae.eval.audit.neighborhoods import Neighborhoods, find_neighborhoods
from barcodemae.eval.audit.records import Records, read_dataset, read_library
from barcodemae.eval.audit.sequences import LIKELY, find_in_letters, find_in_traits
from barcodemae.eval.audit.verdicts import find_wrong_labels
from barcodemae.eval.embed.embedder import Embedder
from barcodemae.eval.identify.reference.library import DESCRIPTION, ReferenceLibrary, hash_barcode
from barcodemae.eval.identify.reference.survey import OnProgress


MIN_SCORE = 0.5  # of a calibrated finding that is reported
MIN_RECORDS = 3


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        name: Name of the reference.
        records: The records.
        hoods: What each lies among.
        findings: Findings, the most harmful and certain first.
        grades: Grade of every species.
        completeness: A row for every order and family.
    """

    name: str
    records: Records
    hoods: Neighborhoods
    findings: list[Finding]
    grades: list[SpeciesGrade]
    completeness: list[dict[str, Any]]


def silent(stage: str, done: int, total: int | None) -> None:
    """Report no progress."""


@contextmanager
def open_records(
    reference: Path, embedder: Embedder, splits: tuple[str, ...], report: OnProgress = silent
) -> Iterator[Records]:
    """Give the records of a data set or of a library; what is made for them is removed after.

    Args:
        reference: Folder of a prepared data set or of a library.
        embedder: Model.
        splits: Partitions of a data set to audit.
        report: Function called with a stage, the number of records done, and their total or None.

    Raises:
        SettingsError: There are too few records to compare.
    """
    with TemporaryDirectory() as folder:
        if (reference / DESCRIPTION).is_file():
            records = read_library(ReferenceLibrary(reference))
        else:
            records = read_dataset(reference, splits, embedder, Path(folder), report)
        if int(records.is_usable.sum()) < MIN_RECORDS:
            raise DataError(reference, f"has fewer than {MIN_RECORDS} barcodes to compare")
        yield records


def audit_records(
    records: Records,
    name: str,
    *,
    min_score: float = MIN_SCORE,
    report: OnProgress = silent,
) -> Audit:
    """Audit records.

    Args:
        records: Records.
        name: Name of the reference.
        min_score: Lowest probability of a calibrated finding that is reported.
        report: Function called with a stage, the number of records done, and their total.

    Raises:
        SettingsError: The lowest probability is not between 0 and 1.
    """
    if not 0 < min_score < 1:
        raise SettingsError(f"the lowest score must lie between 0 and 1, got {min_score}")
    hoods = find_neighborhoods(records, report)
    chimeras = find_chimeras(records, hoods, report)
    units = cluster_at(hoods, UNIT_IDENTITY)
    grades = grade_species(records, units)
    findings = [
        *find_in_traits(records),
        *findings_of_letters(records, hoods, chimeras, min_score),
        *find_same_barcode(records, hoods),
        *find_bins(records),
        *find_split_names(records, hoods, units),
        *find_synonyms(records, hoods),
        *find_several_parents(records),
    ]
    return Audit(name, records, hoods, in_order(findings), grades, completeness(records, grades))


def findings_of_letters(
    records: Records, hoods: Neighborhoods, chimeras: Chimeras, min_score: float
) -> list[Finding]:
    """Find faults of letters and labels; where letters are likely at fault, no label is blamed."""
    in_letters = list(find_in_letters(records, hoods, chimeras, min_score))
    likely = (found for found in in_letters if found.is_calibrated and found.score >= LIKELY)
    blamed = {row for found in likely for row in found.rows}
    return [*in_letters, *find_wrong_labels(records, hoods, min_score, skip=blamed)]


def find_duplicates(records: Records, dataset: Path, splits: tuple[str, ...]) -> Iterator[Finding]:
    """Find records whose letters also stand in another partition of the data set.

    Args:
        records: Records of the audited partitions.
        dataset: Folder of the data set.
        splits: Partitions that were audited.
    """
    rows: dict[int, list[int]] = {}
    for row, value in enumerate(records.traits["raw_hash"].tolist()):
        rows.setdefault(value, []).append(row)
    for same in rows.values():
        if len({records.splits[row] for row in same}) > 1:
            names = ", ".join(f"{records.ids[row]} ({records.splits[row]})" for row in same)
            yield Finding("duplicate_across_partitions", tuple(same), 1.0, names)
    others = tuple(split for split in SPLITS if split not in splits)
    for batch in read_rows(dataset, ["processid", "split", "dna_barcode"], others):
        for name, split, text in zip(*(column.to_pylist() for column in batch), strict=True):
            for row in rows.get(hash_barcode(clean(text)), ()):
                evidence = f"{records.ids[row]} is {name} of {split}"
                yield Finding("duplicate_across_partitions", (row,), 1.0, evidence)


def audit_reference(
    reference: Path,
    embedder: Embedder,
    splits: tuple[str, ...],
    *,
    min_score: float = MIN_SCORE,
    report: OnProgress = silent,
) -> Audit:
    """Audit a data set or a library; its files of letters and vectors are gone afterwards.

    Args: as for `open_records` and `audit_records`.
    """
    with open_records(reference, embedder, splits, report) as records:
        found = audit_records(records, reference.resolve().name, min_score=min_score, report=report)
        if not records.splits:
            return found
        more = list(find_duplicates(records, reference, splits))
        return Audit(**{**vars(found), "findings": in_order([*found.findings, *more])})


__all__ = ["Audit", "audit_records", "audit_reference", "find_duplicates", "open_records"]
