"""Packed letters count what letters count."""

import numpy as np
import pytest

from barcodemae.eval.audit.packed import PackedLetters
from barcodemae.eval.identify.judge.comparison import conserved_sites


@pytest.mark.parametrize("width", [63, 64, 66, 130])
def test_bits_count_the_sites_that_letters_count(width):
    generator = np.random.default_rng(width)
    letters = generator.integers(5, size=(40, width)).astype(np.uint8)  # 4 is unknown
    left, right = generator.integers(40, size=(2, 200))
    found = PackedLetters.of(letters).compare(left, right)
    mine, theirs = letters[left], letters[right]
    is_shared = (mine < 4) & (theirs < 4)
    differs = is_shared & (mine != theirs)
    slow = conserved_sites(letters)
    for counted, expected in (
        (found.shared, is_shared),
        (found.different, differs),
        (found.slow_shared, is_shared[:, slow]),
        (found.slow_different, differs[:, slow]),
    ):
        np.testing.assert_array_equal(counted, expected.sum(axis=1))
