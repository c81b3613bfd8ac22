"""Models as graphs; without ONNX Runtime there is nothing to test."""

import numpy as np
import pytest


pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from barcodemae.eval.embed.graph.building import LETTERS
from barcodemae.eval.embed.graph.graph_embedder import CODES
from barcodemae.eval.embed.graph.placing_nodes import NO_BASE


@pytest.fixture(scope="session")
def padded():
    """Write sequences as letter codes in one rectangle, as any program may."""

    def padded(sequences, columns=0):
        width = max([columns, *map(len, sequences)])
        codes = np.full((len(sequences), width), NO_BASE, np.uint8)
        for row, text in enumerate(sequences):
            codes[row, : len(text)] = CODES[np.frombuffer(text.encode(), np.uint8)]
        return {LETTERS: codes}

    return padded
