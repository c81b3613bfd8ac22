"""The record of a prepared data set, `dataset.json`: from what, how, and what became of every row.

In: sources, options, and the filter and writer that the rows went through. Out: what is written as
JSON. Guarded by tests/training/data/test_dataset_record.py.
"""

import hashlib
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import RANKS, SPLITS
from barcodemae.training.data.duplicates import COMPARED_LABELS
from barcodemae.training.data.row_filter import RowFilter
from barcodemae.training.data.sources.recognition import Source
from barcodemae.unpacking import split_member


SCHEMA_VERSION = 1
_GENUS, _SPECIES = RANKS.index("genus"), RANKS.index("species")
_BIN = COMPARED_LABELS.index("dna_bin")


def record_rows(
    row_filter: RowFilter,
    barcodes: Mapping[str, int],
    settings: Mapping[str, Any],
    *,
    is_made: bool,
) -> dict[str, Any]:
    """Record what became of the rows.

    Args:
        row_filter: Filter through which all rows have gone.
        barcodes: Number of barcodes written, by partition.
        settings: Options of the preparation.
        is_made: Whether the partitions were drawn, not taken from the source.

    Returns:
        The content of `dataset.json`, without its sources.
    """
    duplicates = row_filter.duplicates
    labels = duplicates.label_numbers()
    partitions = {}
    for split in (name for name in SPLITS if name in barcodes):
        rows = labels[labels[:, -1] == duplicates.splits.names.index(split)]
        partitions[split] = {
            "barcodes": barcodes[split],
            **{
                rank: _num_distinct(rows[:, at])
                for rank, at in (("genera", _GENUS), ("species", _SPECIES), ("bins", _BIN))
            },
        }
    return {
        "schema_version": SCHEMA_VERSION,
        **record_versions(),
        "sources": [],
        "options": dict(settings),
        "rows": {"read": row_filter.num_read, "kept": sum(barcodes.values())},
        "labelled": {name: row_filter.labelled[name] for name in ("any", *RANKS)},
        "filters": dict(sorted(row_filter.dropped.items())),
        "duplicates_across_partitions": duplicates.num_dropped_across,
        "conflicting_duplicates": dict(duplicates.conflicts),
        "repeated_processids": row_filter.num_repeated_names(),
        "partitions_from": "draw" if is_made else "source",
        "partitions": partitions,
    }


def record_versions() -> dict[str, Any]:
    """Record what a data set is written by."""
    return {
        "written_by": f"barcodemae {version('barcodemae')}",
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "pyarrow")},
        },
    }


def _num_distinct(numbers: NDArray[np.int32]) -> int:
    return len(np.unique(numbers[numbers >= 0]))


def checksums(source: str) -> dict[str, Any]:
    """Compute size and checksums of a file; published archives are identified by their MD5."""
    path, _ = split_member(source)
    if not path.is_file():
        return {}
    digests = {"md5": hashlib.md5(usedforsecurity=False), "sha256": hashlib.sha256()}
    num_bytes = 0
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 22):
            num_bytes += len(chunk)
            for digest in digests.values():
                digest.update(chunk)
    return {"bytes": num_bytes} | {name: digest.hexdigest() for name, digest in digests.items()}


def record_source(given: str, source: Source, sums: Mapping[str, Any]) -> dict[str, Any]:
    """Record a source.

    Args:
        given: Its name as the user gave it: of a file of the Hub its name there, not the path of
            its cached copy.
        source: The source.
        sums: What `checksums` gave.
    """
    return {
        "path": given,
        "format": source.format,
        "recognised_by": source.why,
        **sums,
    }
