"""Tiny, seeded models and barcodes shared by every test; nothing here reaches the network."""

import os
import random


# Before transformers is imported: a test that reaches for the Hub must fail, not hang.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
# The Hub of some tests is this machine, which may be busy.
os.environ["HF_HUB_ETAG_TIMEOUT"] = os.environ["HF_HUB_DOWNLOAD_TIMEOUT"] = "600"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Before torch is imported: threads that wait for each other sleep. They would otherwise spin, which
# on a busy machine keeps the one that is waited for from running: tests took ten times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

from barcodemae import BarcodeKmerTokenizer, BarcodeMAEConfig, BarcodeMAEForPreTraining
from barcodemae.tokenization import BarcodeFrame
from barcodemae.training.export.folders import export


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


FRAME_BP = 240


# However slow or busy the machine is, and the same examples in every run: `make test` is green or
# red for what the code does. `pytest --hypothesis-profile default` goes looking for new examples.
settings.register_profile(
    "any_machine", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any_machine")


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


@pytest.fixture(scope="session")
def relatives():
    """Sixty barcodes of 240 bp in six families, all of one ancestor."""
    generator = np.random.default_rng(0)

    def mutate(codes, rate):
        others = generator.integers(4, size=codes.shape)
        return np.where(generator.random(codes.shape) < rate, others, codes)

    families = mutate(np.repeat(generator.integers(4, size=(1, FRAME_BP)), 6, axis=0), 0.15)
    codes = mutate(np.repeat(families, 10, axis=0), 0.05)
    return ["".join(row) for row in np.array(list("ACGT"))[codes]]


@pytest.fixture(scope="session")
def frame_rows(relatives):
    """The frame of the relatives, as a tokenizer stores it."""
    letters = np.array([list(barcode) for barcode in relatives])
    shares = np.stack([(letters == base).mean(axis=0) for base in "ACGT"], axis=1)  # (W, 4)
    return BarcodeFrame.from_frequencies(shares).rows


@pytest.fixture
def framed_tokenizer(frame_rows):
    """The tokenizer of tiny models that brings barcodes into the frame of the relatives."""
    return BarcodeKmerTokenizer(k=3, max_length_bp=FRAME_BP, frame=frame_rows)


@pytest.fixture(scope="session")
def framed_folder(frame_rows, tmp_path_factory):
    """A full folder of a tiny model in the frame of the relatives, with its `encoder/`."""
    torch.manual_seed(0)
    model = BarcodeMAEForPreTraining(BarcodeMAEConfig(**TINY)).eval()
    with torch.no_grad():  # as after training: no row of the table is special
        model.get_input_embeddings().weight.normal_()
    tokenizer = BarcodeKmerTokenizer(k=TINY["k"], max_length_bp=FRAME_BP, frame=frame_rows)
    folder = tmp_path_factory.mktemp("framed") / "model"
    export(model, tokenizer, folder)
    return folder


@pytest.fixture(scope="session")
def sites_folder(frame_rows, tmp_path_factory):
    """A full folder like `framed_folder`, with site embeddings and layers narrower than vectors."""
    torch.manual_seed(0)
    sizes = {"tower_size": 16, "num_sites": FRAME_BP}
    model = BarcodeMAEForPreTraining(BarcodeMAEConfig(**TINY | sizes)).eval()
    with torch.no_grad():  # as after training
        model.get_input_embeddings().weight.normal_()
        model.barcodemae.widening.weight.normal_(std=0.2)
        model.barcodemae.sites.weight.normal_()
    tokenizer = BarcodeKmerTokenizer(k=TINY["k"], max_length_bp=FRAME_BP, frame=frame_rows)
    folder = tmp_path_factory.mktemp("sites") / "model"
    export(model, tokenizer, folder)
    return folder
