import numpy as np
import pytest
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_mutual_info_score

from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.probe import average_linkage
from barcodemae.eval.probe.average_linkage import (
    average_linkage_clusters,
    average_linkage_protocol,
    clustered_rows,
    cosine_distances,
)
from barcodemae.eval.probe.clustering import PROTOCOLS


@pytest.fixture
def clouds():
    """Five overlapping clouds of unequal size in 16 dimensions, with names."""
    generator = np.random.default_rng(0)
    codes = np.sort(generator.choice(5, size=200, p=[0.5, 0.2, 0.15, 0.1, 0.05]))
    vectors = generator.normal(size=(5, 16))[codes] + generator.normal(size=(200, 16)) / 4
    return vectors.astype(np.float32), [f"taxon{code}" for code in codes]


def test_clusters_equal_those_of_scikit_learn(clouds):
    vectors, labels = clouds
    ours = average_linkage_clusters(vectors, labels, PROTOCOLS["barcodemae"])
    other = AgglomerativeClustering(5, metric="cosine", linkage="average").fit_predict(vectors)
    assert len(np.unique(ours)) == 5
    assert adjusted_mutual_info_score(ours, other) == pytest.approx(1)


def test_lengths_of_vectors_do_not_matter(clouds):
    vectors, labels = clouds
    scaled = vectors * np.random.default_rng(1).uniform(0.1, 10, (200, 1)).astype(np.float32)
    first, second = (
        average_linkage_clusters(some, labels, PROTOCOLS["barcodemae"])
        for some in (vectors, scaled)
    )
    assert adjusted_mutual_info_score(first, second) == pytest.approx(1)


def test_equal_barcodes_still_give_the_number_of_clusters_asked_for(clouds):
    vectors = np.repeat(clouds[0][:60], 2, axis=0)
    labels = [f"taxon{row % 70}" for row in range(120)]
    clusters = average_linkage_clusters(vectors, labels, PROTOCOLS["barcodemae"])
    assert len(np.unique(clusters)) == 70


def test_distances_are_never_negative(clouds):
    vectors = np.repeat(clouds[0][:30], 3, axis=0)
    assert cosine_distances(vectors).min() == 0


def test_more_rows_than_memory_allows_are_a_subset_that_is_the_same_for_all(monkeypatch):
    monkeypatch.setattr(average_linkage, "MAX_ROWS", 10)
    rows = clustered_rows(25)
    assert len(set(rows)) == 10
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(rows, clustered_rows(25))
    np.testing.assert_array_equal(clustered_rows(9), np.arange(9))


def test_the_record_says_that_there_is_no_umap_in_it():
    protocol = average_linkage_protocol(PROTOCOLS["barcodemae"])
    assert (protocol["distance"], protocol["linkage"]) == ("cosine", "average")
    assert not any("umap" in name or "neighbors" in name for name in protocol)


def test_meaningless_data_are_refused_as_by_the_other_protocol(clouds):
    vectors, labels = clouds
    with pytest.raises(DataError, match="at least 53 rows"):
        average_linkage_clusters(vectors[:20], labels[:20], PROTOCOLS["barcodemae"])
    with pytest.raises(SettingsError, match="cannot form 3479 clusters"):
        average_linkage_clusters(vectors, labels, PROTOCOLS["barcodebert"])
