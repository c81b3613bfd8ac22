"""How far an identification has got, as a file that an interrupted run leaves for the next one.

In: the counts of what is done, and the hash of the records read (`barcodemae.fasta.RecordDigest`).
Out: `Progress`, from and to JSON. Guarded by tests/eval/identify/test_resumable.py.
"""

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from barcodemae.errors import DataError


WRITTEN_BY = "barcodemae identify"


@dataclass
class Progress:
    """How far a run has got.

    Attributes:
        written_by: The mark by which the file of the progress is known as ours.
        settings: Settings that determine the output's content.
        records: Number of finished records.
        digest: Hash of these records, see `barcodemae.fasta.RecordDigest`.
        rejected: Number of rejected records among them.
        output_bytes: Size of the output after these records.
        rejected_bytes: Size of the list of rejected records after these records.
    """

    written_by: str = WRITTEN_BY
    settings: dict[str, Any] = field(default_factory=dict)
    records: int = 0
    digest: str = ""
    rejected: int = 0
    output_bytes: int = 0
    rejected_bytes: int = 0

    @classmethod
    def read(cls, path: Path) -> "Progress":
        """Read a saved progress.

        Raises:
            DataError: The file is not one that a run of ours left, or is damaged.
        """
        try:
            content = json.loads(path.read_bytes())
            progress = cls(**content)
            counts = [getattr(progress, f.name) for f in fields(cls) if f.type is int]
            is_valid = (
                progress.written_by == WRITTEN_BY
                and all(type(count) is int and count >= 0 for count in counts)
                and isinstance(progress.settings, dict)
                and isinstance(progress.digest, str)
            )
        except (ValueError, TypeError, RecursionError):
            is_valid = False
        if not is_valid:
            raise DataError(
                path,
                "is damaged, or not the progress of an interrupted run; remove it to start anew",
            )
        return progress
