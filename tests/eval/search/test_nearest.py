import numpy as np
import pytest
from scipy import sparse
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from barcodemae.errors import SettingsError
from barcodemae.eval.search import nearest
from barcodemae.eval.search.nearest import nearest_neighbors


def random_vectors(rows, width, seed, shift=0.0):
    vectors = np.random.default_rng(seed).normal(size=(rows, width)) + shift
    return vectors.astype(np.float32)


@pytest.mark.parametrize("shift", [0.0, 30.0], ids=["isotropic", "nearly parallel"])
def test_neighbours_equal_scikit_learn_to_the_last_query(shift):
    references, queries = random_vectors(700, 24, 0, shift), random_vectors(300, 24, 1, shift)
    labels = np.arange(700) % 60
    oracle = KNeighborsClassifier(1, metric="cosine").fit(references.astype(np.float64), labels)
    distances, rows = oracle.kneighbors(queries.astype(np.float64))
    found = nearest_neighbors(references, queries)
    np.testing.assert_array_equal(found.rows, rows[:, 0])
    np.testing.assert_array_equal(labels[found.rows], oracle.predict(queries.astype(np.float64)))
    np.testing.assert_allclose(found.similarity, 1 - distances[:, 0], atol=1e-11)


def test_ties_go_to_the_lowest_row_whatever_the_scale():
    references = random_vectors(40, 8, 0)
    copies = np.concatenate([references, references, 2 * references[::-1]])
    np.testing.assert_array_equal(nearest_neighbors(copies, references).rows, np.arange(40))


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_block_sizes_change_nothing(monkeypatch, block):
    references, queries = random_vectors(90, 16, 0, 5.0), random_vectors(50, 16, 1, 5.0)
    references[60:] = references[:30]
    expected = nearest_neighbors(references, queries)
    for name in ("QUERY_BLOCK", "REFERENCE_BLOCK", "CANDIDATE_BLOCK"):
        monkeypatch.setattr(nearest, name, block)
    found = nearest_neighbors(references, queries)
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.similarity, expected.similarity)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_changes_nothing(threads):
    # Near copies, so that a sum in another order would choose another row.
    queries = random_vectors(200, 24, 1, 30.0)
    references = np.repeat(queries, 3, axis=0) * np.float32(1 + 1e-7)
    expected = nearest_neighbors(references, queries)
    with threadpool_limits(threads):
        found = nearest_neighbors(references, queries)
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.similarity, expected.similarity)


def test_sparse_counts_give_the_same_neighbours_as_dense_ones():
    generator = np.random.default_rng(0)
    references, queries = generator.poisson(0.5, (80, 64)), generator.poisson(0.5, (30, 64))
    dense = nearest_neighbors(references, queries)
    thin = nearest_neighbors(sparse.csr_array(references), sparse.csr_array(queries))
    np.testing.assert_array_equal(thin.rows, dense.rows)


def test_a_zero_vector_is_at_distance_one_from_everything():
    found = nearest_neighbors(np.eye(3), np.zeros((1, 3)))
    assert found.rows.tolist() == [0]
    assert found.similarity.tolist() == [0.0]


def test_identical_embeddings_all_choose_the_first_row():
    same = np.ones((50, 4), np.float32)
    assert set(nearest_neighbors(same, same).rows.tolist()) == {0}


@pytest.mark.parametrize("side", ["reference", "query"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_are_refused_with_the_first_row(side, value):
    vectors = {"reference": random_vectors(5, 3, 0), "query": random_vectors(4, 3, 1)}
    vectors[side][2, 1] = value
    with pytest.raises(SettingsError, match=rf"1 of \d {side} embeddings .*row 2"):
        nearest_neighbors(vectors["reference"], vectors["query"])


def test_shapes_that_cannot_be_compared_are_refused():
    with pytest.raises(SettingsError, match="no references"):
        nearest_neighbors(np.zeros((0, 3)), np.ones((1, 3)))
    with pytest.raises(SettingsError, match="3 dimensions, queries 4"):
        nearest_neighbors(np.ones((1, 3)), np.ones((1, 4)))


def test_sums_that_differ_in_the_last_bit_are_a_tie():
    """The same numbers in another order: equal cosines with a query of ones, but for rounding."""
    numbers = random_vectors(1, 64, 3)[0]
    generator = np.random.default_rng(4)
    references = np.stack([generator.permutation(numbers) for _ in range(200)])
    exact = nearest.unit_rows(references, slice(None)) @ np.ones(64)
    assert len(set(exact.tolist())) > 1
    assert nearest_neighbors(references, np.ones((1, 64), np.float32)).rows.tolist() == [0]
