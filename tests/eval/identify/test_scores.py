import numpy as np
import pytest

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.scores import (
    Predictions,
    Truth,
    score_novelty,
    score_rank,
    score_thresholds,
)


SPECIES = RANKS.index("species")


def of_species(names, given, confidence, novelty):
    shape = (len(names), len(RANKS))
    columns = [np.zeros(shape, dtype) for dtype in (np.int64, bool, float)]
    for column, values in zip(columns, (names, given, confidence), strict=True):
        column[:, SPECIES] = values
    return Predictions(*columns, np.stack([novelty, novelty], axis=1))


@pytest.fixture
def truth():
    """Four known species, one new, one without a name."""
    names, is_named = np.zeros((6, len(RANKS)), np.int64), np.ones((6, len(RANKS)), bool)
    names[:, SPECIES] = [1, 2, 3, 4, -1, -1]
    is_named[5, SPECIES] = False
    return Truth(names, is_named)


def test_scores_are_shares_by_their_definitions(truth):
    found = of_species(
        [1, 2, 9, 4, 7, 7],
        [True, False, True, True, True, True],
        [1.0, 0.5, 1.0, 1.0, 1.0, 1.0],
        np.zeros(6),
    )
    scores = score_rank(found, truth, SPECIES)
    assert scores["named_right"] == 50.0
    assert scores["named_wrong"] == 25.0
    assert scores["under_classified"] == 25.0
    assert scores["over_classified"] == 100.0
    assert scores["best_guess"] == 75.0
    assert scores["accuracy"] == 40.0  # two of five: the one without name counts nowhere
    assert scores["calibration_error"] == pytest.approx(0.8 * 0.5 + 0.2 * 0.5)


def test_assigning_no_name_to_a_new_taxon_is_right(truth):
    found = of_species([0] * 6, [False] * 6, [0.0] * 6, np.zeros(6))
    scores = score_rank(found, truth, SPECIES)
    assert scores["accuracy"] == 20.0
    assert scores["over_classified"] == 0.0


def test_novelty_is_scored_by_rank_order(truth):
    found = of_species([0] * 6, [False] * 6, [0.0] * 6, np.array([0.1, 0.2, 0.9, 0.3, 0.8, 0.99]))
    assert score_novelty(found, truth, "species") == pytest.approx(75.0)
    assert np.isnan(score_novelty(found, truth, "genus"))  # no genus is new


def test_a_method_without_confidences_has_no_calibration_error(truth):
    found = of_species([0] * 6, [False] * 6, [np.nan] * 6, np.zeros(6))
    assert np.isnan(score_rank(found, truth, SPECIES)["calibration_error"])


def test_higher_thresholds_assign_fewer_and_fewer_wrong_names(truth):
    found = of_species([1, 2, 9, 4, 7, 7], [True] * 6, [0.9, 0.6, 0.6, 0.9, 0.6, 0.9], np.zeros(6))
    found.confidence[:, :SPECIES] = 1.0
    scores = score_thresholds(found, truth, (0.5, 0.8, 0.99))
    assert scores["species_accuracy_at_0.5"] == 60.0
    assert scores["species_wrong_of_named_at_0.5"] == 40.0
    assert scores["species_accuracy_at_0.8"] == 60.0  # two given rightly, the new one withheld
    assert scores["species_wrong_of_named_at_0.8"] == 0.0
    assert np.isnan(scores["species_wrong_of_named_at_0.99"])


def test_no_name_for_what_is_new_is_not_a_right_name(truth):
    found = of_species([0, 0, 0, 0, -1, -1], [False] * 6, [0, 0, 0, 0, 0.6, 0.6], np.zeros(6))
    assert score_rank(found, truth, SPECIES)["calibration_error"] == pytest.approx(0.6 / 5)


def test_a_name_ends_above_the_first_rank_that_fails(truth):
    found = of_species([1, 2, 3, 4, 7, 7], [True] * 6, [0.9] * 6, np.zeros(6))
    found.confidence[:, :SPECIES] = 0.9
    found.confidence[:2, 0] = 0.4  # the phylum of two queries is in doubt
    assert score_thresholds(found, truth, (0.5,))["species_accuracy_at_0.5"] == 40.0


def test_a_confidence_that_reaches_the_threshold_gives_the_name(truth):
    found = of_species([1, 2, 3, 4, 7, 7], [True] * 6, [0.9] * 6, np.zeros(6))
    found.confidence[:, :SPECIES] = 0.9
    assert score_thresholds(found, truth, (0.9,))["species_accuracy_at_0.9"] == 80.0


def test_each_novelty_is_scored_by_its_own_column(truth):
    truth.names[5, SPECIES - 1] = -1
    found = of_species([0] * 6, [False] * 6, [0.0] * 6, np.arange(6.0))
    found.novelty[:, 1] *= -1
    assert score_novelty(found, truth, "genus") == 0.0
    assert score_novelty(found, truth, "species") == 100.0
