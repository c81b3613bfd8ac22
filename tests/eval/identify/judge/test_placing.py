import random

import numpy as np
import pytest

from barcodemae.eval.identify.judge.orientation import StrandProfile, reverse_complement
from barcodemae.eval.identify.judge.placing import (
    KmerPlacer,
    PlacedLetters,
    count_bases,
    find_min_evidence,
    is_changed,
)


LENGTH = 300


@pytest.fixture(scope="module")
def barcodes():
    """Sixty relatives of one barcode."""
    generator = random.Random(4)
    root = generator.choices("ACGT", (30, 12, 18, 40), k=LENGTH)
    return [
        "".join(generator.choice("ACGT") if generator.random() < 0.15 else b for b in root)
        for _ in range(60)
    ]


@pytest.fixture(scope="module")
def placer(barcodes):
    profile = StrandProfile(StrandProfile.count(barcodes))
    return KmerPlacer(profile, find_min_evidence(profile, barcodes))


def test_barcodes_are_barcodes_on_either_strand(placer, barcodes):
    turned = [reverse_complement(text) for text in barcodes]
    for texts, is_reverse in ((barcodes, False), (turned, True)):
        placed = placer.place(texts)
        assert np.mean([found.is_barcode for found in placed]) > 0.95
        assert {found.is_reverse for found in placed} == {is_reverse}
        assert [found.letters for found in placed] == barcodes


@pytest.mark.parametrize("kind", ["random", "shuffled", "repeated"])
def test_other_letters_are_no_barcode(placer, barcodes, kind):
    generator = random.Random(1)
    texts = {
        "random": ["".join(generator.choices("ACGT", k=LENGTH)) for _ in range(30)],
        "shuffled": ["".join(generator.sample(text, LENGTH)) for text in barcodes[:30]],
        "repeated": ["A" * LENGTH, "AT" * 150, "ACGT" * 75, barcodes[0][:7] * 42],
    }[kind]
    assert not any(found.is_barcode for found in placer.place(texts))


def test_a_strand_that_is_known_is_not_turned(placer, barcodes):
    turned = reverse_complement(barcodes[0])
    (found,) = placer.place([turned], both_strands=False)
    assert (found.is_reverse, found.letters) == (False, turned)


def test_no_letters_are_no_barcode(placer):
    assert [found.is_barcode for found in placer.place(["", "NNNN", "ACG"])] == [False] * 3


def test_the_limit_lies_between_references_and_shuffled_ones(placer, barcodes):
    real = [placer.profile.presence(text) for text in barcodes]
    generator = random.Random(2)
    shuffled = [
        placer.profile.presence("".join(generator.sample(text, LENGTH))) for text in barcodes
    ]
    assert np.median(shuffled) < placer.min_evidence <= np.quantile(real, 0.02) + 1e-9


def test_only_the_four_bases_are_counted():
    assert count_bases("ACGTNRYacgt") == 4


def test_bases_gained_or_lost_change_a_read():
    assert not is_changed(PlacedLetters("ACGT"))
    assert is_changed(PlacedLetters("ACGT", num_lost=1))
    assert is_changed(PlacedLetters("ACGT", num_gained=2))
