"""The frame needs NumPy alone: the room's names are imported when they are used."""

import subprocess
import sys

import pytest

from barcodemae import tokenization


def test_placing_needs_neither_tokenizers_nor_transformers():
    code = (
        "import sys; from barcodemae import BarcodeFrame, BarcodePlacer\n"
        "BarcodePlacer(BarcodeFrame(['9' * 60, '0' * 60, '0' * 60, '0' * 60])).place(['A' * 50])\n"
        "assert not {'tokenizers', 'transformers', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_is_there_and_no_other():
    assert {name for name in tokenization.__all__ if getattr(tokenization, name)} == set(
        tokenization._HOME_OF
    )
    with pytest.raises(AttributeError, match="no attribute 'BarcodeFrome'"):
        tokenization.BarcodeFrome  # noqa: B018
