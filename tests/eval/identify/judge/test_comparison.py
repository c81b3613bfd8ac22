import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.eval.identify.judge.alignment import Alignment, align
from barcodemae.eval.identify.judge.comparison import (
    NO_BASE,
    code_letters,
    compare_by_alignment,
    compare_in_frame,
    conserved_sites,
    merge,
    nearest_of_each_species,
)
from barcodemae.eval.identify.judge.placing import PlacedLetters
from barcodemae.eval.search.reference_search import Neighborhood


BARCODE = "ATGGCTATTACTGGA"
W = len(BARCODE)
FIRST_TWO = np.arange(W) % 3 != 2


def changed(*places):
    """The barcode with some letters exchanged, each for its transition (A-G, C-T)."""
    other = dict(zip("AGCT", "GATC", strict=True))
    return "".join(other[base] if n in places else base for n, base in enumerate(BARCODE))


def frame(query, references, cosines=None, site=0):
    queries = code_letters([PlacedLetters(query, site=site)], W)
    theirs = code_letters([PlacedLetters(text) for text in references], W)
    cosines = [0.9] * len(references) if cosines is None else cosines
    near = Neighborhood(np.arange(len(references))[None], np.array([cosines]))
    return compare_in_frame(queries, theirs, FIRST_TWO, near)


def test_letters_are_written_at_their_sites():
    codes = code_letters([PlacedLetters("ACNT", site=2)], 7)
    assert codes.tolist() == [[NO_BASE, NO_BASE, 0, 1, NO_BASE, 3, NO_BASE]]


def test_identity_in_a_frame_is_that_of_the_sites():
    found = frame(BARCODE, [changed(1, 5, 8), changed(3)])
    assert found.rows.tolist() == [[1, 0]]
    np.testing.assert_allclose(found.identity, [[1 - 1 / W, 1 - 3 / W]])
    np.testing.assert_allclose(found.conserved, [[1 / 10, 1 / 10]])
    assert (found.transversions == 0).all()


def test_unknown_letters_are_neither_equal_nor_different():
    found = frame("N" + BARCODE[1:7] + "NN" + BARCODE[9:], [changed(7)])
    assert found.identity[0, 0] == 1.0
    assert found.coverage[0, 0] == 1.0
    found = frame(BARCODE, [BARCODE[:9] + "N" * 6])
    assert (found.identity[0, 0], found.coverage[0, 0]) == (1.0, 9 / W)


def test_a_fragment_is_compared_at_its_own_sites():
    found = frame(BARCODE[6:], [BARCODE], site=6)
    assert (found.identity[0, 0], found.coverage[0, 0]) == (1.0, 1.0)
    assert frame(BARCODE[6:], [BARCODE]).identity[0, 0] < 1


def test_a_reference_without_a_common_letter_is_not_like_the_query():
    found = frame("ATG" + "N" * 12, ["N" * 12 + "GGA", BARCODE])
    assert found.rows[0].tolist() == [1, 0]
    assert found.identity[0, 1] == 0.0


def test_a_short_overlap_does_not_win_by_its_identity():
    assert frame(BARCODE, [BARCODE[:3] + "N" * 12, changed(4)]).rows[0, 0] == 1


def test_of_equal_identities_the_nearer_embedding_wins():
    assert frame(BARCODE, [changed(3), changed(4)], [0.8, 0.9]).rows[0].tolist() == [1, 0]


def test_transversions_are_told_from_transitions():
    assert frame("A", ["C"]).transversions[0, 0] == 1.0
    assert frame("A", ["G"]).transversions[0, 0] == 0.0
    assert frame("C", ["T"]).transversions[0, 0] == 0.0


@given(st.integers(0, 200), st.integers(1, 5))
def test_the_block_of_queries_changes_nothing(seed, block):
    generator = np.random.default_rng(seed)
    queries, references = (generator.integers(0, 5, (n, W)).astype(np.uint8) for n in (9, 7))
    near = Neighborhood(generator.integers(0, 7, (9, 4)), generator.random((9, 4)))
    whole = compare_in_frame(queries, references, FIRST_TWO, near)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("barcodemae.eval.identify.judge.comparison.QUERIES_PER_BLOCK", block)
        parts = compare_in_frame(queries, references, FIRST_TWO, near)
    for name in ("rows", "identity", "coverage", "score"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))


def test_padding_comes_last_and_is_not_compared():
    queries = code_letters([PlacedLetters(BARCODE)], W)
    near = Neighborhood(np.array([[-1, 0]]), np.array([[-np.inf, 0.2]]))
    found = compare_in_frame(queries, queries, FIRST_TWO, near)
    assert found.rows.tolist() == [[0, -1]]
    assert found.is_compared.tolist() == [[True, False]]
    assert found.identity[0, 1] == -1


def test_the_position_of_codons_that_varies_most_is_the_third():
    texts = [changed(), changed(1, 4, 7, 10, 13), changed(1), changed(4, 7, 0)]
    codes = code_letters([PlacedLetters(text) for text in texts], W)
    np.testing.assert_array_equal(conserved_sites(codes), np.arange(W) % 3 != 1)


def by_alignment(barcodes, species, cosines=None):
    cosines = [0.9] * len(barcodes) if cosines is None else cosines
    near = Neighborhood(np.array([[*range(len(barcodes)), -1]]), np.array([[*cosines, -np.inf]]))
    return compare_by_alignment(
        [BARCODE], near, np.array(species, np.int32), barcodes.__getitem__, align
    )


def test_aligned_neighbours_are_ordered_by_identity_and_others_come_last():
    found = by_alignment([changed(3, 4), BARCODE, changed(2)], [0, 1, 1])
    assert found.rows[0, :2].tolist() == [1, 0]
    assert found.is_compared[0].tolist() == [True, True, False, False]
    assert np.isneginf(found.score[0, 2:]).all()


def test_gaps_of_an_alignment_are_kept():
    near = Neighborhood(np.array([[0]]), np.array([[0.9]]))
    found = compare_by_alignment(
        ["ACGT"],
        near,
        np.zeros(1, np.int32),
        ["ACT"].__getitem__,
        lambda *_: Alignment(1, 1, 3),
    )
    assert found.gaps.tolist() == [[3]]


def test_some_queries_can_be_compared_otherwise():
    whole = frame(BARCODE, [changed(1), changed(2)])
    part = frame(BARCODE, [BARCODE, BARCODE])
    assert merge(whole, np.array([0]), part).identity[0, 0] == 1.0
    assert whole.identity[0, 0] < 1.0


def test_one_candidate_is_chosen_per_species_and_each_unnamed_reference_is_one():
    rows = np.array([[4, 5, 6, 7, -1]])
    species = np.array([[0, 0, -1, -1, -1]], np.int32)
    np.testing.assert_array_equal(nearest_of_each_species(rows, species, 4), [[0, 2, 3, -1]])
    np.testing.assert_array_equal(nearest_of_each_species(rows, species, 2), [[0, 2]])


@given(st.lists(st.tuples(st.integers(-1, 6), st.integers(-1, 2)), min_size=1, max_size=12))
def test_the_first_of_each_species_is_chosen_in_order(pairs):
    seen = {}
    for place, (row, name) in enumerate(pairs):
        if row >= 0:
            seen.setdefault((name, row if name == -1 else None), place)
    rows, species = (np.array([part]) for part in zip(*pairs, strict=True))
    expected = (list(seen.values()) + [-1] * 4)[:4]
    np.testing.assert_array_equal(nearest_of_each_species(rows, species, 4), [expected])
