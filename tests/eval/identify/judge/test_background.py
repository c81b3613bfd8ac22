"""Excluded references stay beside the allowed ones, and name nothing."""

import numpy as np
import pytest

from barcodemae.eval.identify.judge import background
from barcodemae.eval.identify.judge.background import allowed_first, with_background
from barcodemae.eval.identify.judge.comparison import FIELDS, Comparison
from barcodemae.eval.search.reference_search import Neighborhood


IS_ALLOWED = np.array([True, False, False, True, True])


def neighbors(*rows):
    rows = np.array([rows])
    return Neighborhood(rows, np.where(rows < 0, -np.inf, 1 - rows / 10.0))


@pytest.fixture(autouse=True)
def one_is_enough(monkeypatch):
    monkeypatch.setattr(background, "LEAST_ALLOWED", 1)


def test_neighbors_stay_as_they_are_where_enough_may_name():
    found = with_background(neighbors(0, 3, 4), neighbors(0, 1, 3), IS_ALLOWED)
    assert found.rows.tolist() == [[0, 3, 1]]
    np.testing.assert_allclose(found.similarity, [[1.0, 0.7, 0.9]])


def test_an_allowed_reference_takes_the_place_of_the_farthest_background():
    found = with_background(neighbors(3, 4, -1), neighbors(1, 2), IS_ALLOWED)
    assert found.rows.tolist() == [[3, 1]]


def test_where_few_are_allowed_the_rest_is_background_and_then_padding():
    only = np.array([True, False, False, False, False])
    found = with_background(neighbors(0, -1, -1, -1), neighbors(0, 1, 2, -1), only)
    assert found.rows.tolist() == [[0, 1, 2, -1]]
    assert found.similarity[0, 3] == -np.inf


def test_allowed_neighbors_come_first_each_kind_by_score():
    rows = np.array([[2, 4, 1, 0, -1]])
    values = {name: np.array([[0.9, 0.8, 0.7, 0.6, -np.inf]]) for name in FIELDS} | {"rows": rows}
    compared = allowed_first(Comparison(**values), IS_ALLOWED)
    assert compared.rows.tolist() == [[4, 0, 2, 1, -1]]
    assert compared.score.tolist() == [[0.8, 0.6, 0.9, 0.7, -np.inf]]
