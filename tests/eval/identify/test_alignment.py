import random

import edlib
import numpy as np
import pytest

from barcodemae.eval.alignment import STEP, align, align_neighbors, one_per_species
from barcodemae.eval.reference_search import Neighborhood


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
    np.testing.assert_array_equal(one_per_species(rows, species, 4), [[0, 2, 3, -1]])
    np.testing.assert_array_equal(one_per_species(rows, species, 2), [[0, 2]])


def aligned(barcodes, cosines):
    """Align the barcode with references of different species, and one that does not exist."""
    rows = np.array([[*range(len(barcodes)), -1]])
    found = Neighborhood(rows, np.array([[*cosines, -np.inf]]))
    species = np.arange(len(barcodes), dtype=np.int32)
    return align_neighbors([BARCODE], found, species, barcodes.__getitem__)


def changed(place):
    return BARCODE[:place] + ("A" if BARCODE[place] != "A" else "C") + BARCODE[place + 1 :]


def test_candidates_are_ordered_by_alignment_and_absent_ones_come_last():
    far = "".join(random.Random(6).choices("ACGT", k=120))
    found = aligned([far, BARCODE], [0.9, 0.8])
    np.testing.assert_array_equal(found.rows[0, :3], [1, 0, -1])
    assert found.identity[0, 0] == 1.0
    assert np.isneginf(found.score[0, 2])


def test_a_short_overlap_does_not_win_by_its_identity():
    found = aligned([BARCODE[:20], changed(60)], [0.9, 0.9])
    np.testing.assert_array_equal(found.rows[0, :2], [1, 0])


def test_of_equal_alignments_the_nearer_embedding_wins():
    found = aligned([changed(30), changed(60)], [0.8, 0.9])
    np.testing.assert_array_equal(found.rows[0, :2], [1, 0])


@pytest.mark.parametrize("is_swapped", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_identity_and_coverage_are_those_of_the_columns(seed, is_swapped):
    rng = np.random.default_rng(seed)
    inside = [
        rng.choice([base, "", rng.choice(list("ACGT")), base + "T"], p=[0.85, 0.05, 0.05, 0.05])
        for base in BARCODE[20:90]
    ]
    shorter = BARCODE[10:20] + "".join(inside) + BARCODE[90:105]  # its ends do not hang over
    query, reference = (BARCODE, shorter) if is_swapped else (shorter, BARCODE)
    inner, outer = sorted((query, reference), key=len)
    cigar = edlib.align(inner, outer, mode="HW", task="path")["cigar"]
    columns = "".join(kind * int(length) for length, kind in STEP.findall(cigar))
    found = align(query, reference)
    assert found.identity == columns.count("=") / len(columns)
    in_query = len(columns) - columns.count("I" if is_swapped else "D")
    assert found.coverage == in_query / len(query)
