"""What the tests of the poster's comparison share: tiny models, and steps whose cost is known."""

import json
import sys
from pathlib import Path

import pytest


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

FLOP = {"BarcodeBERT": 4.0, "BarcodeMAE w/MASK": 2.0, "BarcodeMAE": 1.0}  # of a step


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A toy data set."""
    from gpu_data import write_toy_data

    return write_toy_data(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def tiny():
    """Settings of tiny models, as the benchmarks' option takes them."""
    sizes = {"hidden_size": 24, "num_attention_heads": 2, "intermediate_size": 24}
    return json.dumps({**sizes, "batch_size": 8, "compile": False, "log_every": 1})


@pytest.fixture
def counted(tmp_path):
    """A folder in which what a step costs has been counted: slices of 1, 2 and 4 steps."""
    from poster import SLICES

    out = tmp_path / "out"
    out.mkdir()
    (out / "flop.json").write_text(json.dumps({"horizon": 4.0 * SLICES, "step": FLOP}))
    return out
