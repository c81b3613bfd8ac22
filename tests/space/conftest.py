"""The Space's modules, opened from their folder as `app.py` finds them."""

import sys
from pathlib import Path

import pytest
import torch

from barcodemae import BarcodeKmerTokenizer, BarcodeMAEConfig, BarcodeMAEForPreTraining
from barcodemae.training.export import export


SPACE = Path(__file__).parents[2] / "space"
sys.path.insert(0, str(SPACE))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """A full folder of a tiny model."""
    torch.manual_seed(0)
    config = BarcodeMAEConfig(
        k=3, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        decoder_hidden_size=16, decoder_num_hidden_layers=1, decoder_num_attention_heads=2,
        decoder_intermediate_size=32, max_position_embeddings=256,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("space") / "model"
    export(BarcodeMAEForPreTraining(config).eval(), BarcodeKmerTokenizer(k=3), folder)
    return folder


@pytest.fixture(scope="session")
def library(tiny_folder):
    """The Space's own references, indexed with the tiny model."""
    from answers import open_library

    return open_library(str(tiny_folder))
