"""Simulated barcodes: canonical columns, correct partitions, natural distances."""

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.neighbors import KNeighborsClassifier

from barcodemae.dataset import COLUMNS, SPLITS, read_splits
from barcodemae.errors import SettingsError
from barcodemae.training.data.simulate import STOP_CODONS, simulate_barcodes, write_simulated


@pytest.fixture(scope="module")
def table():
    return simulate_barcodes(240, 6, seed=7)


@pytest.fixture(scope="module")
def rows(table):
    return table.to_pylist()


@pytest.fixture(scope="module")
def letters(rows):
    return np.array([list(row["dna_barcode"].encode()) for row in rows])  # (barcodes, bp)


def same(rows, column):
    values = np.array([row[column] for row in rows])
    return values[:, None] == values[None, :]


def test_the_table_has_the_canonical_text_columns_and_unique_distinct_barcodes(table):
    assert tuple(table.column_names) == COLUMNS
    assert set(table.schema.types) == {pa.string()}
    for column in ("processid", "dna_barcode"):
        assert len(set(table[column].to_pylist())) == table.num_rows
    assert {len(barcode) for barcode in table["dna_barcode"].to_pylist()} == {658}
    assert set("".join(table["dna_barcode"].to_pylist())) == set("ACGT")


def test_equal_seeds_give_equal_tables_and_other_seeds_do_not():
    first, again, other = (simulate_barcodes(48, 4, seed=seed) for seed in (3, 3, 4))
    assert first.equals(again)
    assert not first.equals(other)


@pytest.mark.parametrize("seed", range(6))
def test_even_the_smallest_simulation_fills_every_partition(seed):
    assert set(simulate_barcodes(48, 4, seed=seed)["split"].to_pylist()) == set(SPLITS)


def test_partitions_hold_what_their_names_say(rows):
    bins, genera = defaultdict(set), defaultdict(set)
    for row in rows:
        bins[row["split"]].add(row["dna_bin"])
        genera[row["split"]].add(row["genus"])
    unseen = ("val_unseen", "test_unseen")
    for split in unseen:
        assert genera[split] <= genera["train"]
    assert bins["val"] | bins["test"] <= bins["train"]
    assert bins["key_unseen"] <= bins["val_unseen"] | bins["test_unseen"]
    groups = [bins["train"], bins["pretrain"], bins["other_heldout"], *(bins[s] for s in unseen)]
    assert len(set().union(*groups)) == sum(len(group) for group in groups)
    elsewhere = set().union(*(genera[split] for split in genera if split != "other_heldout"))
    assert genera["other_heldout"].isdisjoint(elsewhere)


def test_only_pretraining_rows_lack_a_species_name(rows):
    for row in rows:
        assert (row["species"] is None) == (row["split"] == "pretrain")
        assert row["genus"] is not None


def test_taxa_are_nested(rows):
    for lower, upper in (("dna_bin", "genus"), ("genus", "family"), ("family", "order")):
        parents = defaultdict(set)
        for row in rows:
            parents[row[lower]].add(row[upper])
        assert {len(found) for found in parents.values()} == {1}


def test_distances_grow_with_taxonomic_rank_as_in_nature(rows, letters):
    distance = np.stack([(letters != barcode).mean(axis=1) for barcode in letters])
    distance[np.tril_indices_from(distance)] = np.nan  # each pair once
    species, genus, family = (same(rows, name) for name in ("dna_bin", "genus", "family"))
    within_species = distance[species]
    congeners = distance[genus & ~species]
    between_genera = distance[family & ~genus]
    assert 0.003 < np.nanmedian(within_species) < 0.01
    low, middle, high = np.nanquantile(congeners, (0.1, 0.5, 0.9))
    assert 0.05 < low < middle < high < 0.12
    assert 0.12 < np.nanmedian(between_genera) < 0.18
    assert np.nanquantile(between_genera, 0.9) < 0.18
    assert np.nanmedian(distance[~family]) > np.nanmedian(between_genera)


def test_codon_positions_have_the_composition_and_rates_of_coi(letters):
    third, first, second = (letters[:, offset::3] for offset in range(3))
    at_rich = np.isin(third, list(b"AT")).mean()
    assert at_rich > 0.8
    assert at_rich > max(np.isin(other, list(b"AT")).mean() for other in (first, second)) + 0.1

    def variable(part):
        return (part != part[0]).any(axis=0).mean()

    assert variable(third) > variable(first) > variable(second)


def test_the_reading_frame_has_no_stop_codon(rows):
    for row in rows:
        codons = [row["dna_barcode"][start : start + 3] for start in range(1, 656, 3)]
        assert set(codons).isdisjoint(stop.decode() for stop in STOP_CODONS)


def test_the_genus_of_unseen_species_is_learnable_but_not_trivial_for_kmer_counts(rows):
    train = [row for row in rows if row["split"] == "train"]
    queries = [row for row in rows if row["split"] in ("val_unseen", "test_unseen")]
    counter = CountVectorizer(analyzer="char", ngram_range=(6, 6), lowercase=False)
    references = counter.fit_transform([row["dna_barcode"] for row in train])
    probe = KNeighborsClassifier(n_neighbors=1, metric="cosine")
    probe.fit(references, [row["genus"] for row in train])
    found = probe.predict(counter.transform([row["dna_barcode"] for row in queries]))
    accuracy = np.mean(found == np.array([row["genus"] for row in queries]))
    assert 0.6 < accuracy < 0.99


def test_any_length_is_simulated():
    barcodes = simulate_barcodes(48, 4, length_bp=313)["dna_barcode"].to_pylist()
    assert {len(barcode) for barcode in barcodes} == {313}


def test_the_taxon_size_sets_the_number_of_genera():
    few, many = (
        simulate_barcodes(96, 4, taxon_size=size, seed=2)["genus"].unique() for size in (12, 3)
    )
    assert len(few) == 8
    assert len(many) == 32


def test_a_written_simulation_is_a_data_set_with_nothing_else_in_its_folder(tmp_path):
    directory = write_simulated(tmp_path / "new" / "data", 48, 4, seed=1)
    assert [file.name for file in directory.iterdir()] == ["simulated.parquet"]
    assert read_splits(directory, SPLITS).equals(simulate_barcodes(48, 4, seed=1))


@pytest.mark.parametrize(
    ("changed", "value"),
    [
        ("num_species", 47),
        ("barcodes_per_species", 3),
        ("taxon_size", 1),
        ("taxon_size", 7),
        ("length_bp", 99),
    ],
)
def test_impossible_sizes_are_refused_by_name(changed, value):
    sizes = {"num_species": 48, "barcodes_per_species": 4, changed: value}
    with pytest.raises(SettingsError, match=changed):
        simulate_barcodes(**sizes)
