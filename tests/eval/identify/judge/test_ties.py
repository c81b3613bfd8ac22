import numpy as np
import pytest

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.judge.comparison import LETTER_CODES, NO_BASE
from barcodemae.eval.identify.judge.ties import find_tie, same_letters, tied_by_score


GENUS, SPECIES = RANKS.index("genus"), RANKS.index("species")


def lineages(species, genera=None):
    """Codes of references of one family, (K, T)."""
    codes = np.zeros((len(species), len(RANKS)), np.int32)
    codes[:, SPECIES] = species
    codes[:, GENUS] = 0 if genera is None else genera
    return codes


def tie(codes):
    return find_tie(codes, codes[0].astype(np.int64))


def codes_of(text):
    return LETTER_CODES[np.frombuffer(text.encode(), np.uint8)]


def test_two_species_with_the_same_letters_leave_the_species_open_and_the_genus_named():
    found = tie(lineages([4, 7]))
    assert found.depth == SPECIES
    assert found.is_conflict
    assert found.species == [4, 7]


def test_references_of_one_species_contradict_nothing():
    found = tie(lineages([4, 4, -1]))
    assert (found.depth, found.species, found.is_conflict) == (len(RANKS), [4], False)


@pytest.mark.parametrize(("odd", "depth"), [(1, len(RANKS)), (3, SPECIES)])
def test_a_name_that_nineteen_of_twenty_carry_stands(odd, depth):
    found = tie(lineages([9] * odd + [4] * (20 - odd)))  # the best reference carries the odd name
    assert found.depth == depth
    if depth == len(RANKS):
        assert found.winners[SPECIES] == 4
    assert found.species == [4, 9]


def test_two_genera_with_the_same_letters_leave_the_genus_open():
    assert tie(lineages([4, 7], [1, 2])).depth == GENUS


def test_equal_identity_over_equal_coverage_is_a_tie():
    identity, coverage = np.array([0.99, 0.99, 0.99, 0.98]), np.array([1.0, 1.0, 0.9, 1.0])
    assert tied_by_score(identity, coverage).tolist() == [True, True, False, False]
    assert tied_by_score(-np.ones(2), np.zeros(2)).tolist() == [False, False]


def test_letters_are_compared_inside_the_window_of_the_query_only():
    query = codes_of("NACGTN")
    references = np.stack([codes_of(t) for t in ("AACGTA", "CACGTC", "AACTTA", "AANGTA")])
    assert same_letters(query, references, NO_BASE).tolist() == [True, True, False, True]
