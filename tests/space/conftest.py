"""The Space's modules, opened from their folder as `app.py` finds them."""

import sys
from pathlib import Path

import pytest

from barcodemae.training.export import export


SPACE = Path(__file__).parents[2] / "space"
sys.path.insert(0, str(SPACE))


@pytest.fixture
def tiny_folder(tiny_model, tokenizer, tmp_path):
    """A full folder of the tiny model."""
    export(tiny_model, tokenizer, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def library(tiny_folder):
    """The Space's own references, embedded by the tiny model."""
    from answers import open_library

    return open_library(str(tiny_folder))
