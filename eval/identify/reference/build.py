"""Building of a reference library: embed the references, then calibrate.

In: a prepared data set and a model. Out: a folder with the files that `library.py` lists. The
caller stages the folder, so that it appears whole or not at all.
Guarded by tests/eval/identify/reference/test_library.py.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.judge.judgement import Calibration
from barcodemae.eval.identify.judge.ladder import DEFAULT_MIXTURE, Mixture
from barcodemae.eval.identify.reference.calibrating import MAX_FRAGMENTS, calibrate
from barcodemae.eval.identify.reference.library import CALIBRATION, ReferenceLibrary
from barcodemae.eval.identify.reference.survey import OnProgress
from barcodemae.eval.identify.reference.writer import Extras, Helpers, write_library
from barcodemae.eval.search.compressed import FULL
from barcodemae.stored.manifest import write_manifest


@dataclass(frozen=True, kw_only=True)
class LibraryPlan:
    """Settings of a library that is to be built.

    Attributes:
        splits: Partitions whose rows are the references.
        held_out: Partitions to calibrate with, beside references that are left out.
        mixture: Shares of known species, new species, new genera, ... assumed among the queries
            until a sample tells more.
        engine: `exact`, or `faiss` to add an index for millions of references.
        vectors: Format of the vectors that searches scan, one of `VECTOR_FORMATS`.
        max_fragments: Held-out barcodes that are cut to each shorter length.
        findings: Report of an audit of the references, whose findings the library keeps.
    """

    splits: tuple[str, ...] = ("train",)
    held_out: tuple[str, ...] = ("val", "val_unseen")
    mixture: Mixture = DEFAULT_MIXTURE
    engine: str = "exact"
    vectors: str = FULL
    max_fragments: int = MAX_FRAGMENTS
    findings: Path | None = None


def build_library(
    dataset: Path,
    folder: Path,
    embedder: OffsetEmbedder,
    plan: LibraryPlan,
    *,
    helpers: Helpers | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Build a library.

    Args:
        dataset: Folder of a prepared data set.
        folder: Empty folder to write into.
        embedder: Model, with its reading offsets.
        plan: Settings of the library.
        helpers: Other processes that place and embed references; None to do it here.
        on_progress: Function called with a stage, the number of steps done, and their total or
            None.

    Returns:
        Description of the library and of its calibration.

    Raises:
        DataError: No reference can be used, or there are too few barcodes to calibrate with.
        SettingsError: faiss is wanted but not installed.
    """
    description = write_library(
        dataset,
        folder,
        embedder,
        splits=plan.splits,
        extras=Extras(plan.engine, plan.vectors, plan.findings, helpers),
        on_progress=on_progress,
    )
    calibration = write_calibration(
        folder,
        dataset,
        embedder,
        splits=plan.held_out,
        mixture=plan.mixture,
        max_fragments=plan.max_fragments,
        on_progress=on_progress,
    )
    write_manifest(folder)
    return description | calibration.details


def write_calibration(
    folder: Path,
    dataset: Path,
    embedder: OffsetEmbedder,
    *,
    splits: tuple[str, ...],
    mixture: Mixture,
    max_fragments: int = MAX_FRAGMENTS,
    on_progress: OnProgress | None = None,
) -> Calibration:
    """Calibrate a library that has all but its manifest, and write that into its folder.

    Args: as for `calibrate`, with the folder of the library.

    Raises:
        DataError: There are too few barcodes to calibrate with.
    """
    with threadpool_limits(1, "blas"):  # of products this small, a second thread is only waited for
        calibration = calibrate(
            ReferenceLibrary(folder, is_finished=False),
            dataset,
            embedder,
            splits=splits,
            mixture=mixture,
            max_fragments=max_fragments,
            on_progress=on_progress,
        )
    content = calibration.to_json()
    (folder / CALIBRATION).write_text(json.dumps(content, allow_nan=False) + "\n")
    return calibration
