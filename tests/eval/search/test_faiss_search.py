import sys

import numpy as np
import pytest

from barcodemae.errors import SettingsError
from barcodemae.eval.search import faiss_search
from barcodemae.eval.search.faiss_search import FaissSearch, build_faiss
from barcodemae.eval.search.reference_search import ExactSearch, unit_length


def random_units(count, seed, width=8):
    vectors = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return unit_length(vectors)


@pytest.mark.parametrize("flat_below", [10, 100_000])
def test_faiss_candidates_are_ordered_exactly(flat_below, monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr(faiss_search, "FLAT_BELOW", flat_below)
    monkeypatch.setattr(faiss_search, "CELLS_PER_PROBE", 1)
    references, queries = random_units(2000, 0), random_units(10, 1)
    found = FaissSearch(references, build_faiss(references)).search(queries, 3)
    exact = ExactSearch(references).search(queries, 3)
    np.testing.assert_array_equal(found.rows, exact.rows)
    np.testing.assert_array_equal(found.similarity, exact.similarity)


def test_without_faiss_its_absence_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(SettingsError, match=r"pip install 'barcodemae\[faiss\]'"):
        build_faiss(random_units(3, 0))


def test_an_index_is_asked_for_more_candidates_than_neighbours():
    references, queries = random_units(100, 0), random_units(1, 1)
    order = ExactSearch(references).search(queries, 20).rows

    class Coarse:
        """Takes the nearest reference for the sixth."""

        def search(self, queries, count):
            return None, np.roll(order[:, :6], -1, axis=1)[:, :count]

    found = FaissSearch(references, Coarse()).search(queries, 5)
    np.testing.assert_array_equal(found.rows, order[:, :5])
