"""Names under which the field's tables keep the canonical columns, and whose table it is.

In: the header of a table. Out: which of its columns is which, and which format that is, with the
reason in words. Guarded by tests/training/data/sources/test_columns.py.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from barcodemae.dataset import COLUMNS, RANKS, SPLITS
from barcodemae.errors import DataError


FORMATS = ("bioscan5m", "canadian", "reference", "bold", "table", "fasta", "parquet")
# Data sets whose authors have tidied the labels; results on them rest on the names as they are.
PUBLISHED = ("bioscan5m", "canadian", "reference", "simulate")
# Names in order of preference: BIOSCAN-5M's, then those of the reference's split CSVs, of
# CanadianInvertebrates-ML, of BOLD's web service and public snapshots over the years, and of what
# people write by hand.
ALIASES = {
    "processid": (
        *("processid", "process_id", "record_id", "sampleid", "sample_id", "seqid", "seq_id"),
        *("sequence_id", "asv_id", "otu_id", "asv", "otu", "accession", "id", "sample"),
    ),
    **{rank: (rank, f"{rank}_name", f"{rank}_reg") for rank in RANKS},
    "dna_bin": ("dna_bin", "bin_uri", "bin"),
    "dna_barcode": (
        *("dna_barcode", "nucleotides", "nuc", "nucraw", "sequence", "dna_sequence", "seq", "dna"),
        *("nucleotide_sequence", "dna_seq"),
    ),
    "split": ("split",),
}
MARKER_NAMES = ("marker_code", "markercode", "marker")
NULL_VALUES = (
    *("", "NA", "N/A", "n/a", "nan", "NaN", "NULL", "null", "None"),
    *("no_data", "not_classified", "unassigned"),
)
SPLIT_ALIASES = {
    **{name: name for name in SPLITS},
    **{"validation": "val", "test_seen": "test"},  # CanadianInvertebrates-ML; pre-release table
}
# The reference's own files carry their partition in the name.
SPLIT_OF_FILE = {
    "pre_training": "pretrain",
    "supervised_train": "train",
    "supervised_val": "val",
    "supervised_test": "test",
    "unseen": "test_unseen",
}


@dataclass(frozen=True)
class TableLayout:
    """What a table holds.

    Attributes:
        format: One of `FORMATS`.
        why: What it was recognised by.
        columns: Canonical name -> position in the header, for those that are there.
        marker: Position of the marker column, or None.
        file_split: Partition of every row, where the file name says so and no column does.
    """

    format: str
    why: str
    columns: dict[str, int]
    marker: int | None
    file_split: str | None

    @property
    def has_splits(self) -> bool:
        """Whether the rows come with partitions."""
        return "split" in self.columns or self.file_split is not None


def plain_name(name: str) -> str:
    """Write the name of a column as `ALIASES` does: `#OTU ID` and `otu.id` are `otu_id`."""
    return re.sub(r"[\s.-]+", "_", name.strip().strip('"').removeprefix("#").strip().lower())


def read_layout(
    path: Path | str, header: Sequence[str], wanted: str = "auto", file_name: str | None = None
) -> TableLayout:
    """Find the canonical columns in a header.

    Args:
        path: The file, for messages.
        header: Column names as they stand in the file.
        wanted: A format to hold the file to, or "auto".
        file_name: Name that may carry a partition, if not that of `path`.

    Raises:
        DataError: A name stands twice, no column holds barcodes, or it is not what was wanted.
    """
    names = [plain_name(name) for name in header]
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        raise DataError(path, f"column {repeated[0]!r} stands twice in the header", 1)
    columns = {
        name: names.index(alias)
        for name in COLUMNS
        for alias in [next((alias for alias in ALIASES[name] if alias in names), None)]
        if alias is not None
    }
    if "dna_barcode" not in columns:
        found = ", ".join(names[:12])[:200]
        expected = ", ".join(ALIASES["dna_barcode"])
        raise DataError(path, f"no column of barcodes ({expected}); the header has: {found}", 1)
    marker = next((names.index(name) for name in MARKER_NAMES if name in names), None)
    recognised, why = _recognise(names)
    if wanted not in ("auto", "table", "parquet", recognised):
        raise DataError(path, f"is not {wanted}: it looks like {recognised} ({why})", 1)
    stem = Path(file_name or path).name.split(".")[0].lower()
    file_split = SPLIT_OF_FILE.get(stem) if "split" not in columns else None
    return TableLayout(recognised, why, columns, marker, file_split)


def _recognise(names: Sequence[str]) -> tuple[str, str]:
    held = set(names)
    if "dna_barcode" in held and held & {"index_bioscan_1m_insect", "inferred_ranks", "chunk"}:
        mark = sorted(held & {"index_bioscan_1m_insect", "inferred_ranks", "chunk"})[0]
        return "bioscan5m", f"columns dna_barcode and {mark}"
    if {"dna_barcode", "sequence_len", "split"} <= held:
        return "canadian", "columns dna_barcode, sequence_len and split"
    is_reference = "nucleotides" in held and held & {"genus_index", "genus_name"}
    if is_reference and not held & set(MARKER_NAMES):
        return "reference", "columns nucleotides and genus_name or genus_index, no marker"
    if "bin_uri" in held and held & {"nuc", "nucraw", "nucleotides"}:
        return "bold", "columns bin_uri and nuc, nucraw or nucleotides"
    barcode = next(name for name in ALIASES["dna_barcode"] if name in held)
    return "table", f"a column {barcode}, and no format that it belongs to"
