"""Embeddings of a GPU are those of the CPU, to what their number formats hold."""

import numpy as np
import pytest

from barcodemae.dataset import read_splits
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.training.export.folders import ENCODER_FOLDER
from barcodemae.training.pretrain import pretrain


pytestmark = pytest.mark.gpu


@pytest.fixture
def encoder(small_run):
    config = small_run(frame=True)
    pretrain(config)
    return config.output / ENCODER_FOLDER


@pytest.fixture
def barcodes(toy_data):
    sequences = read_splits(toy_data, ["val_unseen"])["dna_barcode"].to_pylist()
    return [text[: 400 + 3 * row] for row, text in enumerate(sequences[:40])]  # of many lengths


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 1e-4), ("bfloat16", 3e-2), ("float16", 5e-3)]
)
def test_vectors_equal_those_of_the_cpu(encoder, barcodes, dtype, tolerance):
    exact = load_embedder(encoder, device="cpu").embed(barcodes)
    vectors = load_embedder(encoder, device="cuda", dtype=dtype).embed(barcodes)
    scale = np.abs(exact).max()
    np.testing.assert_allclose(vectors / scale, exact / scale, atol=tolerance)


def test_the_batch_size_changes_nothing(encoder, barcodes):
    one, many = (
        load_embedder(encoder, device="cuda", batch_size=size).embed(barcodes) for size in (1, 32)
    )
    np.testing.assert_allclose(one, many, atol=1e-4)
