"""Revision of libraries: references added, retired or thinned out, as a new library.

In: the folder of a library, and what is to change. Out: another folder, complete or not there at
all; the old one is only read. `barcodemae index` with --add, --remove or --distill runs
`revise_library`. Guarded by tests/barcodemae/calls/test_revisions.py.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray

from barcodemae.calls.libraries import PREPARED_SPLITS, OnProgress, prepared, summary
from barcodemae.calls.names import open_library
from barcodemae.dataset import SPLITS
from barcodemae.errors import DataError
from barcodemae.eval.embed.loading import ModelOptions
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.doubts.flagged import read_audit_doubts
from barcodemae.eval.identify.judge.ladder import Mixture
from barcodemae.eval.identify.reference.distilling import DISTILL, choose_representatives
from barcodemae.eval.identify.reference.library import DESCRIPTION, ReferenceLibrary
from barcodemae.eval.identify.reference.revising import (
    ADD,
    FLAG,
    KEPT_CALIBRATION,
    REMOVE,
    Addition,
    Recalibration,
    Revision,
    revise,
    rows_without,
)
from barcodemae.files import staged_folder
from barcodemae.output.places import check_folder, claimed
from barcodemae.training.data.sources.recognition import SourceOptions


@dataclass(frozen=True, kw_only=True)
class RevisionOrder:
    """What is to change in a library.

    Attributes:
        add: Files of references, or a prepared data set, to add.
        remove: Ids of references to retire: separated by commas, or a file with one per line.
        share: Share of the distance to the nearest other taxon within which a representative stands
            for a reference; None to keep all references.
        source: How files are read.
        splits: Partitions to add; empty for `train` of a data set, else everything.
        recalibrate: Whether to calibrate again, on references that are left out.
        mixture: Queries assumed until a sample tells; None for what the old library assumes.
        findings: Report of an audit of the references, whose findings the new library keeps.
        overwrite: Whether to replace an earlier library, never the one that is read.
    """

    add: tuple[str, ...] = ()
    remove: str = ""
    share: float | None = None
    source: SourceOptions = field(default_factory=SourceOptions)
    splits: tuple[str, ...] = ()
    recalibrate: bool = False
    mixture: Mixture | None = None
    findings: Path | None = None
    overwrite: bool = False


def revise_library(
    library: Path,
    output: Path,
    model: str | Path,
    options: ModelOptions,
    order: RevisionOrder,
    *,
    on_progress: OnProgress | None = None,
) -> None:
    """Make a revised library, and say on stderr what it holds and how it is calibrated.

    Args:
        library: Folder of the old library.
        output: Folder to make; it appears whole or not at all.
        model: Model that the library was made with; opened only if something is embedded.
        options: How the model is opened.
        order: What is to change.
        on_progress: Function called with a stage, the number of steps done, and their total or
            None.
    """
    inputs = [str(library), *order.add]
    if order.findings is not None:
        inputs.append(str(order.findings))
        read_audit_doubts(order.findings)  # fail before any time is spent
    check_folder(output, inputs)
    references = ReferenceLibrary(library)
    embedder = None
    if order.add or order.recalibrate:
        embedder = open_model(library, model, options)
    with ExitStack() as stack:
        stack.enter_context(claimed(output, inputs=inputs, folder=True))
        folder = stack.enter_context(
            staged_folder(output, overwrite=order.overwrite, marker=DESCRIPTION, what="library")
        )
        revision = stack.enter_context(planned(references, order, embedder, on_progress))
        again = Recalibration(embedder, order.mixture) if embedder and order.recalibrate else None
        found = revise(references, folder, revision, recalibration=again, on_progress=on_progress)
        version = ReferenceLibrary(folder).fingerprint()
    for line in told(references, found, version):
        typer.echo(line, err=True)


def open_model(library: Path, model: str | Path, options: ModelOptions) -> OffsetEmbedder:
    """Open the model of a library, in its number format, and check that it is the one.

    Raises:
        SettingsError: It gives other vectors than the library holds.
    """
    opened = open_library(
        library,
        model,
        device=options.device,
        batch_size=options.batch_size,
        dtype="" if options.dtype == "auto" else options.dtype,
        revision=options.revision,
        engine=options.engine,
    )
    opened.references.check_model(opened.embedder)
    return opened.embedder


@contextmanager
def planned(
    library: ReferenceLibrary,
    order: RevisionOrder,
    embedder: OffsetEmbedder | None,
    on_progress: OnProgress | None,
) -> Iterator[Revision]:
    """Give the revision that is wanted; what is added is prepared meanwhile."""
    if order.share is not None:
        keep = choose_representatives(library, order.share, on_progress)
        yield Revision(DISTILL, keep, details={"share": order.share}, findings=order.findings)
        return
    keep = rows_without(library, ids_in(order.remove)) if order.remove else every_row(library)
    if not order.add or embedder is None:
        action = REMOVE if order.remove else FLAG
        yield Revision(action, keep, findings=order.findings)
        return
    with prepared(list(order.add), order.source) as (dataset, is_prepared):
        splits = order.splits or (PREPARED_SPLITS if is_prepared else SPLITS)
        added = Addition(dataset, splits, embedder)
        yield Revision(ADD, keep, added, findings=order.findings)


def every_row(library: ReferenceLibrary) -> NDArray[np.bool_]:
    """Return that all references stay, (R,)."""
    return np.ones(len(library), bool)


def ids_in(text: str) -> list[str]:
    """Return ids that stand in a file, one at the beginning of each line, or between commas.

    Raises:
        DataError: The file cannot be read.
    """
    path = Path(text)
    if not path.is_file():
        return [name.strip() for name in text.split(",") if name.strip()]
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror}") from error
    return [name for name in (line.split("\t")[0].strip() for line in lines) if name]


def told(library: ReferenceLibrary, found: dict[str, Any], version: str) -> Sequence[str]:
    """Say what a revised library holds, what changed, and where its calibration comes from."""
    last = found["revisions"][-1]
    changed = f"{last['added']:,} added, {last['retired']:,} retired, {last['kept']:,} kept"
    origin = told_of_calibration(last["calibration"], last["action"], len(library))
    return [changed, *summary(found), origin, f"version {version}, parent {last['parent']}"]


def told_of_calibration(calibration: str, action: str, num_fitted: int) -> str:
    """Say where the calibration of a revised library comes from.

    Args:
        calibration: `KEPT_CALIBRATION` or `NEW_CALIBRATION`.
        action: What was done to the library.
        num_fitted: Number of references that the parent's calibration was fitted with.
    """
    kept = f"calibration of the parent, fitted with {num_fitted:,} references"
    if action != DISTILL:
        again = "calibration fitted again"
        return f"{kept}; --recalibrate fits it again" if calibration == KEPT_CALIBRATION else again
    if calibration == KEPT_CALIBRATION:
        return f"{kept}, which a distilled library keeps"
    return (
        "calibration fitted again: of a species with one representative none is left when that is "
        "left out, so fewer species will be named; without --recalibrate the parent's is kept"
    )
