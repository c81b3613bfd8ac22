import numpy as np
import pytest

from barcodemae.eval.identify.judge.evidence import choose_lineage, weigh


CODES = np.array([[[0, 1, 5], [0, 2, 7], [0, 1, 6]]], np.int32)  # one query, three neighbours
NONE = -np.inf


def test_the_nearest_neighbour_names_the_lineage():
    winners = choose_lineage(CODES, np.ones((1, 3), bool))
    np.testing.assert_array_equal(winners, [[0, 1, 5]])


def test_a_gap_is_filled_by_the_next_neighbour_that_fits_the_ranks_above():
    codes = CODES.copy()
    codes[0, 0, 2] = -1  # the nearest has no species; the second is of another genus
    winners = choose_lineage(codes, np.ones((1, 3), bool))
    np.testing.assert_array_equal(winners, [[0, 1, 6]])


def test_padding_names_no_lineage():
    winners = choose_lineage(CODES, np.array([[False, False, False]]))
    np.testing.assert_array_equal(winners, [[-1, -1, -1]])


def test_evidence_is_best_rival_and_weighted_share():
    scores = np.array([[0.9, 0.8, 0.7]])
    found = weigh(scores, CODES, np.array([[0, 1, 5]]), temperature=0.1)
    np.testing.assert_allclose(found.best, [[0.9, 0.9, 0.9]])
    np.testing.assert_allclose(found.rival, [[0.7, 0.8, 0.8]])  # no rival: the lowest score
    weights = np.exp([0, -1, -2])
    np.testing.assert_allclose(found.agreement[0, 1], (weights[0] + weights[2]) / weights.sum())
    np.testing.assert_allclose(found.agreement[0, 2], weights[0] / weights.sum())


def test_a_missing_neighbour_weighs_nothing():
    full = weigh(np.array([[0.9, 0.8, NONE]]), CODES, np.array([[0, 1, 5]]), 0.1)
    fewer = weigh(np.array([[0.9, 0.8]]), CODES[:, :2], np.array([[0, 1, 5]]), 0.1)
    for name in ("best", "rival", "agreement"):
        np.testing.assert_allclose(getattr(full, name), getattr(fewer, name))


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_features_are_finite_even_at_the_ends(rank):
    found = weigh(np.array([[1.01, -0.3, NONE]]), CODES, np.array([[0, 1, 5]]), 1e-4)
    assert np.isfinite(found.features(rank)).all()


def test_a_neighbour_without_a_name_in_between_still_fits_below():
    codes = np.array([[[0, 1, -1], [0, -1, 6]]], np.int32)
    winners = choose_lineage(codes, np.ones((1, 2), bool))
    np.testing.assert_array_equal(winners, [[0, 1, 6]])


def test_a_negative_score_counts_as_none():
    codes = np.array([[[0], [1]]], np.int32)
    found = weigh(np.array([[0.5, -0.3]]), codes, np.array([[0]]), temperature=0.5)
    np.testing.assert_allclose(found.rival, [[0.0]])
    np.testing.assert_allclose(found.agreement, [[1 / (1 + np.exp(-1))]])


def test_neighbours_without_a_name_have_no_share():
    codes = np.array([[[0], [-1], [1]]], np.int32)
    found = weigh(np.full((1, 3), 0.9), codes, np.array([[0]]), temperature=0.1)
    np.testing.assert_allclose(found.agreement, [[0.5]])
