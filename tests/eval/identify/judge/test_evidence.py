import numpy as np
import pytest

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.judge.comparison import Comparison
from barcodemae.eval.identify.judge.evidence import (
    TaxonSizes,
    choose_lineage,
    gather_evidence,
    log_distance,
    weighted_share,
)


FAMILY, GENUS, SPECIES = (RANKS.index(rank) for rank in ("family", "genus", "species"))
T = len(RANKS)
# References of two genera of one family: two species, then one.
CODES = np.array([[0, 0, 0, 0, -1, 0, 0], [0, 0, 0, 0, -1, 0, 1], [0, 0, 0, 0, -1, 1, 2]], np.int32)
VECTORS = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
NONE = -np.inf


def compare(rows, identity, cosine):
    """Comparison of one query whose letters were all compared."""
    rows, identity, cosine = (np.array([part]) for part in (rows, identity, cosine))
    nothing = np.zeros(rows.shape)
    score = np.where(identity >= 0, identity, NONE)
    return Comparison(rows, cosine, identity, nothing + 1, nothing, nothing, nothing, score)


def gather(compared, codes=CODES):
    return gather_evidence(compared, codes, VECTORS, TaxonSizes.of(codes), np.array([600]))


def test_the_best_reference_names_the_lineage():
    np.testing.assert_array_equal(choose_lineage(CODES[None], np.ones((1, 3))), [CODES[0]])


def test_a_family_that_the_best_reference_lacks_is_not_borrowed_from_another_genus():
    codes = CODES[None].copy()
    codes[0, 0, FAMILY] = -1
    codes[0, 1:, FAMILY] = 5
    winners = choose_lineage(codes, np.ones((1, 3)))
    assert winners[0, FAMILY] == -1
    assert winners[0, [GENUS, SPECIES]].tolist() == [0, 0]


def test_a_missing_species_comes_from_the_next_best_of_the_same_genus():
    codes = CODES[None][:, [2, 0, 1]].copy()
    codes[0, 0, GENUS], codes[0, 0, SPECIES] = 0, -1
    codes[0, 1, GENUS] = 1
    assert choose_lineage(codes, np.ones((1, 3)))[0, SPECIES] == 1


def test_padding_fills_nothing():
    codes = CODES[None].copy()
    codes[0, 0, SPECIES] = -1
    winners = choose_lineage(codes, np.array([[1.0, NONE, NONE]]))
    assert winners[0, SPECIES] == -1


def test_agreement_is_the_share_of_the_winner_nearer_ones_weighted_more():
    found = gather(compare([0, 1, 2], [1.0, 0.99, 0.98], [0.9, 0.88, 0.86]))
    weights = np.exp([0, -1, -2])
    assert found.agreement[0, FAMILY] == pytest.approx(1)
    assert found.agreement[0, GENUS] == pytest.approx(weights[:2].sum() / weights.sum())
    assert found.agreement[0, SPECIES] == pytest.approx(weights[0] / weights.sum())


def test_a_farther_best_reference_is_seen_in_the_features():
    near = gather(compare([0, 1, 2], [1.0, 0.9, 0.8], [0.9, 0.8, 0.7])).features
    far = gather(compare([0, 1, 2], [0.7, 0.6, 0.5], [0.9, 0.8, 0.7])).features
    assert (near != far).any()
    assert near[0, 1] < far[0, 1]


def test_no_padding_changes_what_the_neighbours_say():
    few = gather(compare([0, 1, 2], [1.0, 0.9, 0.8], [0.9, 0.8, 0.7]))
    padded = gather(compare([0, 1, 2, -1], [1.0, 0.9, 0.8, -1.0], [0.9, 0.8, 0.7, NONE]))
    np.testing.assert_array_equal(few.winners, padded.winners)
    np.testing.assert_allclose(few.agreement, padded.agreement)


def test_a_query_gets_the_same_features_in_any_company():
    one = compare([0, 1, 2], [1.0, 0.9, 0.8], [0.9, 0.8, 0.7])
    two = compare([2, 1, 0], [0.7, 0.6, 0.5], [0.8, 0.7, 0.6])
    both = Comparison(
        *(
            np.concatenate([getattr(part, name) for part in (one, two)])
            for name in Comparison.__dataclass_fields__
        )
    )
    sizes = TaxonSizes.of(CODES)
    joined = gather_evidence(both, CODES, VECTORS, sizes, np.array([600, 600])).features
    np.testing.assert_array_equal(joined[0], gather(one).features[0])
    np.testing.assert_array_equal(joined[1], gather(two).features[0])


def test_a_lonely_reference_gives_finite_numbers_or_none():
    found = gather(compare([0, -1], [0.5, -1.0], [0.4, NONE]))
    assert not np.isinf(found.features).any()
    assert np.isfinite(found.agreement).all()


def test_distances_of_equal_sequences_have_a_logarithm():
    assert np.isfinite(log_distance(np.array([1.0, 1.01, 0.0]))).all()
    assert np.isnan(log_distance(np.array([np.nan]))).all()


def test_neighbours_without_a_name_have_no_share():
    chosen, among = np.array([[True, False, False]]), np.array([[True, False, True]])
    found = weighted_share(np.full((1, 3), 0.9), 0.1, chosen, among)
    np.testing.assert_allclose(found, [0.5])


def test_sizes_count_references_and_parts_and_unknown_taxa_have_none():
    sizes = TaxonSizes.of(CODES)
    assert sizes.references[GENUS].tolist() == [2, 1, 0]
    assert sizes.children[GENUS].tolist() == [2, 1, 0]
    assert sizes.children[FAMILY].tolist() == [2, 0]
    assert sizes.references[SPECIES][-1] == 0
