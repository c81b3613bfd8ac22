"""The rows a probe works on: sequences with labels, and their vectors computed once.

In: a data set folder and split names. Out: sequences, labels, ids, and how many rows were left
out and why. Guarded by tests/eval/probe/test_probe_data.py.
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
    """Barcodes with a label, in stored order.

    Attributes:
        ids: `processid` of each row.
        sequences: Barcodes.
        labels: Taxon at the rank asked for; never null.
        num_unlabelled: Rows left out because their label is null.
    """

    ids: list[str]
    sequences: list[str]
    labels: list[str]
    num_unlabelled: int

    def select(self, rows: NDArray[np.int64]) -> "LabelledRows":
        """Keep some rows."""
        return LabelledRows(
            [self.ids[row] for row in rows],
            [self.sequences[row] for row in rows],
            [self.labels[row] for row in rows],
            self.num_unlabelled,
        )


def read_labelled(directory: Path | str, splits: Sequence[str], rank: str) -> LabelledRows:
    """Read the labelled rows of some splits.

    Args:
        directory: A prepared data set.
        splits: Names of partitions.
        rank: A rank or `dna_bin`.

    Raises:
        SettingsError: An unknown rank.
        DataError: No rows, or none with a label.
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
    """An embedder that computes every distinct sequence once, for probes that share rows."""

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(embedder)
        self.shareable = False  # a sequence that two threads miss would be computed by both
        self.known: dict[str, NDArray[np.float32]] = {}

    def embed(self, sequences: Sequence[str], *, progress: bool = False) -> NDArray[np.float32]:
        """Return one vector per sequence, (N, D)."""
        new = [text for text in dict.fromkeys(sequences) if text not in self.known]
        if new:
            vectors = self.embedder.embed(new, progress=progress)
            self.known |= dict(zip(new, vectors, strict=True))
        return np.stack([self.known[text] for text in sequences])


def usable_rows(embedder: Embedder, sequences: Sequence[str]) -> NDArray[np.int64]:
    """List the rows that `embedder` can embed."""
    invalid = embedder.find_invalid(sequences)
    return np.array([row for row in range(len(sequences)) if row not in invalid], np.int64)
