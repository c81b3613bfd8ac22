import numpy as np
import pytest
import torch

from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.probe.linear import SgdRecipe, predict_by_logistic_regression, predict_by_sgd


@pytest.fixture
def clouds():
    """Three separable clouds: training vectors and labels, query vectors and labels."""
    generator = np.random.default_rng(0)
    centers = 3 * generator.normal(size=(3, 8))
    codes, query_codes = np.arange(120) % 3, np.arange(30) % 3
    names = np.array(["ant", "bee", "fly"])
    train = centers[codes] + generator.normal(size=(120, 8))
    query = centers[query_codes] + generator.normal(size=(30, 8))
    return (
        train.astype(np.float32), names[codes].tolist(),
        query.astype(np.float32), names[query_codes].tolist(),
    )  # fmt: skip


def test_the_published_recipe_is_the_default():
    assert SgdRecipe() == SgdRecipe(
        learning_rate=0.01, momentum=0.9, weight_decay=1e-5, batch_size=1024, epochs=200
    )


def test_both_probes_learn_separable_clouds(clouds):
    train, labels, queries, truth = clouds
    assert predict_by_sgd(train, labels, queries, seed=0) == truth
    assert predict_by_logistic_regression(train, labels, queries) == (truth, True)


def test_sgd_repeats_with_a_seed_and_leaves_the_global_generator_alone(clouds):
    train, labels, queries, _ = clouds
    labels = np.random.default_rng(1).permutation(labels).tolist()  # unlearnable: seeds show
    state = torch.get_rng_state()
    first = predict_by_sgd(train, labels, queries, seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    assert predict_by_sgd(train, labels, queries, seed=0) == first
    short = SgdRecipe(epochs=1)
    runs = [predict_by_sgd(train, labels, queries, seed=s, recipe=short) for s in range(3)]
    assert len({tuple(run) for run in runs}) > 1


def test_a_logistic_regression_that_does_not_converge_says_so(clouds):
    train, labels, queries, _ = clouds
    assert predict_by_logistic_regression(train, labels, queries, max_iterations=1)[1] is False


@pytest.mark.parametrize("predict", [predict_by_logistic_regression, predict_by_sgd])
def test_one_label_and_nan_are_refused(clouds, predict):
    train, labels, queries, _ = clouds
    options = {"seed": 0} if predict is predict_by_sgd else {}
    with pytest.raises(DataError, match="all have the same label"):
        predict(train, ["ant"] * len(train), queries, **options)
    train[3, 0] = np.nan
    with pytest.raises(SettingsError, match="row 3"):
        predict(train, labels, queries, **options)
