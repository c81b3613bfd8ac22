"""Queries of the identification benchmarks with their true names, and results as predictions.

Shapes: Q = queries, T = ranks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from barcodemae.dataset import RANKS, read_splits
from barcodemae.eval.identify.identification import Identification
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.identify.scores import NOVELTY_RANKS, Predictions, Truth


@dataclass(frozen=True)
class Queries:
    """Barcodes to identify, with their true names.

    Attributes:
        ids: Ids of the barcodes, Q.
        sequences: Sequences of the barcodes, Q.
        names: For each of the T ranks, the Q true names; None where not known.
    """

    ids: list[str]
    sequences: list[str]
    names: list[list[str | None]]

    @classmethod
    def read(cls, data: Path, splits: Sequence[str]) -> "Queries":
        """Read the barcodes of some splits of a data set."""
        table = read_splits(data, splits)
        columns = [table[name].to_pylist() for name in ("processid", "dna_barcode", *RANKS)]
        return cls(columns[0], columns[1], columns[2:])

    def take(self, rows: Iterable[int]) -> "Queries":
        """Return some of the queries, in the order of `rows`."""
        chosen = list(rows)
        columns = [[column[row] for row in chosen] for column in self.names]
        ids, sequences = ([part[row] for row in chosen] for part in (self.ids, self.sequences))
        return Queries(ids, sequences, columns)

    def truth(self, library: ReferenceLibrary) -> Truth:
        """Encode the true names by the codes of a library."""
        codes = [library.codes_of(r, n) for r, n in zip(RANKS, self.names, strict=True)]
        named = [[name is not None for name in column] for column in self.names]
        return Truth(np.stack(codes, axis=1), np.array(named).T)


def collect(found: Sequence[object], library: ReferenceLibrary) -> Predictions:
    """Convert identifications to predictions; a rejected query has no name and is not novel."""
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
    novelty = [
        [0.0 if item is None else item.novelty[rank] for rank in NOVELTY_RANKS] for item in kept
    ]
    return Predictions(codes, is_assigned, confidence, np.array(novelty))
