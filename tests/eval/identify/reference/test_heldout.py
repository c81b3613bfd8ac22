import numpy as np
import pytest

from barcodemae.dataset import RANKS
from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.identify.judge.judgement import GENUS, SPECIES
from barcodemae.eval.identify.reference import heldout
from barcodemae.eval.identify.reference.heldout import (
    SITUATIONS,
    Examples,
    HeldOut,
    LeaveOutSearch,
    Mixture,
    choose_held_out,
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


def with_counts(library, *, species, genus):
    """Situations in a library that has so many references of every species and every genus."""
    situations = LeaveOutSearch(
        library, held_out_from_references(library, np.random.default_rng(0))
    )
    situations.counts[SPECIES][:] = species
    situations.counts[GENUS][:] = genus
    return situations


@pytest.mark.parametrize(
    ("species", "genus", "is_reference", "left_out", "expected"),
    [
        (2, 9, True, None, "known"),
        (1, 9, True, None, "new_species"),
        (1, 1, True, None, "new_genus"),  # the only one of its genus, without itself
        (1, 1, False, None, "known"),
        (3, 9, False, SPECIES, "new_species"),
        (3, 3, False, SPECIES, "new_genus"),  # no other species in its genus
        (3, 9, False, GENUS, "new_genus"),
    ],
)
def test_a_situation_is_what_is_left_of_the_lineage(
    library, species, genus, is_reference, left_out, expected
):
    situations = with_counts(library, species=species, genus=genus)
    truth, own = situations.held_out.truth[:1], np.array([7 if is_reference else -1])
    (found,) = situations.situation(truth, own, left_out)
    assert SITUATIONS[found] == expected


def test_references_without_a_species_answer_for_one_that_the_library_lacks(library, embedder):
    """Both are written as unknown; to leave the one out is not to leave the others out."""
    library.codes[:9, SPECIES] = -1
    found = held_out_from_references(library, np.random.default_rng(0)).select(np.arange(1))
    truth = library.codes[:1].astype(np.int64)
    unknown = HeldOut([library.barcodes[0]], truth, truth >= 0, np.array([-1]), found.origin)
    examples = LeaveOutSearch(library, unknown).search(
        embedder.embed(unknown.sequences), np.arange(1), SPECIES
    )
    assert examples.neighborhood.rows[0, 0] == 0


@pytest.mark.parametrize(
    ("least", "origin"), [(60, "val+val_unseen"), (61, "references, left out")]
)
def test_too_few_held_out_barcodes_are_replaced_by_references(
    library, reference_data, embedder, monkeypatch, least, origin
):
    monkeypatch.setattr(heldout, "MIN_HELD_OUT", least)
    found = choose_held_out(library, reference_data, ("val", "val_unseen"), embedder)
    assert found.origin == origin


def test_as_many_references_as_are_needed_are_enough(
    library, reference_data, embedder, monkeypatch
):
    monkeypatch.setattr(heldout, "MIN_HELD_OUT", 120)
    assert len(choose_held_out(library, reference_data, (), embedder).sequences) == 120
    monkeypatch.setattr(heldout, "MIN_HELD_OUT", 121)
    with pytest.raises(DataError, match=r"only 120 barcodes .* 121 are needed"):
        choose_held_out(library, reference_data, (), embedder)
