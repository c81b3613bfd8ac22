"""Build a reference library in a folder: embed, calibrate, describe.

In: a prepared data set and a model. Out: the files described in `library.py`. The caller stages the
folder, so that it appears whole. Guarded by tests/eval/test_library.py.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.reference.calibrating import MAX_FRAGMENTS, calibrate
from barcodemae.eval.identify.reference.heldout import Mixture
from barcodemae.eval.identify.reference.library import CALIBRATION, ReferenceLibrary
from barcodemae.eval.identify.reference.writer import OnProgress, write_library


@dataclass(frozen=True, kw_only=True)
class LibraryPlan:
    """What goes into a library.

    Attributes:
        splits: Partitions whose rows are references.
        held_out: Partitions to calibrate with; where there are none, references are left out.
        mixture: What queries are expected.
        engine: `exact`, or `faiss` to add an index for millions of references.
        max_fragments: Held-out barcodes that are cut to each shorter length.
    """

    splits: tuple[str, ...] = ("train",)
    held_out: tuple[str, ...] = ("val", "val_unseen")
    mixture: Mixture = field(default_factory=Mixture)
    engine: str = "exact"
    max_fragments: int = MAX_FRAGMENTS


def build_library(
    dataset: Path,
    folder: Path,
    embedder: OffsetEmbedder,
    plan: LibraryPlan,
    *,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Build a library.

    Args:
        dataset: A prepared data set.
        folder: An empty folder.
        embedder: The model, with its reading offsets.
        plan: What goes into it.
        on_progress: Called with a stage, how far it is, and its end where that is known.

    Returns:
        What the library holds and how it was calibrated.

    Raises:
        DataError: No usable reference, or too few to calibrate with.
        SettingsError: faiss is not installed.
    """
    description = write_library(
        dataset, folder, embedder, splits=plan.splits, engine=plan.engine, on_progress=on_progress
    )
    calibration = calibrate(
        ReferenceLibrary(folder),
        dataset,
        embedder,
        splits=plan.held_out,
        mixture=plan.mixture,
        max_fragments=plan.max_fragments,
        on_progress=on_progress,
    )
    content = calibration.to_json()
    (folder / CALIBRATION).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    return description | calibration.details
