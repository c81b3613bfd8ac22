"""Evidence about names: who lies the other way round, and what lies beyond the nearest."""

import numpy as np

from barcodemae.eval.audit.labels import find_partners, share_beyond


KEY = np.array([0, 1, 0, 1, 2], np.int32)  # names of five records
RATIO = np.array([2.0, 1.5, 0.0, 0.0, 0.0])


def test_two_records_in_each_others_taxon_are_partners():
    others = np.array([3, 2, -1, -1, -1])  # 0 lies beside 3 of taxon 1, and 1 beside 2 of taxon 0
    found = find_partners(np.arange(5), others, KEY, RATIO)
    assert found.tolist() == [1.5, 2.0, 0, 0, 0]


def test_taxa_that_lie_beside_each_other_make_no_partners():
    others = np.array([1, 0, -1, -1, -1])
    assert not find_partners(np.arange(5), others, KEY, RATIO).any()


def test_a_record_that_is_near_its_own_is_no_partner():
    others = np.array([3, 2, -1, -1, -1])
    near_its_own = RATIO * [1, 0, 1, 1, 1]
    assert not find_partners(np.arange(5), others, KEY, near_its_own).any()


def test_where_several_are_as_near_they_say_it_themselves():
    identity = np.array([[0.998, 0.99, 0.90]], np.float32)
    is_same = np.array([[False, False, True]])
    assert share_beyond(identity, is_same, ~is_same).tolist() == [0.5]


def test_of_two_records_alike_the_right_one_is_among_its_own_beyond_the_other():
    identity = np.array([[0.998, 0.91, 0.90], [0.998, 0.91, 0.90], [0.99, 0.985, 0.98]], np.float32)
    is_same = np.array([[False, True, True], [False, False, False], [False, True, True]])
    found = share_beyond(identity, is_same, ~is_same)
    assert found[:2].tolist() == [1.0, 0.0]
    assert found[2] == 0.5  # nothing lies beyond
