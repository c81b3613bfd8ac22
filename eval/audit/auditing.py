"""The public call: `barcodemae.audit(...)`, findings as a data frame.

In: a prepared data set or a library. Out: one row for each finding, the first the worst.
Guarded by tests/eval/audit/test_doctor.py.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from barcodemae.default_model import DEFAULT_MODEL
from barcodemae.eval.audit.doctor import MIN_SCORE, audit_reference
from barcodemae.eval.audit.report.tables import COLUMNS, rows_of
from barcodemae.eval.embed.loading import ModelOptions


def audit(
    reference: Path | str,
    *,
    splits: Sequence[str] = ("train",),
    model: str | Path = DEFAULT_MODEL,
    min_score: float = MIN_SCORE,
    device: str | None = None,
    dtype: str = "auto",
) -> Any:
    """Audit references: which labels are likely wrong, which sequences are not what they seem.

    Args:
        reference: Folder of a data set made by `barcodemae prepare`, or of a library made by
            `barcodemae index`.
        splits: Partitions of a data set whose rows are audited.
        model: Model that places and embeds the barcodes of a data set.
        min_score: Lowest probability of a calibrated finding that is reported.
        device: Device to compute on; None for a GPU if there is one, else the CPU.
        dtype: Number format to compute in.

    Returns:
        A pandas data frame with a row for each finding, the most harmful and certain first.

    Raises:
        DataError: The reference is neither, or is damaged.
        SettingsError: The lowest probability is not between 0 and 1.
    """
    import pandas as pd

    embedder = ModelOptions(device=device, dtype=dtype).lightest(model).load(model)
    found = audit_reference(Path(reference), embedder, tuple(splits), min_score=min_score)
    return pd.DataFrame(rows_of(found), columns=list(COLUMNS))


__all__ = ["audit"]
