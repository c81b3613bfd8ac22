import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.findings import DEFAULT_THRESHOLDS, find_depth
from barcodemae.eval.identify.judge.calibration import Logistic, Scale
from barcodemae.eval.identify.judge.judgement import (
    SPECIES,
    STEP_BELOW,
    Calibration,
    LengthClass,
    climb,
    decide,
    make_monotone,
)
from barcodemae.eval.identify.judge.ladder import DEFAULT_MIXTURE, LADDER, NUM_STEPS, Mixture


NUM_FEATURES = 3
EVEN = Mixture.of([1] * NUM_STEPS)
SHARES = st.lists(st.floats(1e-5, 1), min_size=NUM_STEPS, max_size=NUM_STEPS)
CHANCES = st.lists(st.floats(0, 1), min_size=len(RANKS), max_size=len(RANKS))


def constant(value):
    return Logistic(np.zeros(0), float(np.log(value / (1 - value))))


def make_class(length, value):
    """A class whose every probability is the same."""
    scale = Scale(np.zeros(NUM_FEATURES), np.ones(NUM_FEATURES))
    return LengthClass(
        length, length, scale, (constant(value),) * len(LADDER), (constant(value),) * len(RANKS)
    )


def make_calibration(values, broken=None):
    classes = tuple(make_class(length, value) for length, value in values.items())
    return Calibration(classes, broken, DEFAULT_MIXTURE, {"held_out": "val"})


def features(count):
    return np.random.default_rng(0).normal(size=(count, NUM_FEATURES))


def test_each_query_is_judged_by_the_class_of_its_length():
    judged = make_calibration({90: 0.2, 300: 0.6}).judge(features(4), [50, 90, 299, 300])
    np.testing.assert_allclose(judged.is_right[:, 0], [0.2, 0.2, 0.2, 0.6])


def test_a_read_that_lost_bases_is_judged_by_a_class_of_its_own():
    calibration = make_calibration({90: 0.2}, make_class(90, 0.9))
    judged = calibration.judge(features(2), [100, 100], np.array([False, True]))
    np.testing.assert_allclose(judged.is_right[:, 0], [0.2, 0.9])
    without = make_calibration({90: 0.2})
    judged = without.judge(features(2), [100, 100], np.array([False, True]))
    np.testing.assert_allclose(judged.is_right[:, 0], 0.2)


def test_under_the_assumed_mixture_the_steps_are_those_that_were_fitted():
    judged = make_calibration({90: 0.7}).judge(features(1), [100])
    steps = judged.likelihoods * np.array(DEFAULT_MIXTURE.shares)
    np.testing.assert_allclose(steps[0], climb(np.full((1, len(LADDER)), 0.7))[0])


def test_climbing_gives_one_distribution():
    steps = climb(np.array([[0.9, 0.5, 1.0, 1.0, 1.0, 0.25]]))
    np.testing.assert_allclose(steps, [[0.1, 0.45, 0, 0, 0, 0.3375, 0.1125]])


@given(SHARES, CHANCES, SHARES, st.sets(st.integers(0, len(RANKS) - 1)))
def test_a_name_and_its_novelty_never_exceed_one_together(shares, chances, mixture, unknown):
    winners = np.zeros((1, len(RANKS)), np.int64)
    winners[0, list(unknown)] = -1
    verdict = decide(np.array([shares]), np.array([chances]), winners, Mixture.of(mixture))
    names, novelty = verdict.names[0], verdict.novelty[0]
    assert np.isnan(names).nonzero()[0].tolist() == sorted(unknown)
    known = ~np.isnan(names)
    total = names[known] + novelty[STEP_BELOW][known]
    assert (total <= 1 + 1e-9).all()
    assert (np.diff(names[known]) <= 1e-12).all()  # a right species has a right genus
    assert (np.diff(novelty) >= -1e-12).all()  # a new genus has a new species
    assert ((names[known] >= 0) & (names[known] <= 1)).all()


@given(SHARES, CHANCES, st.floats(0, 1))
def test_a_name_and_a_new_taxon_of_its_rank_never_stand_together(shares, chances, threshold):
    winners = np.zeros((1, len(RANKS)), np.int64)
    verdict = decide(np.array([shares]), np.array([chances]), winners, EVEN)
    thresholds = dict.fromkeys(RANKS, threshold)
    depth = find_depth(verdict.names[0], verdict.novelty[0], thresholds)
    for rank in RANKS[:depth]:
        if rank in LADDER:
            assert verdict.novelty[0][LADDER.index(rank)] < 0.5


def test_what_is_of_a_new_phylum_has_no_likely_name():
    likelihoods = np.full((1, NUM_STEPS), 1e-6)
    likelihoods[0, 0] = 1.0
    winners = np.zeros((1, len(RANKS)), np.int64)
    verdict = decide(likelihoods, np.ones((1, len(RANKS))), winners, EVEN)
    assert verdict.names.max() < 1e-4
    assert verdict.novelty.min() > 0.9999
    assert find_depth(verdict.names[0], verdict.novelty[0], DEFAULT_THRESHOLDS) == 0


def test_probabilities_never_rise_towards_the_species():
    found = make_monotone(np.array([[0.5, np.nan, 0.9, 0.4]]))
    np.testing.assert_array_equal(found, [[0.9, np.nan, 0.9, 0.4]])


def test_a_subfamily_is_new_only_with_its_family():
    assert [RANKS[rank] for rank in range(len(RANKS)) if STEP_BELOW[rank] == 3] == [
        "family",
        "subfamily",
    ]
    assert STEP_BELOW[SPECIES] == NUM_STEPS - 2


@pytest.mark.parametrize("broken", [None, make_class(90, 0.3)])
def test_stored_and_reread_classes_give_the_same_numbers(broken):
    generator = np.random.default_rng(1)
    fitted = LengthClass(
        90,
        100,
        Scale(generator.normal(size=NUM_FEATURES), generator.random(NUM_FEATURES) + 0.1),
        tuple(Logistic(generator.normal(size=NUM_FEATURES), 0.3) for _ in LADDER),
        tuple(Logistic(generator.normal(size=NUM_FEATURES), -0.2) for _ in RANKS),
    )
    calibration = Calibration((fitted,), broken, DEFAULT_MIXTURE, {"held_out": "val"})
    again = Calibration.from_json(json.loads(json.dumps(calibration.to_json())))
    assert (again.min_length, again.full_length) == (90, 90)
    for is_broken in (np.zeros(5, bool), np.ones(5, bool)):
        one, other = (part.judge(features(5), [95] * 5, is_broken) for part in (calibration, again))
        np.testing.assert_array_equal(one.likelihoods, other.likelihoods)
        np.testing.assert_array_equal(one.is_right, other.is_right)
    assert again.to_json() == calibration.to_json()
