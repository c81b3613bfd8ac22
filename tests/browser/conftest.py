"""One Chromium for all tests, which can resolve no name but this machine's."""

import sys
from pathlib import Path

import pytest


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from browsing import open_chromium


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """One browser for all tests."""
    with open_chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser
