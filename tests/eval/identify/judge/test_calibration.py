import numpy as np
import pytest

from barcodemae.eval.identify.judge.calibration import (
    FARTHEST,
    MIN_EXAMPLES,
    Scale,
    calibration_error,
    fit_logistic,
    reliability,
)


def sample(count, seed):
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(count, 2))
    return features, generator.random(count) < 1 / (1 + np.exp(-3 * features[:, 0]))


def test_predicted_probabilities_hold_on_new_data():
    fitted = fit_logistic(*sample(4000, 0), np.ones(4000))
    features, is_true = sample(4000, 1)
    assert calibration_error(reliability(fitted(features), is_true)) < 0.03
    assert fitted(np.array([[2.0, 0.0]])) > 0.95
    assert fitted(np.array([[-2.0, 0.0]])) < 0.05


@pytest.mark.parametrize(("num_true", "is_constant"), [(MIN_EXAMPLES - 1, True), (20, False)])
def test_with_few_examples_of_one_outcome_every_query_gets_the_same(num_true, is_constant):
    features = np.linspace(1, -1, 200)[:, None]
    fitted = fit_logistic(features, np.arange(200) < num_true, np.ones(200))
    found = fitted(np.array([[-1.0], [1.0]]))
    assert (found[0] == found[1]) == is_constant


@pytest.mark.parametrize(("truth", "expected"), [(True, 51 / 52), (False, 1 / 52)])
def test_one_kind_of_example_is_never_quite_certain(truth, expected):
    fitted = fit_logistic(np.zeros((50, 1)), np.full(50, truth), np.ones(50))
    np.testing.assert_allclose(fitted(np.ones((2, 1))), expected, rtol=1e-5)


def test_without_examples_nothing_is_believed_or_denied():
    fitted = fit_logistic(np.zeros((0, 2)), np.zeros(0, bool), np.zeros(0))
    np.testing.assert_allclose(fitted(np.ones((2, 2))), 0.5)


def test_weights_move_the_base_rate():
    features, is_true = np.zeros((200, 1)), np.arange(200) < 100
    fitted = fit_logistic(features, is_true, np.where(is_true, 3.0, 1.0))
    np.testing.assert_allclose(fitted(np.zeros((1, 1))), 0.75, atol=0.01)


def test_only_the_ratios_of_weights_matter():
    features, is_true = sample(400, 0)
    weights = np.random.default_rng(1).random(400)
    few, many = (fit_logistic(features, is_true, scale * weights) for scale in (1e-3, 1e3))
    np.testing.assert_allclose(few(features), many(features), atol=1e-4)


def test_the_probability_of_a_query_does_not_depend_on_the_others():
    features, is_true = sample(500, 0)
    fitted = fit_logistic(features, is_true, np.ones(500))
    alone = np.concatenate([fitted(features[row : row + 1]) for row in range(500)])
    np.testing.assert_array_equal(fitted(features), alone)


def test_what_could_not_be_measured_counts_as_average_and_outliers_as_no_farther():
    scale = Scale.of(np.array([[1.0, np.nan, 5.0], [3.0, 7.0, 5.0]]))
    np.testing.assert_allclose(scale.mean, [2, 7, 5])
    found = scale(np.array([[np.nan, 7.0, 5.0], [1e9, 7.0, 5.0]]))
    np.testing.assert_allclose(found, [[0, 0, 0], [FARTHEST, 0, 0]])


def test_calibration_error_is_the_weighted_distance():
    probabilities = np.array([0.95, 0.95, 0.05, 0.05])
    is_true = np.array([True, False, False, False])
    bins = reliability(probabilities, is_true)
    assert calibration_error(bins) == pytest.approx(0.5 * 0.45 + 0.5 * 0.05)
    weighted = reliability(probabilities, is_true, np.array([3.0, 1.0, 2.0, 2.0]))
    assert calibration_error(weighted) == pytest.approx(0.5 * 0.20 + 0.5 * 0.05)
