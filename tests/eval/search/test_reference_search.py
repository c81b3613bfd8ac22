from contextlib import nullcontext

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from barcodemae.errors import SettingsError
from barcodemae.eval.embed import number_format
from barcodemae.eval.search import products, reference_search
from barcodemae.eval.search.products import bf16_products
from barcodemae.eval.search.reference_search import (
    ExactSearch,
    Task,
    unit_length,
)


pytestmark = pytest.mark.number_format


def random_units(count, seed, width=8):
    vectors = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return unit_length(vectors)


def brute_force(references, queries, num_neighbors):
    left, right = (v.astype(np.float64) for v in (queries, references))
    left, right = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (left, right))
    cosines = np.einsum("qd,rd->qr", left, right).round(12)
    order = np.lexsort((np.broadcast_to(np.arange(len(references)), cosines.shape), -cosines))
    return order[:, :num_neighbors], np.take_along_axis(cosines, order, 1)[:, :num_neighbors]


@pytest.mark.parametrize("block", [3, 7, 1000])
def test_search_equals_brute_force_whatever_the_blocks(block, monkeypatch, precision):
    monkeypatch.setattr(reference_search, "REFERENCE_BLOCK", block)
    monkeypatch.setattr(reference_search, "QUERY_BLOCK", block)
    references, queries = random_units(100, 0), random_units(20, 1)
    found = ExactSearch(references).search(queries, 5)
    rows, cosines = brute_force(references, queries, 5)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_allclose(found.similarity, cosines, atol=1e-12)


def test_search_equals_brute_force_where_only_the_best_groups_are_compared(monkeypatch, precision):
    monkeypatch.setattr(reference_search, "REFERENCE_BLOCK", 700)
    references, queries = random_units(1500, 0), random_units(20, 1)
    found = ExactSearch(references).search(queries, 5)
    rows, cosines = brute_force(references, queries, 5)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_allclose(found.similarity, cosines, atol=1e-12)


def test_searches_that_share_their_products_are_those_made_one_by_one(monkeypatch, precision):
    monkeypatch.setattr(reference_search, "REFERENCE_BLOCK", 30)
    monkeypatch.setattr(reference_search, "QUERY_BLOCK", 7)
    references, queries = random_units(100, 0), random_units(20, 1)

    def excluded(rows, block):  # a query must not find every third reference, from its row on
        return (np.arange(block.start, block.stop)[None] - rows[:, None]) % 3 == 0

    some = np.array([0, 1, 6, 7, 19])
    tasks = [Task(np.arange(20)), Task(some, excluded), Task(some[:0]), Task(some[-1:])]
    found = ExactSearch(references).search_each(queries, 5, tasks)
    whole = ExactSearch(references).search(queries, 5)
    without = ExactSearch(references, excluded).search(queries, 5)
    wanted = [whole, without.select(some), whole.select(some[:0]), whole.select(some[-1:])]
    for part, alone in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(part.rows, alone.rows)
        np.testing.assert_array_equal(part.similarity, alone.similarity)
    assert not np.array_equal(found[1].rows, whole.rows[some])


@pytest.fixture(params=["exact products", "bf16 products"])
def precision(request, monkeypatch):
    """On every processor bf16 products are requested; some compute them exactly nevertheless."""
    monkeypatch.setattr(number_format, "onednn_takes_bfloat16", lambda: True)
    with bf16_products() if request.param == "bf16 products" else nullcontext():
        yield request.param


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 700))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_search_equals_brute_force_with_and_without_ties(precision, seed, limit, num_references):
    generator = np.random.default_rng(seed)
    centre = random_units(1, seed, width=32)
    near = unit_length(
        (centre + 0.02 * generator.normal(size=(num_references, 32))).astype(np.float32)
    )
    references = near[generator.integers(num_references, size=num_references)]  # some are alike
    found = ExactSearch(references).search(near[:3], limit)
    rows, cosines = brute_force(references, near[:3], limit)
    np.testing.assert_array_equal(found.rows[:, : rows.shape[1]], rows)
    np.testing.assert_allclose(found.similarity[:, : rows.shape[1]], cosines, atol=1e-12)


def test_neighbours_are_those_of_exact_products_where_factors_are_rounded(monkeypatch):
    noise = np.random.default_rng(0).normal(size=(1500, 32)).astype(np.float32)
    references = unit_length(random_units(1, 1, width=32) + 0.003 * noise)
    queries = references[:20]
    monkeypatch.setattr(number_format, "onednn_takes_bfloat16", lambda: True)

    def rounded(vectors):
        return torch.from_numpy(vectors).bfloat16().float().numpy()

    monkeypatch.setattr(
        reference_search, "dot_products", lambda left, right: rounded(left) @ rounded(right).T
    )
    with bf16_products():
        found = ExactSearch(references).search(queries, 5)
    rows, _ = brute_force(references, queries, 5)
    np.testing.assert_array_equal(found.rows, rows)


def test_cosines_that_float32_cannot_tell_apart_are_decided_exactly(precision):
    """Candidates hardly behind the last neighbour are not lost to the error of fast cosines."""
    noise = np.random.default_rng(0).normal(size=(20, 256)).astype(np.float32)
    references = unit_length(random_units(1, 1, width=256) + 1e-4 * noise)
    found = ExactSearch(references).search(references, 5)
    rows, _ = brute_force(references, references, 5)
    np.testing.assert_array_equal(found.rows, rows)


def test_more_ties_than_candidates_go_to_the_lowest_rows(monkeypatch, precision):
    monkeypatch.setattr(reference_search, "REFERENCE_BLOCK", 16)
    same = np.repeat(random_units(1, 0), 80, axis=0)
    references = np.concatenate([random_units(30, 1), same])
    found = ExactSearch(references).search(same[:1], 4)
    np.testing.assert_array_equal(found.rows, [[30, 31, 32, 33]])


@pytest.mark.parametrize("most", [0, 40])
def test_too_many_candidates_are_ranked_early(monkeypatch, precision, most):
    monkeypatch.setattr(reference_search, "REFERENCE_BLOCK", 48)
    monkeypatch.setattr(reference_search, "MAX_CANDIDATES", most)
    same = np.repeat(random_units(4, 0), 50, axis=0)
    references = np.concatenate([random_units(60, 1), same])
    found = ExactSearch(references).search(same[::20], 7)
    rows, cosines = brute_force(references, same[::20], 7)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_allclose(found.similarity, cosines, atol=1e-12)


def test_excluded_references_are_never_found(precision):
    references = random_units(10, 0)
    search = ExactSearch(references, lambda which, block: np.eye(10, dtype=bool)[which, block])
    found = search.search(references, 9)
    assert all(row not in line for row, line in enumerate(found.rows.tolist()))
    assert (found.rows >= 0).all()


def test_missing_neighbours_are_padding():
    found = ExactSearch(random_units(2, 0)).search(random_units(1, 1), 4)
    assert sorted(found.rows[0].tolist()) == [-1, -1, 0, 1]
    assert np.isneginf(found.similarity[0, 2:]).all()


def test_wrong_width_and_damaged_queries_are_refused():
    search = ExactSearch(random_units(4, 0))
    with pytest.raises(SettingsError, match="8 dimensions, queries 5"):
        search.search(random_units(1, 0, width=5), 1)
    with pytest.raises(SettingsError, match="NaN"):
        search.search(np.full((1, 8), np.nan, np.float32), 1)


@pytest.mark.parametrize("lacking", ["oneDNN", "torch"])
def test_without_onednn_or_torch_the_same_neighbours_are_found(monkeypatch, lacking):
    references, queries = random_units(100, 0), random_units(20, 1)
    usual = ExactSearch(references).search(queries, 5)
    if lacking == "torch":
        monkeypatch.setattr(products, "loaded_torch", lambda: None)
    else:
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    found = ExactSearch(references).search(queries, 5)
    np.testing.assert_array_equal(found.rows, usual.rows)
    np.testing.assert_array_equal(found.similarity, usual.similarity)


def test_sums_that_differ_in_the_last_bit_are_a_tie(precision):
    """The same numbers in another order: equal cosines with a query of ones, but for rounding."""
    generator = np.random.default_rng(4)
    numbers = generator.normal(size=64).astype(np.float32)
    references = unit_length(np.stack([generator.permutation(numbers) for _ in range(200)]))
    found = ExactSearch(references).search(np.ones((1, 64), np.float32), 5)
    np.testing.assert_array_equal(found.rows, [range(5)])
