"""Tiny, seeded models and barcodes shared by every test; nothing here reaches the network."""

import os
import random


# Before transformers is imported: a test that reaches for the Hub must fail, not hang.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
import torch

from barcodemae import BarcodeKmerTokenizer, BarcodeMAEConfig, BarcodeMAEForPreTraining
from barcodemae.training.export import export


TINY = {
    "k": 3,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "decoder_hidden_size": 16,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 32,
    "max_position_embeddings": 256,  # 660 bp are 220 tokens
}


@pytest.fixture
def tiny_config():
    """A BarcodeMAE of k = 3, width 32, 2 layers, decoder width 16, 1 layer."""
    return BarcodeMAEConfig(**TINY)


@pytest.fixture
def make_config():
    """Build a tiny configuration with some fields changed: `make_config(hidden_size=64)`."""
    return lambda **changes: BarcodeMAEConfig(**{**TINY, **changes})


@pytest.fixture
def tiny_model(tiny_config):
    """The tiny model in evaluation mode, the same weights in every test."""
    torch.manual_seed(0)
    return BarcodeMAEForPreTraining(tiny_config).eval()


@pytest.fixture
def tokenizer():
    """The tokenizer of the tiny models."""
    return BarcodeKmerTokenizer(k=3)


@pytest.fixture
def barcodes():
    """Eight sequences of 30 to 150 bp, random but the same in every test."""
    generator = random.Random(0)
    return ["".join(generator.choices("ACGT", k=length)) for length in range(30, 160, 17)]


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """A full folder of the tiny model."""
    torch.manual_seed(0)
    model = BarcodeMAEForPreTraining(BarcodeMAEConfig(**TINY)).eval()
    folder = tmp_path_factory.mktemp("tiny") / "model"
    export(model, BarcodeKmerTokenizer(k=TINY["k"]), folder)
    return folder
