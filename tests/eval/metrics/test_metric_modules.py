import pytest
from sklearn.metrics import adjusted_mutual_info_score

from barcodemae.eval.probe.scores import METRIC_MODULES


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory):
    """The library with its caches in a folder of these tests."""
    import evaluate

    folder = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HF_EVALUATE_CACHE", "HF_METRICS_CACHE", "HF_MODULES_CACHE"):
            patch.setattr(evaluate.config, name, str(folder / name))
        yield evaluate


def load(evaluate, name):
    return evaluate.load(str(METRIC_MODULES / name))


@pytest.mark.parametrize("labels", [["ant", "bee", "fly"], [1, 2, 3]])
def test_modules_load_offline_and_combine(evaluate, labels):
    one, two, three = labels
    names = ["accuracy", "balanced_accuracy", "macro_f1", "ami"]
    combined = evaluate.combine([load(evaluate, name) for name in names])
    predictions, references = [one, two, two, three], [one, two, three, three]
    scores = combined.compute(predictions=predictions, references=references)
    assert set(scores) == set(names)
    assert scores["accuracy"] == 0.75
    assert scores["balanced_accuracy"] == pytest.approx((1 + 1 + 0.5) / 3)
    assert scores["macro_f1"] == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)
    assert scores["ami"] == pytest.approx(adjusted_mutual_info_score(references, predictions))


def test_harmonic_mean_module(evaluate):
    module = load(evaluate, "harmonic_mean")
    assert round(module.compute(values=[69.0, 80.3])["harmonic_mean"], 1) == 74.2
    assert module.compute(values=[0.0, 80.3])["harmonic_mean"] == 0.0
