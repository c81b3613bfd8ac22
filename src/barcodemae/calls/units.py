"""`barcodemae.cluster`: from barcodes to units, where there is nothing to name them by.

In: sequences (see `sequences.py`). Out: a `DataFrame` with the columns of the command's TSV. The
command runs the same `cluster_records`. Guarded by tests/barcodemae/calls/test_units.py.

Shapes: N = barcodes that can be embedded, D = embedding width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from barcodemae.calls.choices import ModelChoices, model_options
from barcodemae.calls.sequences import readable_twice, source_of
from barcodemae.calls.tables import note_rejected, table_of
from barcodemae.conventions.letters import clean
from barcodemae.default_model import DEFAULT_MODEL
from barcodemae.errors import DataError
from barcodemae.eval.embed.embedder import Embedder
from barcodemae.eval.identify.units import (
    UNIT_COLUMNS,
    Units,
    UnitSettings,
    find_units,
    unit_rows,
)
from barcodemae.fasta import SequenceRecord


if TYPE_CHECKING:
    import pandas as pd

NO_BARCODE = "not a barcode of this model's marker on either strand"


@dataclass(frozen=True)
class Clustering:
    """Records in units.

    Attributes:
        ids: Ids of the barcodes, N.
        vectors: Their embeddings, (N, D); None if there are none.
        units: Their units; None if there are none.
        reasons: Row among all records -> why that record is in no unit.
    """

    ids: list[str]
    vectors: NDArray[np.float32] | None
    units: Units | None
    reasons: dict[int, str]


def cluster_records(
    records: Sequence[SequenceRecord],
    embedder: Embedder,
    settings: UnitSettings,
    *,
    progress: bool,
) -> Clustering:
    """Group records into units.

    Args:
        records: Records.
        embedder: Model.
        settings: Method and identity.
        progress: Whether to show a bar while they are embedded.
    """
    texts = [record.sequence for record in records]
    reasons = embedder.find_invalid(texts)
    reasons |= {row: record.problem for row, record in enumerate(records) if record.problem}
    letters = letters_to_compare(texts, embedder)
    reasons = {row: NO_BARCODE for row, text in enumerate(letters) if text is None} | reasons
    rows = [row for row in range(len(records)) if row not in reasons]
    ids = [records[row].id for row in rows]
    if not rows:
        return Clustering(ids, None, None, reasons)
    sequences = [letters[row] or "" for row in rows]
    vectors = embedder.embed(sequences, progress=progress)
    return Clustering(ids, vectors, find_units(vectors, sequences, settings), reasons)


def letters_to_compare(sequences: Sequence[str], embedder: Embedder) -> list[str | None]:
    """Turn sequences to one strand and cut them to the barcode; None for what is none.

    Args:
        sequences: Sequences as read.
        embedder: Model; one that has no frame leaves strand and ends as they are.
    """
    if embedder.placer is None:
        return [clean(text) for text in sequences]
    return [
        placed.letters if placed.is_barcode else None for placed in embedder.placer.place(sequences)
    ]


def cluster(
    sequences: Any,
    model: str | Path = DEFAULT_MODEL,
    *,
    method: str = "threshold",
    identity: float = 97.0,
    progress: bool = False,
    **choices: Unpack[ModelChoices],
) -> "pd.DataFrame":
    """Group barcodes into species-like units, without any reference.

    Args:
        sequences: Barcodes, as `barcodemae.identify` takes them.
        model: Model: a folder, a name on the Hub, `kmer:K`, or `default`, which is bundled.
        method: `threshold`, `ward` or `hdbscan`.
        identity: Identity within units, percent; `hdbscan` ignores it.
        progress: Whether to show how far it is.
        **choices: `device`, `batch_size`, `dtype` (`auto` by default), `revision`, `engine`.

    Returns:
        Table with the columns of the command's TSV and a row for each barcode, in input order:
            `id`, `unit`, `size` (barcodes), `representative` and cosines. `attrs["rejected"]` lists
            the other records with number, id and reason.

    Raises:
        CheckpointError: The model cannot be opened.
        DataError: A file cannot be read, or no record is a barcode.
        SettingsError: A setting is unknown or out of range.

    Warns:
        DataWarning: Records were rejected.
    """
    settings = UnitSettings(method=method, identity=identity)
    source = source_of(sequences)
    embedder = model_options(choices).lightest(model).load(model)
    with readable_twice(source) as read:
        records = list(read())
    found = cluster_records(records, embedder, settings, progress=progress)
    rejected = [
        {"record": records[row].number, "id": records[row].id, "reason": reason}
        for row, reason in sorted(found.reasons.items())
    ]
    if found.units is None:
        name = source if isinstance(source, str) else "sequences"
        first = rejected[0]
        raise DataError(
            name, f"no record can be embedded; record {first['record']}: {first['reason']}"
        )
    table = table_of(UNIT_COLUMNS, unit_rows(found.ids, found.units))
    note_rejected(table, rejected, "embedded")
    return table
