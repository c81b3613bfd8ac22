"""An embedder that remembers: vectors by their letters, kept in a folder between runs.

In: an embedder and a folder. Out: the same vectors, to half precision. Guarded by
tests/benchmarks/test_planted.py.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from barcodemae.eval.embed.embedder import Embedder, EmbedderDecorator


class CachedEmbedder(EmbedderDecorator):
    """Embeds every barcode once.

    Args:
        embedder: Embedder whose vectors are kept.
        folder: Folder of the vectors, made if missing.
    """

    def __init__(self, embedder: Embedder, folder: Path) -> None:
        super().__init__(embedder)
        self.folder = folder
        self.known: dict[str, NDArray[np.float16]] = {}
        self.new: list[str] = []
        for file in sorted(folder.glob("*.npz")):
            with np.load(file) as content:
                self.known |= dict(
                    zip(content["letters"].tolist(), content["vectors"], strict=True)
                )

    def embed(self, sequences: Sequence[str], *, progress: bool = False) -> NDArray[np.float32]:
        """Return one vector per sequence, (N, D)."""
        missing = sorted({text for text in sequences if text not in self.known})
        if missing:
            vectors = self.embedder.embed(missing, progress=progress).astype(np.float16)
            self.known |= dict(zip(missing, vectors, strict=True))
            self.new += missing
        width = len(next(iter(self.known.values())))
        found = [self.known[text] for text in sequences]
        return np.array(found, np.float32).reshape(len(sequences), width)

    def save(self) -> None:
        """Write the vectors that are new."""
        if self.new:
            self.folder.mkdir(parents=True, exist_ok=True)
            name = f"new_{len(self.known):08d}.npz"
            vectors = np.array([self.known[text] for text in self.new])
            np.savez(self.folder / name, letters=np.array(self.new), vectors=vectors)
            self.new = []
