import json

import numpy as np
import pytest

from barcodemae.eval.identify.judge.calibration import (
    SLOPE,
    calibration_error,
    fit_calibrator,
    make_strictly_increasing,
    reliability,
)
from barcodemae.eval.identify.judge.calibrator import Calibrator


def sample(count, seed):
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(count, 2))
    probability = 1 / (1 + np.exp(-3 * features[:, 0] ** 3))  # not logistic: isotonic is needed
    return features, generator.random(count) < probability


def test_predicted_probabilities_hold_on_new_data():
    features, is_true = sample(4000, 0)
    calibrator = fit_calibrator(features, is_true, np.ones(4000))
    features, is_true = sample(4000, 1)
    assert calibration_error(reliability(calibrator(features), is_true)) < 0.03


def test_more_evidence_gives_more_probability_within_a_step_too():
    features, is_true = sample(400, 0)
    calibrator = fit_calibrator(features, is_true, np.ones(400))
    assert np.all(np.diff(calibrator.knots) > 0)
    assert np.all(np.diff(calibrator.probabilities) > 0)
    assert len(calibrator.knots) > 4


def test_weights_move_the_base_rate():
    features, is_true = np.zeros((200, 1)), np.arange(200) < 100
    even = fit_calibrator(features, is_true, np.ones(200))
    skewed = fit_calibrator(features, is_true, np.where(is_true, 3.0, 1.0))
    assert even(np.zeros((1, 1))) == pytest.approx(0.5, abs=1e-6)
    assert skewed(np.zeros((1, 1))) == pytest.approx(0.75, abs=0.01)


def test_a_calibrator_survives_json_and_is_never_certain():
    features, is_true = sample(300, 0)
    calibrator = fit_calibrator(features, is_true, np.ones(300))
    again = Calibrator(**json.loads(json.dumps(calibrator.to_json())))
    np.testing.assert_array_equal(again(features), calibrator(features))
    assert again(features).min() > 0
    assert again(features).max() < 1


@pytest.mark.parametrize(("truth", "expected"), [(True, 51 / 52), (False, 1 / 52)])
def test_one_kind_of_example_gives_one_probability(truth, expected):
    calibrator = fit_calibrator(np.zeros((50, 1)), np.full(50, truth), np.ones(50))
    np.testing.assert_allclose(calibrator(np.ones((2, 1))), expected)


def test_without_examples_every_probability_is_zero():
    calibrator = fit_calibrator(np.zeros((0, 2)), np.zeros(0, bool), np.zeros(0))
    np.testing.assert_array_equal(calibrator(np.ones((2, 2))), [0, 0])


def test_calibration_error_is_the_weighted_distance():
    probabilities = np.array([0.95, 0.95, 0.05, 0.05])
    is_true = np.array([True, False, False, False])
    bins = reliability(probabilities, is_true)
    assert calibration_error(bins) == pytest.approx(0.5 * 0.45 + 0.5 * 0.05)
    weighted = reliability(probabilities, is_true, np.array([3.0, 1.0, 2.0, 2.0]))
    assert calibration_error(weighted) == pytest.approx(0.5 * 0.20 + 0.5 * 0.05)


def test_only_the_ratios_of_weights_matter():
    features, is_true = sample(400, 0)
    weights = np.random.default_rng(1).random(400)
    few, many = (fit_calibrator(features, is_true, scale * weights) for scale in (1e-3, 1e3))
    np.testing.assert_allclose(few(features), many(features), atol=1e-6)


def test_what_weighs_more_decides_which_evidence_counts():
    """In the first half the first feature tells the truth, in the second the second."""
    features = np.random.default_rng(2).normal(size=(800, 2))
    is_first = np.arange(800) < 400
    is_true = np.where(is_first, features[:, 0], features[:, 1]) > 0
    one, other = fit_calibrator(features, is_true, np.where(is_first, 50.0, 1.0)).weights
    assert one > 3 * other


def test_steps_rise_towards_their_neighbours_and_single_knots_stay():
    scores = np.arange(5.0)
    found = make_strictly_increasing(scores, np.array([0.1, 0.1, 0.5, 0.9, 0.9]))
    np.testing.assert_array_equal(found[0], scores)
    rise = SLOPE * 0.4
    np.testing.assert_allclose(found[1], [0.1, 0.1 + rise, 0.5, 0.9 - rise, 0.9])
