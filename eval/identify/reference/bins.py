"""BINs of references (barcode index numbers of BOLD), and whether their members agree on a name.

In: the BIN and the species of each reference. Out: for a reference its BIN, and the share of the
BIN's named members that carry the most frequent species name.
Guarded by tests/eval/identify/reference/test_bins.py.

Shapes: R = references, B = BINs.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from barcodemae.eval.identify.judge.ladder import UNKNOWN


@dataclass(frozen=True)
class Bins:
    """BINs of a library.

    Attributes:
        of: Index of each reference's BIN, (R,); -1 where it has none.
        names: Names of the BINs, B.
        agreement: Share of the named members of each BIN that carry its most frequent species
            name, (B,), 0 to 1; NaN where no member has a name.
    """

    of: NDArray[np.int64]
    names: list[str]
    agreement: NDArray[np.float64]

    @classmethod
    def of_library(cls, column: pa.ChunkedArray, species: NDArray[np.int32]) -> "Bins":
        """Group references by their BIN.

        Args:
            column: Names of the BINs, null where there is none, (R,).
            species: Codes of the species, -1 where not known, (R,).
        """
        encoded = column.dictionary_encode().combine_chunks()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.chunk(0) if encoded.num_chunks else pa.array([], pa.string())
        names = encoded.dictionary.to_pylist()
        # Not by Arrow's own conversion, which imports pandas where that is installed.
        indices = encoded.indices.to_pylist()
        of = np.array([UNKNOWN if code is None else code for code in indices], np.int64)
        used = (of != UNKNOWN) & (species != UNKNOWN)
        pairs, counts = np.unique(
            np.stack([of[used], species[used]], axis=1), axis=0, return_counts=True
        )
        most, total = np.zeros(len(names)), np.zeros(len(names))
        np.maximum.at(most, pairs[:, 0], counts)
        np.add.at(total, pairs[:, 0], counts)
        agreement = np.where(total > 0, most / np.maximum(total, 1), np.nan)
        return cls(of, names, agreement)

    def describe(self, row: int) -> tuple[str | None, float | None]:
        """Return the BIN of a reference and the agreement of its members; None where unknown."""
        number = int(self.of[row])
        if number == UNKNOWN:
            return None, None
        share = float(self.agreement[number])
        return self.names[number], None if np.isnan(share) else share
