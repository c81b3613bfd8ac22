"""Probabilities follow the stored weights, and nothing far out leads beyond what was taught."""

import numpy as np

from barcodemae.eval.audit.chimeras import CHIMERA_FEATURES
from barcodemae.eval.audit.labels import FEATURES, LABEL_RANKS
from barcodemae.eval.audit.letters import LETTER_FEATURES, NUMT_FEATURES
from barcodemae.eval.audit.odds import Odds, expanded, load_odds


def test_the_stored_models_know_the_features_that_are_gathered():
    expected = dict.fromkeys(LABEL_RANKS, FEATURES)
    expected |= {"chimera": CHIMERA_FEATURES}
    expected |= {"numt_like": NUMT_FEATURES, "foreign": LETTER_FEATURES}
    for question, model in load_odds().items():
        assert tuple(model.features) == expected[question]
        assert len(model.weights) == expanded(np.zeros((1, len(model.features)))).shape[1]
    assert {"species", "genus", "family", "chimera", "numt_like", "foreign"} <= set(load_odds())


def test_a_logistic_model_gives_the_share_it_was_written_for():
    model = Odds(["x"], [1.0], [2.0], [1.0, 0.0], 0.0)
    np.testing.assert_allclose(
        model.probability(np.array([[1.0], [3.0]])), [0.5, 0.731059], atol=1e-5
    )


def test_values_farther_out_than_any_fault_count_as_the_farthest():
    model = Odds(["x"], [0.0], [1.0], [1.0, 0.0], 0.0)
    near, far = model.probability(np.array([[4.0], [400.0]]))
    assert near == far
