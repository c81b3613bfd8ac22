"""Revision of a library: a new one with references added to it, or without some of them.

In: a library, rows of it to keep, and perhaps the data set of what is added. Out: a complete new
library in a folder that the caller stages; the old one is only read. What stays keeps its vectors,
bit by bit, so that only what is new is embedded. Placing, screening, report and conflicts are those
of `index`. The calibration stays unless it is asked for anew, and `library.json` says which under
`revisions`. Guarded by tests/eval/identify/reference/test_revising.py.

Shapes: R = references of the old library, D = embedding width.
"""

import csv
import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from barcodemae.conventions.letters import clean
from barcodemae.dataset import RANKS, dataset_hash
from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.embed.embedder import PlacedSequence, Placer
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.doubts.faults import STOP_CODON
from barcodemae.eval.identify.doubts.flagged import Doubt
from barcodemae.eval.identify.judge.judgement import Calibration
from barcodemae.eval.identify.judge.ladder import Mixture
from barcodemae.eval.identify.reference.build import write_calibration
from barcodemae.eval.identify.reference.conflicts import (
    SAME_BARCODE,
    SEVERAL_NAMES,
    SEVERAL_PARENTS,
)
from barcodemae.eval.identify.reference.library import (
    CALIBRATION,
    LINEAGE,
    REPORT,
    ReferenceLibrary,
)
from barcodemae.eval.identify.reference.survey import (
    MAX_PROFILED,
    OnProgress,
    Survey,
    first_barcodes,
    profile_references,
    screen,
    write_kept,
)
from barcodemae.eval.identify.reference.writer import (
    KEPT,
    LEFT_OUT,
    ROWS_PER_BATCH,
    EmbedRows,
    Notes,
    ReportRow,
    finish_library,
    left_out_rows,
    new_vectors,
    write_arrays,
)
from barcodemae.stored.manifest import write_manifest


ADD, REMOVE, FLAG = "add", "remove", "flag"
# Kinds of doubts that rows and letters of a library show, whatever its files were.
SEEN_ANEW = {STOP_CODON, SAME_BARCODE, SEVERAL_PARENTS, SEVERAL_NAMES}
KEPT_CALIBRATION, NEW_CALIBRATION = "of the parent", "fitted again"


@dataclass(frozen=True)
class Addition:
    """References that are added.

    Attributes:
        dataset: Folder of the prepared data set.
        splits: Partitions whose rows are added.
        embedder: Model that the library was made with.
    """

    dataset: Path
    splits: tuple[str, ...]
    embedder: OffsetEmbedder


@dataclass(frozen=True)
class Revision:
    """How a library is changed.

    Attributes:
        action: Word for it, such as `add`.
        keep: References that stay, (R,).
        addition: References that are added; None for none.
        details: What else `library.json` is to say of it.
        findings: Report of an audit of the references, whose findings the library keeps.
    """

    action: str
    keep: NDArray[np.bool_]
    addition: Addition | None = None
    details: dict[str, Any] = field(default_factory=dict)
    findings: Path | None = None


@dataclass(frozen=True)
class Recalibration:
    """How a revised library is calibrated anew, on references that are left out.

    Attributes:
        embedder: Model that the library was made with.
        mixture: Queries assumed until a sample tells; None for what the old library assumes.
    """

    embedder: OffsetEmbedder
    mixture: Mixture | None = None


def revise(
    library: ReferenceLibrary,
    folder: Path,
    revision: Revision,
    *,
    recalibration: Recalibration | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Write a revised library.

    Args:
        library: The old library.
        folder: Empty folder to write into.
        revision: What stays and what is added.
        recalibration: How it is calibrated; None to keep the calibration of the old library.
        on_progress: Function called with a stage, the number of steps done, and their total or
            None.

    Returns:
        Description of the new library and of its calibration.

    Raises:
        DataError: No reference is left or can be added, a reference that is added has the id of
            one that stays, or too few are left to calibrate with.
    """
    report = on_progress or (lambda stage, done, total: None)
    rows = np.flatnonzero(revision.keep)
    survey = survey_of(library)
    batches = chain(kept_rows(library, revision.keep), added_rows(library, revision, survey))
    write_kept(folder / KEPT, batches, survey, report)
    check_number(library, survey, len(rows), revision)
    description = dict(library.description)
    description |= write_arrays(folder, survey, vectors_of(library, rows, revision), report)
    before = description["references_left_out"]
    description["references_left_out"] = before | {
        reason: before.get(reason, 0) + count for reason, count in survey.num_left_out.items()
    }
    description["revisions"] = [
        *description.get("revisions", []),
        {
            "parent": library.fingerprint(),
            "action": revision.action,
            "kept": len(rows),
            "added": survey.num_kept - len(rows),
            "retired": len(library) - len(rows),
            "retired_hash": hash_ids(
                library.ids[row] for row in np.flatnonzero(~revision.keep).tolist()
            ),
            "calibration": KEPT_CALIBRATION if recalibration is None else NEW_CALIBRATION,
            **origin_of(revision.addition),
            **revision.details,
        },
    ]
    notes = Notes(
        report_rows(library, revision, survey),
        inherited=inherited_doubts(library, revision.keep),
        findings=revision.findings,
    )
    finish_library(folder, description, survey, notes)
    shutil.copyfile(library.folder / CALIBRATION, folder / CALIBRATION)
    calibration = Calibration.from_json(library.read_calibration())
    if recalibration is not None:
        calibration = write_calibration(
            folder,
            folder,
            recalibration.embedder,
            splits=(),
            mixture=recalibration.mixture or calibration.assumed,
            on_progress=report,
        )
    write_manifest(folder, parent=library.folder)
    return description | calibration.details


def survey_of(library: ReferenceLibrary) -> Survey:
    """Begin the survey of a revised library: what is no longer to be counted, as it was counted."""
    known = library.description
    return Survey(
        width=known["frame"],
        num_reversed=known["references_reversed"],
        num_placeholders=known["placeholder_names"],
        min_evidence=known["min_evidence"],
    )


def kept_rows(library: ReferenceLibrary, keep: NDArray[np.bool_]) -> Iterator[pa.Table]:
    """Read the references that stay, as `keep_usable` returns new ones."""
    with pa.memory_map(str(library.folder / LINEAGE)) as source:
        lineage = pa.ipc.open_file(source).read_all()
        for start in range(0, len(library), ROWS_PER_BATCH):
            here = slice(start, start + ROWS_PER_BATCH)
            rows = lineage.slice(start, ROWS_PER_BATCH).filter(pa.array(keep[here]))
            columns = {"id": rows["id"], "barcode": rows["barcode"]}
            columns |= {name: rows[name].cast(pa.string()) for name in (*RANKS, "dna_bin")}
            if rows.num_rows:
                yield pa.table(columns | {"site": rows["site"]})


def added_rows(library: ReferenceLibrary, revision: Revision, survey: Survey) -> Iterator[pa.Table]:
    """Read, place and screen the references that are added.

    Raises:
        DataError: Some have the id of a reference that stays.
    """
    added = revision.addition
    if added is None:
        return
    there = {library.ids[row] for row in np.flatnonzero(revision.keep).tolist()}
    double: list[str] = []
    placer = placer_of(library, revision.keep, added, survey)
    for rows in screen(added.dataset, added.splits, added.embedder, placer, survey):
        double += [name for name in rows["id"].to_pylist() if name in there]
        if rows.num_rows:
            yield rows
    if double:
        raise DataError(
            added.dataset.name,
            f"{len(double):,} of its records are in {library.folder} already (first: {double[0]}): "
            "leave them out, or retire the old ones first with `barcodemae index --remove`",
        )


def placer_of(
    library: ReferenceLibrary, keep: NDArray[np.bool_], added: Addition, survey: Survey
) -> Placer:
    """Return what places references that are added: the model's frame, if the library is in it.

    Without a frame it is the k-mers of the references that stay and of those that are added, as
    `index` would take those of all.
    """
    if survey.width:
        return library.placer(added.embedder)
    stay = [library.barcodes[row] for row in np.flatnonzero(keep)[:MAX_PROFILED]]
    new = [clean(text) for text in first_barcodes(added.dataset, added.splits)]
    return profile_references([*stay, *filter(None, new)], survey)


def check_number(
    library: ReferenceLibrary, survey: Survey, num_kept: int, revision: Revision
) -> None:
    """Check that something is left, and something was added if anything was to be.

    Raises:
        DataError: It is not so.
    """
    if survey.num_kept == 0:
        raise DataError(library.folder, "no reference would be left")
    if revision.addition is not None and survey.num_kept == num_kept:
        counts = ", ".join(f"{count} {why}" for why, count in survey.num_left_out.items())
        raise DataError(
            revision.addition.dataset.name,
            f"no reference can be added: {counts or 'there are no rows'}",
        )


def vectors_of(library: ReferenceLibrary, rows: NDArray[np.int64], revision: Revision) -> EmbedRows:
    """Return the function that reads the vectors of what stays, and embeds what is added.

    Batches hold references of one kind only, because `kept_rows` and `added_rows` write them apart.
    """
    embed = None if revision.addition is None else new_vectors(revision.addition.embedder)

    def embed_rows(start: int, placed: list[PlacedSequence]) -> NDArray[np.float32]:
        if start < len(rows) or embed is None:
            return np.asarray(library.vectors[rows[start : start + len(placed)]])
        return embed(start, placed)

    return embed_rows


def report_rows(
    library: ReferenceLibrary, revision: Revision, survey: Survey
) -> Iterator[ReportRow]:
    """List what is not in the library: what was left out before and now, and what is retired."""
    with (library.folder / REPORT).open(newline="") as stream:
        for row in csv.reader(stream, delimiter="\t"):
            if row[0] == LEFT_OUT:
                yield LEFT_OUT, row[1], row[2], row[3]
    if revision.addition is not None:
        yield from left_out_rows(revision.addition.dataset, survey)
    for number in np.flatnonzero(~revision.keep).tolist():
        name = library.ids[number]
        yield LEFT_OUT, f"retired: {revision.action}", name, library.deepest_name(number)


def inherited_doubts(library: ReferenceLibrary, keep: NDArray[np.bool_]) -> list[Doubt]:
    """Return the old library's doubts of references that stay, but for what is looked for anew."""
    rows = keep.cumsum() - 1
    return [
        replace(doubt, row=int(rows[doubt.row]))
        for doubt in library.read_doubts()
        if keep[doubt.row] and doubt.kind not in SEEN_ANEW
    ]


def origin_of(addition: Addition | None) -> dict[str, Any]:
    """Return where references that are added come from, as entries of a revision."""
    if addition is None:
        return {}
    return {"from": addition.dataset.name, "hash": dataset_hash(addition.dataset)}


def hash_ids(ids: Iterable[str]) -> str:
    """Hash ids, 16 hex digits; empty for none."""
    text = "".join(f"{name}\n" for name in ids)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16] if text else ""


def rows_without(library: ReferenceLibrary, ids: Sequence[str]) -> NDArray[np.bool_]:
    """Return which references stay if those with some ids are retired, (R,).

    Raises:
        SettingsError: The library has no reference of one of these ids, or there are none.
    """
    wanted, found = set(ids), set()
    keep = np.ones(len(library), bool)
    for row in range(len(library)):
        name = library.ids[row]
        if name in wanted:
            keep[row] = False
            found.add(name)
    if missing := [name for name in ids if name not in found]:
        raise SettingsError(
            f"{library.folder} has no reference {missing[0]!r}"
            + (f", nor {len(missing) - 1:,} others that are to be removed" * (len(missing) > 1))
        )
    if not wanted:
        raise SettingsError("no ids of references that are to be removed")
    return keep
