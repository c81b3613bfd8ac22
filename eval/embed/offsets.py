"""Averaging of embeddings over reading offsets, so that they depend less on where a barcode begins.

In: an embedder whose k-mers do not overlap. Out: an embedder that reads each sequence from its
first, second, ... base, scales the embeddings to length 1 and returns their mean. It takes one
forward pass per offset. Guarded by tests/eval/embed/test_offsets.py.

Shapes: N = sequences, D = embedding width.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from barcodemae.conventions.letters import clean
from barcodemae.errors import SettingsError
from barcodemae.eval.embed.embedder import (
    Embedder,
    EmbedderDecorator,
    PlacedSequence,
    embed_placed,
)
from barcodemae.eval.search.reference_search import unit_length


class OffsetEmbedder(EmbedderDecorator):
    """Embedder that averages the embeddings at several offsets.

    Args:
        embedder: Embedder to average.
        num_offsets: Number of offsets 0, 1, ... bp; with 1, embeddings are left unchanged.

    Raises:
        SettingsError: There is not at least one offset.
    """

    def __init__(self, embedder: Embedder, num_offsets: int) -> None:
        if num_offsets < 1:
            raise SettingsError(f"at least one offset is needed, got {num_offsets}")
        super().__init__(embedder)
        self.network = None  # fine-tuning would ignore the offsets
        self.num_offsets = num_offsets

    def embed(self, sequences: Sequence[str], *, progress: bool = False) -> NDArray[np.float32]:
        """Return one vector per sequence, (N, D), in input order."""
        if self.num_offsets == 1:
            return self.embedder.embed(sequences, progress=progress)
        letters = [clean(text) for text in sequences]
        shifted = [
            unit_length(self.embedder.embed([text[offset:] for text in letters]))
            for offset in range(self.num_offsets)
        ]
        mean: NDArray[np.float32] = np.mean(shifted, axis=0)
        return mean

    def embed_placed(self, placed: Sequence[PlacedSequence]) -> NDArray[np.float32]:
        """Return one vector per placed sequence, (N, D), in input order."""
        if self.num_offsets == 1:
            return embed_placed(self.embedder, placed)
        return self.embed([sequence.letters for sequence in placed])

    def find_invalid(self, sequences: Sequence[str]) -> dict[int, str]:
        """Return row -> reason for the sequences that cannot be embedded at every offset."""
        reasons: dict[int, str] = {}
        letters = [clean(text) for text in sequences] if self.num_offsets > 1 else sequences
        for offset in range(self.num_offsets):
            found = self.embedder.find_invalid([text[offset:] for text in letters])
            reasons = found | reasons
        return reasons
