import numpy as np
import pytest

from barcodemae.errors import SettingsError
from barcodemae.eval.embed.kmer_counts import KmerCounts
from barcodemae.eval.identify import units
from barcodemae.eval.identify.units import (
    UnitSettings,
    components,
    cosine_of_identity,
    find_units,
    single_linkage,
    write_units,
)
from barcodemae.eval.search.reference_search import unit_length


@pytest.fixture
def barcodes(rows):
    train = [row for row in rows if row["split"] == "train"]
    return [row["dna_barcode"] for row in train], [row["species"] for row in train]


@pytest.fixture
def vectors(barcodes):
    return KmerCounts(4).embed(barcodes[0])


@pytest.mark.parametrize("method", ["threshold", "ward", "hdbscan"])
def test_units_are_the_simulated_species(barcodes, vectors, method):
    sequences, species = barcodes
    units = find_units(vectors, sequences, UnitSettings(method=method, identity=96))
    assert len(units.of) == len(species)
    together = units.of[:, None] == units.of[None]
    same = np.array(species)[:, None] == np.array(species)[None]
    assert (together == same).mean() > 0.98


def test_single_linkage_by_blocks_equals_one_block(vectors, monkeypatch):
    vectors = unit_length(vectors)
    expected = single_linkage(vectors, 0.9)
    monkeypatch.setattr(units, "BLOCK", 7)
    found = single_linkage(vectors, 0.9)
    assert len(set(zip(expected, found, strict=True))) == len(set(expected)) == len(set(found))


def test_the_cosine_of_an_identity_falls_with_it(barcodes, vectors):
    sequences = barcodes[0]
    cosines = [cosine_of_identity(unit_length(vectors), sequences, i) for i in (99.9, 97, 80)]
    assert cosines[0] > cosines[1] > cosines[2]


def test_a_unit_has_its_medoid_size_and_similarity(tmp_path):
    vectors = np.array([[1, 0], [1, 0.02], [1, 0.04], [0, 1]], np.float32)
    sequences = ["ACGTACGTAC"] * 3 + ["TTTTTGGGGG"]
    units = find_units(vectors, sequences, UnitSettings(method="threshold"))
    assert units.sizes.tolist() == [3, 1]
    assert units.representatives.tolist() == [1, 3]
    exact = unit_length(vectors).astype(np.float64)
    pairs = [exact[i] @ exact[j] for i, j in ((0, 1), (0, 2), (1, 2))]
    np.testing.assert_allclose(units.similarity, [np.mean(pairs), 1.0], atol=1e-6)
    write_units(tmp_path / "u.tsv", ["a", "b", "c", "d"], units)
    lines = [line.split("\t") for line in (tmp_path / "u.tsv").read_text().splitlines()]
    assert lines[1][:4] == ["a", "U1", "3", "b"]
    assert lines[4][:4] == ["d", "U2", "1", "d"]


def test_one_barcode_is_one_unit():
    units = find_units(np.ones((1, 3), np.float32), ["ACGT"], UnitSettings())
    assert units.sizes.tolist() == [1]


def test_too_many_barcodes_for_all_pairs_are_refused_before_memory_is_used(
    vectors, barcodes, monkeypatch
):
    monkeypatch.setattr(units, "MAX_PAIRWISE", 10)
    with pytest.raises(SettingsError, match="use --method threshold"):
        find_units(vectors, barcodes[0], UnitSettings(method="ward"))


@pytest.mark.parametrize("options", [{"method": "kmeans"}, {"identity": 3.0}])
def test_impossible_settings_are_refused(options):
    with pytest.raises(SettingsError):
        UnitSettings(**options)


def test_components_join_what_is_joined_through_others():
    left, right = np.array([5, 4, 3, 8, 7]), np.array([4, 3, 2, 7, 9])
    assert components(10, left, right).tolist() == [0, 1, 2, 2, 2, 2, 6, 7, 7, 7]
    nothing = np.zeros(0, np.int64)
    assert components(3, nothing, nothing).tolist() == [0, 1, 2]
    chain = np.random.default_rng(0).permutation(1000)
    assert set(components(1000, chain[:-1], chain[1:]).tolist()) == {0}
