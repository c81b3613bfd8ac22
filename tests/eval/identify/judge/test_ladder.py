import numpy as np
import pytest

from barcodemae.errors import SettingsError
from barcodemae.eval.identify.judge.ladder import (
    DEFAULT_MIXTURE,
    NUM_STEPS,
    Mixture,
    estimate_mixture,
    steps_of,
)


KNOWN, NEW_SPECIES, NEW_GENUS = NUM_STEPS - 1, NUM_STEPS - 2, NUM_STEPS - 3
NEW_PHYLUM, NEW_ORDER = 0, 2


def likelihoods_of(steps, clearness=50.0):
    """Evidence that points at the step of each query, (Q, S)."""
    found = np.ones((len(steps), NUM_STEPS))
    found[np.arange(len(steps)), steps] = clearness
    return found


def test_a_sample_of_known_shares_is_estimated_near_them():
    steps = np.repeat([KNOWN, NEW_SPECIES, NEW_GENUS], [200, 1000, 800])
    found = estimate_mixture(likelihoods_of(steps), DEFAULT_MIXTURE)
    expected = {"known": 0.1, "new_species": 0.5, "new_genus": 0.4}
    assert {name: found.by_name()[name] for name in expected} == pytest.approx(expected, abs=0.03)
    assert found.origin == "estimated"


def test_one_query_leaves_the_assumed_mixture_nearly_alone():
    found = estimate_mixture(likelihoods_of([0], 1e6), DEFAULT_MIXTURE)
    np.testing.assert_allclose(found.shares, DEFAULT_MIXTURE.shares, atol=0.03)
    assert found.shares[0] > DEFAULT_MIXTURE.shares[0]


def test_no_query_says_nothing():
    assert estimate_mixture(np.zeros((0, NUM_STEPS)), DEFAULT_MIXTURE) is DEFAULT_MIXTURE


def test_the_order_of_queries_changes_no_digit():
    generator = np.random.default_rng(0)
    likelihoods = generator.gamma(0.3, size=(500, NUM_STEPS)) + 1e-9
    shuffled = likelihoods[generator.permutation(500)]
    assert estimate_mixture(likelihoods, DEFAULT_MIXTURE) == estimate_mixture(
        shuffled, DEFAULT_MIXTURE
    )


def test_a_mixture_is_written_from_the_known_species_upwards():
    found = Mixture.parse("65,30,5")
    shares = found.by_name()
    assert shares["known"] / shares["new_species"] == pytest.approx(65 / 30, rel=1e-4)
    assert shares["known"] / shares["new_genus"] == pytest.approx(65 / 5, rel=1e-3)
    assert 0 < shares["new_phylum"] < 0.01
    assert sum(found.shares) == pytest.approx(1, abs=1e-5)
    assert found.origin == "given"


@pytest.mark.parametrize(
    "text",
    ["", "1", "a,b,c", "50,50,0", "-1,2", "nan,1", "inf,1", "1,-inf", "1,2,3,4,5,6,7,8", "1,,2"],
)
def test_what_is_no_mixture_is_refused_in_words(text):
    with pytest.raises(SettingsError, match="such as 65,30,5"):
        Mixture.parse(text)


@pytest.mark.parametrize("shares", [(1.0,), (0.0, *[1 / 6] * 6), (float("nan"), *[0.1] * 6)])
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(SettingsError, match="shares above zero"):
        Mixture(shares)


@pytest.mark.parametrize("shares", [[0] * 7, [float("nan")] * 7, [float("inf")] * 7])
def test_numbers_without_a_sum_make_no_mixture(shares):
    with pytest.raises(SettingsError, match="shares above zero"):
        Mixture.of(shares)


def test_probabilities_of_steps_follow_the_mixture():
    even = Mixture.of([1] * NUM_STEPS)
    likelihoods = likelihoods_of([KNOWN], 3.0)
    steps = steps_of(likelihoods, even)
    np.testing.assert_allclose(steps.sum(axis=1), 1)
    np.testing.assert_allclose(steps[0, KNOWN], 3 / 9)
    foreign = Mixture.of([1000, *[1] * (NUM_STEPS - 1)])
    assert steps_of(likelihoods, foreign)[0, 0] > 0.98


def test_strangers_between_a_new_order_and_a_new_phylum_do_not_become_sure_of_the_order():
    """Forty-six of forty-nine worms and fish were called Insecta by a library of 240 insects."""
    found = np.full((50, NUM_STEPS), 1e-6)
    found[:, [NEW_PHYLUM, NEW_ORDER]] = 1.0, 4.0
    steps = steps_of(found, estimate_mixture(found, DEFAULT_MIXTURE))
    alone = steps_of(found, DEFAULT_MIXTURE)
    np.testing.assert_array_less(alone[:, NEW_PHYLUM] - 1e-3, steps[:, NEW_PHYLUM])
    assert steps[0, NEW_PHYLUM] > 0.2


def test_a_sample_of_clear_new_orders_still_raises_their_share():
    found = estimate_mixture(likelihoods_of(np.full(500, NEW_ORDER), 1e4), DEFAULT_MIXTURE)
    shares = found.shares
    assert shares[NEW_ORDER] > 10 * DEFAULT_MIXTURE.shares[NEW_ORDER]
    assert shares[NEW_PHYLUM] / shares[NEW_ORDER] == pytest.approx(3 / 2, rel=1e-3)


def test_known_species_are_estimated_as_if_nothing_were_kept():
    found = estimate_mixture(likelihoods_of(np.full(1000, KNOWN), 1e4), DEFAULT_MIXTURE)
    assert found.shares[KNOWN] > 0.97
