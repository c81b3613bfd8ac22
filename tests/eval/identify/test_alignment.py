import random

import numpy as np
import pytest

from barcodemae.eval.alignment import align, align_candidates, one_per_species


BARCODE = "".join(random.Random(5).choices("ACGT", k=120))


def test_equal_sequences_agree_fully():
    found = align(BARCODE, BARCODE)
    assert (found.identity, found.coverage) == (1.0, 1.0)


def test_substitutions_lower_identity_by_their_share():
    changed = ["A" if i % 30 == 0 and b != "A" else b for i, b in enumerate(BARCODE)]
    num_changed = sum(a != b for a, b in zip(changed, BARCODE, strict=True))
    assert num_changed >= 2
    assert align("".join(changed), BARCODE).identity == pytest.approx(1 - num_changed / 120)


def test_a_part_is_identical_and_fully_covered():
    found = align(BARCODE[30:90], BARCODE)
    assert (found.identity, found.coverage) == (1.0, 1.0)


def test_a_longer_query_is_covered_in_part():
    found = align(BARCODE, BARCODE[30:90])
    assert found.identity == 1.0
    assert found.coverage == pytest.approx(0.5)


def test_an_overhanging_end_is_not_an_error_but_lowers_coverage():
    found = align("G" * 15 + BARCODE[:60], BARCODE)
    assert found.identity > 0.97
    assert found.coverage == pytest.approx(60 / 75, abs=0.03)


def test_n_agrees_with_every_base():
    assert align(BARCODE[:50] + "N" + BARCODE[51:], BARCODE).identity == 1.0


def test_candidates_are_one_per_species_and_unnamed_ones_each_for_itself():
    rows = np.array([[4, 5, 6, 7, -1]])
    species = np.array([[0, 0, -1, -1, -1]], np.int32)
    np.testing.assert_array_equal(one_per_species(rows, species, 4), [[4, 6, 7, -1]])
    np.testing.assert_array_equal(one_per_species(rows, species, 2), [[4, 6]])


def test_candidates_are_ordered_by_alignment_and_absent_ones_come_last():
    far = "".join(random.Random(6).choices("ACGT", k=120))
    found = align_candidates([BARCODE], np.array([[3, 9, -1]]), [[far, BARCODE]])
    np.testing.assert_array_equal(found.rows, [[9, 3, -1]])
    assert found.identity[0, 0] == 1.0
    assert np.isneginf(found.score[0, 2])


def test_a_short_overlap_does_not_win_by_its_identity():
    nearly = BARCODE[:60] + ("A" if BARCODE[60] != "A" else "C") + BARCODE[61:]
    stub = BARCODE[:20]
    found = align_candidates([BARCODE], np.array([[0, 1]]), [[stub, nearly]])
    np.testing.assert_array_equal(found.rows, [[1, 0]])
