"""Made-up barcodes and small settings for the tests that need a GPU, without any library."""

import sys
from pathlib import Path

import pytest
import torch

from barcodemae.training.run.pretrain_settings import PretrainConfig


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from gpu_data import write_toy_data


SMALL = {
    "k": 4,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "decoder_hidden_size": 32,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 64,
    "batch_size": 16,
    "max_steps": 12,
    "learning_rate": 1e-3,
    "random_offset": False,
    "train_splits": "pretrain,train",
    "dropout": 0.0,
    "precision": "fp32",
    "log_every": 4,
    "validate_every": 12,
    "checkpoint_every": 6,
}


@pytest.fixture(autouse=True)
def needs_a_gpu():
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory):
    """A folder of made-up barcodes."""
    return write_toy_data(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def small_run(toy_data, tmp_path):
    """Build the settings of a run in `tmp_path/NAME`: `small_run("name", precision="bf16")`."""

    def build(name="run", **changes):
        return PretrainConfig(data=toy_data, output=tmp_path / name, **{**SMALL, **changes})

    return build
