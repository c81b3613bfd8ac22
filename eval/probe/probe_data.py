"""Labelled rows for the probes, and a cache of their embeddings.

In: a data set folder and names of splits. Out: sequences, labels, ids, and the number of rows
without a label. Guarded by tests/eval/probe/test_probe_data.py.

Shapes: N = rows, D = embedding width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import RANKS, read_splits
from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.embed.embedder import Embedder, EmbedderDecorator


LABEL_COLUMNS = (*RANKS, "dna_bin")


@dataclass(frozen=True)
class LabelledRows:
    """Barcodes that have a label, in the order of the data set.

    Attributes:
        ids: `processid` of each row, N.
        sequences: Barcode of each row, N.
        labels: Taxon of each row at the wanted rank, N.
        num_unlabelled: Number of rows that were left out because they have no label.
    """

    ids: list[str]
    sequences: list[str]
    labels: list[str]
    num_unlabelled: int

    def select(self, rows: NDArray[np.int64]) -> "LabelledRows":
        """Return some of the rows."""
        return LabelledRows(
            [self.ids[row] for row in rows],
            [self.sequences[row] for row in rows],
            [self.labels[row] for row in rows],
            self.num_unlabelled,
        )


def read_labelled(directory: Path | str, splits: Sequence[str], rank: str) -> LabelledRows:
    """Read the labelled rows of some splits.

    Args:
        directory: Folder of a prepared data set.
        splits: Names of the splits.
        rank: Rank of the labels, or `dna_bin`.

    Raises:
        SettingsError: The rank is unknown.
        DataError: There are no rows, or none has a label.
    """
    if rank not in LABEL_COLUMNS:
        raise SettingsError(f"rank {rank!r} is not one of {', '.join(LABEL_COLUMNS)}")
    table = read_splits(directory, splits, ("processid", "dna_barcode", rank))
    labelled = table.filter(table[rank].is_valid())
    if labelled.num_rows == 0:
        raise DataError(directory, f"no row of {', '.join(splits)} has a {rank}")
    return LabelledRows(
        labelled["processid"].to_pylist(),
        labelled["dna_barcode"].to_pylist(),
        labelled[rank].to_pylist(),
        table.num_rows - labelled.num_rows,
    )


class CachedEmbedder(EmbedderDecorator):
    """Embedder with a cache: every distinct sequence is embedded once, for probes that share rows.

    Args:
        embedder: Embedder whose vectors are cached.
    """

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(embedder)
        self.shareable = False  # two threads could embed the same sequence
        self.cache: dict[str, NDArray[np.float32]] = {}

    def embed(self, sequences: Sequence[str], *, progress: bool = False) -> NDArray[np.float32]:
        """Return one vector per sequence, (N, D), in input order."""
        new = [text for text in dict.fromkeys(sequences) if text not in self.cache]
        if new:
            vectors = self.embedder.embed(new, progress=progress)
            self.cache |= dict(zip(new, vectors, strict=True))
        return np.stack([self.cache[text] for text in sequences])


def usable_rows(embedder: Embedder, sequences: Sequence[str]) -> NDArray[np.int64]:
    """Return the rows of the sequences that an embedder can read, in order."""
    invalid = embedder.find_invalid(sequences)
    return np.array([row for row in range(len(sequences)) if row not in invalid], np.int64)
