import numpy as np
import pytest
import torch
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_mutual_info_score

from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.probe.clustering import (
    PROTOCOLS,
    ClusteringProtocol,
    cluster,
    reduce_dimensions,
    score_clusters,
    zero_shot_clusters,
)


@pytest.fixture
def clouds():
    """Five overlapping clouds of 60 points in 16 dimensions, with names."""
    generator = np.random.default_rng(0)
    codes = np.arange(300) % 5
    centers = 2 * generator.normal(size=(5, 16))
    vectors = centers[codes] + generator.normal(size=(300, 16))
    return vectors.astype(np.float32), [f"taxon{code}" for code in codes]


def test_both_published_protocols_are_presets():
    ours, theirs = PROTOCOLS["barcodemae"], PROTOCOLS["barcodebert"]
    assert (ours.rank, ours.num_neighbors, ours.num_clusters) == ("genus", 15, None)
    assert (theirs.rank, theirs.num_neighbors, theirs.num_clusters) == ("dna_bin", 5, 3479)
    assert ours.splits == theirs.splits == ("test", "test_unseen")


def test_clusters_and_ami_equal_scikit_learn(clouds):
    vectors, labels = clouds
    clusters = cluster(vectors, 7)
    expected = AgglomerativeClustering(7, linkage="ward").fit_predict(vectors)
    np.testing.assert_array_equal(clusters, expected)
    score = score_clusters(labels, clusters)
    assert score.value == pytest.approx(100 * adjusted_mutual_info_score(labels, clusters))
    assert score.low < score.value < score.high


def test_interval_of_ami_shrinks_with_more_barcodes():
    generator = np.random.default_rng(0)
    codes = generator.integers(5, size=4000)
    clusters = np.where(generator.random(4000) < 0.7, codes, generator.integers(5, size=4000))
    small = score_clusters(codes[:400].tolist(), clusters[:400])
    large = score_clusters(codes.tolist(), clusters)
    assert large.high - large.low < 0.6 * (small.high - small.low)


def test_well_separated_taxa_are_found_and_found_again(clouds):
    vectors, labels = clouds
    protocol = ClusteringProtocol(rank="genus", num_neighbors=15, num_clusters=None)
    clusters = zero_shot_clusters(vectors, labels, protocol, seed=42)
    assert len(np.unique(clusters)) == 5
    assert score_clusters(labels, clusters).value > 80
    again = zero_shot_clusters(vectors, labels, protocol, seed=42)
    np.testing.assert_array_equal(clusters, again)


def test_layouts_depend_on_the_seed_alone(clouds):
    vectors = clouds[0][:60]
    first, again, other = (
        reduce_dimensions(vectors, num_neighbors=5, dimensions=2, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_data_on_which_the_probe_is_meaningless_are_refused(clouds):
    vectors, labels = clouds
    protocol = PROTOCOLS["barcodemae"]
    with pytest.raises(DataError, match="at least 53 rows, got 20"):
        zero_shot_clusters(vectors[:20], labels[:20], protocol, seed=0)
    with pytest.raises(DataError, match="same label"):
        zero_shot_clusters(vectors, ["a"] * 300, protocol, seed=0)
    with pytest.raises(SettingsError, match="cannot form 3479 clusters of 300 rows"):
        zero_shot_clusters(vectors, labels, PROTOCOLS["barcodebert"], seed=0)
    vectors[7, 0] = np.nan
    with pytest.raises(SettingsError, match="row 7"):
        zero_shot_clusters(vectors, labels, protocol, seed=0)


def test_the_layout_does_not_change_the_number_of_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        reduce_dimensions(
            np.random.default_rng(0).random((60, 8), dtype=np.float32),
            num_neighbors=5,
            dimensions=2,
            seed=0,
        )
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
