import numpy as np
import pytest

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.judge.judgement import GENUS, SPECIES
from barcodemae.eval.identify.judge.ladder import LADDER
from barcodemae.eval.identify.reference.heldout import (
    LeaveOutSearch,
    choose_held_out,
    held_out_from_references,
    held_out_from_splits,
)
from barcodemae.eval.search.reference_search import ExactSearch


KNOWN, NEW_SPECIES, NEW_GENUS = len(LADDER), len(LADDER) - 1, len(LADDER) - 2


@pytest.fixture
def held_out(library):
    return held_out_from_references(library)


@pytest.mark.parametrize("rank", [SPECIES, GENUS])
def test_a_taxon_that_is_left_out_is_never_found(library, held_out, rank):
    excluded = LeaveOutSearch(library).excluded(held_out, rank)
    rows = ExactSearch(library.vectors, excluded).search(held_out.vectors, 5).rows
    near = library.codes[rows][:, :, rank]
    assert not ((near == held_out.truth[:, rank, None]) & (rows >= 0)).any()


def test_a_reference_never_finds_itself(library, held_out):
    rows = LeaveOutSearch(library).search(held_out).neighborhood.rows
    assert not (rows == held_out.own_rows[:, None]).any()


def test_the_examples_of_all_ranks_are_those_of_one_search_after_the_other(library, held_out):
    leaving_out = LeaveOutSearch(library)
    as_they_are, *others = leaving_out.examples(held_out)
    alone = leaving_out.search(held_out).neighborhood
    assert np.array_equal(as_they_are.neighborhood.rows, alone.rows)
    assert np.array_equal(as_they_are.neighborhood.similarity, alone.similarity)
    assert KNOWN not in {step for part in others for step in part.step.tolist()}


def test_the_step_tells_how_far_the_rest_of_the_library_has_the_lineage(library, held_out):
    search = LeaveOutSearch(library)
    assert set(search.step(held_out, None).tolist()) == {KNOWN}
    assert set(search.step(held_out, SPECIES).tolist()) == {NEW_SPECIES}
    assert set(search.step(held_out, GENUS).tolist()) == {NEW_GENUS}


def test_barcodes_of_new_species_in_the_partitions_stand_on_their_step(
    library, reference_data, embedder
):
    found = held_out_from_splits(library, reference_data, ["val_unseen"], embedder)
    steps = LeaveOutSearch(library).step(found, None)
    assert set(steps.tolist()) == {NEW_SPECIES}
    assert held_out_from_splits(library, reference_data, ["key_unseen"], embedder) is None


def test_partitions_and_references_are_both_held_out(library, reference_data, embedder):
    found, origin = choose_held_out(library, reference_data, ["val"], embedder)
    assert origin == "val and references, left out"
    assert (found.own_rows < 0).sum() == 40
    assert (found.own_rows >= 0).sum() == len(library)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-5)


def test_no_rank_is_left_out_of_which_a_single_taxon_would_stay(library, held_out):
    """Its members would agree by necessity, and disagreement would pass for being known."""
    search = LeaveOutSearch(library)
    order = RANKS.index("order")
    for count, is_left_out in ((2, False), (3, True)):
        search.num_taxa = [count if rank == order else 1 for rank in range(len(RANKS))]
        assert (len(search.examples(held_out)) == 2) is is_left_out
