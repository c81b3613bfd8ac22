"""Partitions drawn for a source without any have the properties of BIOSCAN-5M's."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.dataset import SPLITS
from barcodemae.errors import SettingsError
from barcodemae.training.data.partitions import (
    LabelledRows,
    PartitionPlan,
    _would_empty_genus,
    make_partitions,
)


PLAN = PartitionPlan(unseen_species=0.3, heldout_genera=0.2)
SPECIES_PER_GENUS = 4


def rows_of(sizes, bins=None, num_unlabelled=5, seed=0):
    """Species i has `sizes[i]` rows; four species make a genus."""
    species = np.repeat(np.arange(len(sizes)), sizes)
    species = np.concatenate([species, np.full(num_unlabelled, -1)]).astype(np.int32)
    genus = np.where(species >= 0, species // SPECIES_PER_GENUS, -1).astype(np.int32)
    keys = np.random.default_rng(seed).integers(0, 2**63, len(species)).astype(np.uint64)
    return LabelledRows(
        species=species,
        genus=genus,
        bins=species if bins is None else np.asarray(bins, np.int32),
        keys=keys,
        species_names=[f"species {number}" for number in range(len(sizes))],
        genus_names=[f"genus {number}" for number in range(len(sizes) // SPECIES_PER_GENUS + 1)],
    )


def members(rows, codes, names, what="species"):
    wanted = [SPLITS.index(name) for name in names]
    return set(getattr(rows, what)[np.isin(codes, wanted)].tolist())


UNSEEN = ("key_unseen", "val_unseen", "test_unseen")
SEEN = ("train", "val", "test")


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.integers(0, 50))
def test_unseen_species_are_in_no_other_partition_and_their_genera_in_train(sizes, seed):
    rows = rows_of(sizes)
    plan = PartitionPlan(seed=seed, unseen_species=0.4, heldout_genera=0.2)
    codes = make_partitions(rows, plan)
    unseen = members(rows, codes, UNSEEN)
    assert not unseen & members(rows, codes, [name for name in SPLITS if name not in UNSEEN])
    assert members(rows, codes, UNSEEN, "genus") <= members(rows, codes, ["train"], "genus")
    for name in UNSEEN:  # each unseen species is in all three
        assert members(rows, codes, [name]) == unseen
    assert members(rows, codes, ("val", "test")) <= members(rows, codes, ["train"])
    heldout = members(rows, codes, ["other_heldout"], "genus")
    assert not heldout & members(rows, codes, (*SEEN, *UNSEEN), "genus")
    assert not heldout & members(rows, codes, ["pretrain"], "genus")
    assert (codes[rows.species < 0] == SPLITS.index("pretrain")).all()


def test_every_partition_gets_rows():
    codes = make_partitions(rows_of([20] * 200), PLAN)
    assert set(codes.tolist()) == set(range(len(SPLITS)))


def test_an_unseen_species_is_divided_into_thirds():
    rows = rows_of([30] * 200)
    codes = make_partitions(rows, PLAN)
    counts = [int((codes == SPLITS.index(name)).sum()) for name in UNSEEN]
    assert counts[0] == counts[1] == counts[2] > 0


def test_a_seen_species_is_divided_as_planned():
    rows = rows_of([100] * 4)
    codes = make_partitions(
        rows, PartitionPlan(unseen_species=0, heldout_genera=0, test=0.2, val=0.1, pretrain=0.5)
    )
    counts = {name: int((codes[:400] == SPLITS.index(name)).sum()) for name in SPLITS}
    assert {name: count for name, count in counts.items() if count} == {
        **{"pretrain": 140, "train": 140, "val": 40, "test": 80}
    }


def test_small_species_have_no_rows_in_test_and_val():
    codes = make_partitions(rows_of([7] * 40), PartitionPlan(unseen_species=0, heldout_genera=0))
    assert not set(codes.tolist()) & {SPLITS.index("test"), SPLITS.index("val")}


def test_seen_species_go_to_pretraining_only_where_nothing_else_does():
    few, many = rows_of([10] * 40, num_unlabelled=10), rows_of([10] * 40, num_unlabelled=400)
    labelled = slice(0, 400)
    pretrain = SPLITS.index("pretrain")
    assert (make_partitions(few, PLAN)[labelled] == pretrain).any()
    assert not (make_partitions(many, PLAN)[labelled] == pretrain).any()


def test_a_species_that_shares_a_bin_is_never_unseen():
    sizes = [10] * 40
    free = rows_of(sizes)
    bins = free.species // 2  # neighbours share
    plan = PartitionPlan(unseen_species=0.5, heldout_genera=0)
    assert members(free, make_partitions(free, plan), UNSEEN)
    shared = rows_of(sizes, bins=bins)
    assert not members(shared, make_partitions(shared, plan), UNSEEN)


def test_order_of_rows_makes_no_difference():
    rows = rows_of([9] * 60)
    order = np.random.default_rng(1).permutation(len(rows.species))
    shuffled = LabelledRows(
        **{name: getattr(rows, name)[order] for name in ("species", "genus", "bins", "keys")},
        species_names=rows.species_names,
        genus_names=rows.genus_names,
    )
    np.testing.assert_array_equal(
        make_partitions(shuffled, PLAN), make_partitions(rows, PLAN)[order]
    )


def test_the_seed_changes_the_draw_and_repeats_it():
    rows = rows_of([9] * 60)
    first = make_partitions(rows, PartitionPlan(seed=1))
    assert (first == make_partitions(rows, PartitionPlan(seed=1))).all()
    assert (first != make_partitions(rows, PartitionPlan(seed=2))).any()


def test_rows_without_any_label_all_go_to_pretraining():
    codes = make_partitions(rows_of([], num_unlabelled=4), PLAN)
    assert (codes == SPLITS.index("pretrain")).all()


@pytest.mark.parametrize("shares", [{"test": 0.5, "val": 0.4}, {"unseen_species": 2}])
def test_impossible_fractions_are_refused(shares):
    with pytest.raises(SettingsError):
        PartitionPlan(**shares)


def test_a_species_name_in_several_genera_is_never_unseen():
    rows = rows_of([10] * 40)
    plan = PartitionPlan(unseen_species=0.5, heldout_genera=0)
    split = rows.genus.copy()
    split[:400:2] = (split[:400:2] + 1) % 10  # half of each species
    both = dataclasses.replace(rows, genus=split)
    assert members(rows, make_partitions(rows, plan), UNSEEN)
    assert not members(both, make_partitions(both, plan), UNSEEN)


def test_of_every_seen_species_one_barcode_is_trained_on_whatever_the_shares():
    rows = rows_of([10] * 12, num_unlabelled=0)
    plan = PartitionPlan(unseen_species=0, heldout_genera=0, pretrain=1.0)
    trained_on = rows.species[make_partitions(rows, plan) == SPLITS.index("train")]
    assert sorted(trained_on.tolist()) == list(range(12))


def test_a_species_takes_part_in_test_from_the_fewest_barcodes_on():
    rows = rows_of([8, 7] * 20)
    plan = PartitionPlan(unseen_species=0, heldout_genera=0, min_evaluated=8)
    assert members(rows, make_partitions(rows, plan), ["test"]) == set(range(0, 40, 2))


def test_of_a_genus_that_was_drawn_whole_the_least_likely_species_is_given_back():
    is_unseen, genus = np.array([True, True, True, False, True]), np.array([0, 0, 0, 1, 1])
    luck = np.array([0.1, 0.3, 0.2, 0.9, 0.05])
    given_back = _would_empty_genus(is_unseen, genus, np.arange(5, dtype=np.int32), luck)
    assert given_back.tolist() == [False, True, False, False, False]


def test_the_seed_deals_the_barcodes_of_a_species_anew():
    rows = rows_of([100] * 4)
    seen = {"unseen_species": 0, "heldout_genera": 0}
    first, other = (make_partitions(rows, PartitionPlan(seed=seed, **seen)) for seed in (1, 2))
    assert (first[:400] != other[:400]).mean() > 0.1
