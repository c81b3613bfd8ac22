import numpy as np
import pytest

from barcodemae.dataset import RANKS
from barcodemae.errors import SettingsError
from barcodemae.eval.identify.judge.judgement import GENUS, SPECIES
from barcodemae.eval.identify.reference.heldout import (
    SITUATIONS,
    Examples,
    LeaveOutSearch,
    Mixture,
    held_out_from_references,
    held_out_from_splits,
)
from barcodemae.eval.search.reference_search import Neighborhood


def held_out(library, data):
    return held_out_from_splits(library, data, ("val", "val_unseen"))


def test_partitions_give_known_and_new_species(library, reference_data):
    found = held_out(library, reference_data)
    assert len(found.sequences) == 40 + 20
    is_new = found.truth[:, SPECIES] < 0
    assert is_new.sum() == 20
    assert (found.truth[:, GENUS] >= 0).all()
    assert not found.is_named[:, RANKS.index("subfamily")].any()


def test_a_data_set_without_the_partitions_gives_none(library, reference_data):
    assert held_out_from_splits(library, reference_data, ("key_unseen",)) is None


@pytest.mark.parametrize(("rank", "expected"), [(None, 0), (SPECIES, 1), (GENUS, 2)])
def test_what_is_left_out_is_never_found(library, embedder, rank, expected):
    found = held_out_from_references(library, np.random.default_rng(0)).select(np.arange(30))
    leave_out = LeaveOutSearch(library, found)
    vectors = embedder.embed(found.sequences)
    examples = leave_out.search(vectors, np.arange(30), rank)
    assert set(examples.situation.tolist()) == {expected}
    rows = examples.neighborhood.rows
    assert not (rows == found.own_rows[:, None]).any()
    if rank is not None:
        taxa = library.codes[rows, rank]
        assert not (taxa == found.truth[:, rank, None])[rows >= 0].any()


def test_a_species_with_one_reference_is_new_without_itself(library):
    found = held_out_from_references(library, np.random.default_rng(0)).select(np.arange(1))
    leave_out = LeaveOutSearch(library, found)
    leave_out.counts[SPECIES][:] = 1  # as if every species had one reference
    assert leave_out.situation(found.truth, found.own_rows, None).tolist() == [1]


def test_weights_give_every_situation_its_share():
    situation = np.array([0, 0, 0, 1, 2, 2])
    nothing = Neighborhood(np.zeros((6, 1), int), np.zeros((6, 1)))
    weights = Examples(np.arange(6), situation, nothing).weights(Mixture(60, 30, 10))
    shares = np.bincount(situation, weights) / weights.sum()
    np.testing.assert_allclose(shares, [0.6, 0.3, 0.1])
    assert len(SITUATIONS) == 3


@pytest.mark.parametrize("text", ["1,2", "a,b,c", "50,50,0", ""])
def test_an_impossible_mixture_is_refused(text):
    with pytest.raises(SettingsError, match="mixture"):
        Mixture.parse(text)
    assert Mixture.parse("65,30,5") == Mixture()
