"""What the identification benchmarks share: queries with their truth, answers as predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from barcodemae.dataset import RANKS, read_splits
from barcodemae.eval.identify.identification import Identification
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.identify.scores import Predictions, Truth


@dataclass(frozen=True)
class Queries:
    """Barcodes to identify, with their true names.

    Attributes:
        ids: Q.
        sequences: Q.
        names: Per rank, Q names each, None where not known.
    """

    ids: list[str]
    sequences: list[str]
    names: list[list[str | None]]

    @classmethod
    def read(cls, data: Path, splits: Sequence[str]) -> "Queries":
        """Read partitions."""
        table = read_splits(data, splits)
        columns = [table[name].to_pylist() for name in ("processid", "dna_barcode", *RANKS)]
        return cls(columns[0], columns[1], columns[2:])

    def truth(self, library: ReferenceLibrary) -> Truth:
        """Number the names as a library does."""
        codes = [library.codes_of(r, n) for r, n in zip(RANKS, self.names, strict=True)]
        named = [[name is not None for name in column] for column in self.names]
        return Truth(np.stack(codes, axis=1), np.array(named).T)


def collect(found: Sequence[object], library: ReferenceLibrary) -> Predictions:
    """Turn identifications into predictions; a rejected query has no name and is no novelty."""
    blank = [None] * len(RANKS)
    kept = [item if isinstance(item, Identification) else None for item in found]
    names = [blank if item is None else item.names for item in kept]
    codes = np.stack(
        [library.codes_of(r, [line[i] for line in names]) for i, r in enumerate(RANKS)], axis=1
    )
    zeros = [0.0] * len(RANKS)
    confidence = np.array([zeros if item is None else item.probabilities for item in kept])
    depth = np.array([0 if item is None else item.depth for item in kept])
    is_assigned = (np.arange(len(RANKS)) < depth[:, None]) & (codes >= 0)
    novelty = [(0.0, 0.0) if item is None else (item.new_species, item.new_genus) for item in kept]
    return Predictions(codes, is_assigned, confidence, np.array(novelty))
