import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, recall_score

from barcodemae.eval.probe.scores import harmonic_mean, score_predictions


@pytest.fixture
def labels():
    generator = np.random.default_rng(0)
    true = generator.choice(list("abcdef"), 200).tolist()
    guesses = generator.choice(list("abcxyz"), 200).tolist()
    is_right = generator.random(200) < 0.6
    predicted = [t if right else g for t, g, right in zip(true, guesses, is_right, strict=True)]
    return true, predicted


def test_scores_equal_scikit_learn(labels):
    true, predicted = labels
    scores = score_predictions(true, predicted)
    recall = recall_score(true, predicted, labels=list("abcdef"), average="macro")
    f1 = f1_score(true, predicted, average="macro", zero_division=0)
    assert scores["accuracy"].value == pytest.approx(100 * accuracy_score(true, predicted))
    assert scores["balanced_accuracy"].value == pytest.approx(100 * recall)
    assert scores["macro_f1"].value == pytest.approx(100 * f1)


def test_interval_of_accuracy_has_the_binomial_width(labels):
    true, predicted = labels
    score = score_predictions(true, predicted)["accuracy"]
    share = score.value / 100
    half_width = 100 * 1.96 * np.sqrt(share * (1 - share) / len(true))
    assert score.low == pytest.approx(score.value - half_width, abs=1.2)
    assert score.high == pytest.approx(score.value + half_width, abs=1.2)


def test_no_prediction_counts_as_wrong():
    assert score_predictions(["a", "b"], ["a", None])["accuracy"].value == 50.0


def test_harmonic_mean_gives_the_published_last_column():
    for accuracy, ami, published in [(58.3, 79.3, 67.2), (65.4, 80.6, 72.2), (69.0, 80.3, 74.2)]:
        assert round(harmonic_mean([accuracy, ami]), 1) == published
    assert harmonic_mean([0.0, 80.0]) == 0.0


def test_rare_classes_do_not_pull_an_interval_away_from_its_score():
    generator = np.random.default_rng(0)
    true = [f"genus {index // 3}" for index in range(300)]  # three queries each
    predicted = [
        label if generator.random() < 0.6 else f"genus {generator.integers(100)}" for label in true
    ]
    scores = score_predictions(true, predicted)
    for score in scores.values():
        assert (score.low + score.high) / 2 == pytest.approx(score.value, abs=0.5)
    assert score_predictions(["a", "b"], ["a", "b"])["macro_f1"].high == 100.0
