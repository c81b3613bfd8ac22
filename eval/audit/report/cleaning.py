"""The reference without what an audit found: `--clean DIR`.

Only findings that spoil a record are acted on, from a score on: a wrong label, a sequence that is
not what it seems. In: a prepared data set and an audit of it. Out: the data set without those
records, and `dropped.tsv`, which says what is missing and why. No label is ever changed.
Guarded by tests/eval/audit/report/test_report.py.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from barcodemae.dataset import parquet_files
from barcodemae.errors import DataError
from barcodemae.eval.audit.findings import KINDS, Finding
from barcodemae.eval.audit.records import Records
from barcodemae.output.cells import row_of


DROPPED = "dropped.tsv"
CLEAN_SCORE = 0.9


def spoiled(findings: Iterable[Finding], threshold: float) -> dict[int, Finding]:
    """Return the records to drop, each with the first finding that is the reason.

    Args:
        findings: Findings in order.
        threshold: Lowest score of a finding that drops its record.
    """
    chosen: dict[int, Finding] = {}
    for found in findings:
        if KINDS[found.kind].spoils and found.score >= threshold:
            for row in found.rows:
                chosen.setdefault(row, found)
    return chosen


def write_clean(dataset: Path, folder: Path, records: Records, dropped: dict[int, Finding]) -> None:
    """Write the data set without some records; other partitions stay as they are.

    Args:
        dataset: Folder of the data set that was audited.
        folder: Empty folder to write into.
        records: Records that were audited.
        dropped: Records to drop, with the reason.

    Raises:
        DataError: Two rows have the id of a record to drop, so that it is not known which.
    """
    wanted = {(records.ids[row], records.splits[row]): row for row in dropped}
    num_dropped = 0
    for file in parquet_files(dataset):
        table = pa.parquet.read_table(file)
        keys = zip(
            table["processid"].cast(pa.string()).to_pylist(),
            table["split"].cast(pa.string()).to_pylist(),
            strict=True,
        )
        keep = pa.array([key not in wanted for key in keys], pa.bool_())
        kept = table.filter(keep)
        num_dropped += len(table) - len(kept)
        pa.parquet.write_table(kept, folder / file.name)
    if num_dropped != len(dropped):
        raise DataError(
            dataset,
            f"{num_dropped} rows have the ids of the {len(dropped)} records to drop: make ids "
            "unique with `barcodemae prepare`",
        )
    for name in ("dataset.json", "rejected.tsv", "duplicates.tsv"):
        if (dataset / name).is_file():
            shutil.copyfile(dataset / name, folder / name)
    with (folder / DROPPED).open("w", newline="", encoding="utf-8") as stream:
        stream.write(row_of(("processid", "split", "kind", "score", "label", "evidence")))
        for row, found in sorted(dropped.items()):
            place = (records.ids[row], records.splits[row], found.kind, f"{found.score:.4f}")
            stream.write(row_of((*place, records.lineage(row), found.evidence)))


__all__ = ["CLEAN_SCORE", "DROPPED", "spoiled", "write_clean"]
