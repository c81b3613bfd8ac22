"""The Space's modules, opened from their folder as `app.py` finds them."""

import sys
from pathlib import Path

import pytest


SPACE = Path(__file__).parents[2] / "space"
sys.path.insert(0, str(SPACE))


@pytest.fixture(scope="session")
def library(tiny_folder):
    """Simulated references, indexed with the tiny model."""
    from answers import open_library

    return open_library(str(tiny_folder), Path(__file__).with_name("references.fasta"))
