import numpy as np

from barcodemae.eval.identify.judge.placing import PlacedLetters
from barcodemae.eval.identify.reference.altered import cut_fragment, with_errors


def test_a_fragment_keeps_its_sites():
    whole = PlacedLetters("ACGTNNGGTTCCAA" * 9, site=5)
    for seed in range(9):
        found = cut_fragment(whole, 40, np.random.default_rng(seed))
        start = found.site - whole.site
        assert whole.letters[start : start + len(found.letters)] == found.letters


def test_without_errors_a_read_is_its_barcode_and_indels_change_its_length():
    text = "ACGT" * 50
    assert with_errors(text, 0, 0, np.random.default_rng(0)) == text
    assert with_errors(text, 1, 0, np.random.default_rng(0)) != text
