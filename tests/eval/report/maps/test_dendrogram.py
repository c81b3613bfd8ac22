import numpy as np
import pytest

from barcodemae.eval.report.maps.dendrogram import grow, mean_vectors


VECTORS = np.array([[1, 0, 0], [0.8, 0.6, 0], [0, 0, 1]], np.float32)


def test_units_join_at_one_minus_the_mean_cosine_of_their_pairs():
    tree = grow(VECTORS.astype(float))
    near, far = sorted(tree.brackets, key=lambda bracket: bracket.distance)
    assert near.distance == pytest.approx(0.2)
    assert far.distance == pytest.approx(1.0) == pytest.approx(tree.height)
    assert near.starts == (0, 0)
    assert abs(tree.leaves.index(0) - tree.leaves.index(1)) == 1
    assert set(near.places) == {float(tree.leaves.index(0)), float(tree.leaves.index(1))}


def test_the_product_of_means_is_the_mean_of_all_products():
    means = mean_vectors(VECTORS, np.array([4, 4, 2]), [4, 2])
    pairs = [float(VECTORS[row] @ VECTORS[2]) for row in (0, 1)]
    assert float(means[0] @ means[1]) == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize("number", [0, 1])
def test_nothing_joins_where_there_are_not_two(number):
    tree = grow(VECTORS[:number].astype(float))
    assert (tree.leaves, tree.brackets, tree.height) == (list(range(number)), [], 1.0)
