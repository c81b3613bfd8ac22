"""Worlds of the open-world benchmark: draws, changes, what is no barcode, twins, scores."""

import re
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import edlib
import numpy as np
import pyarrow as pa
import pytest

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.scores import Predictions, Truth


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from queries import Queries
from worlds.changes import ERRORS, GAPS, LENGTHS, indels, joined, substitutions, unknown_bases
from worlds.draws import draw_foreign, draw_orders, draw_rows, draw_taxa, take_in_turn, without_taxa
from worlds.not_coi import NOT_COI, shuffled_pairs
from worlds.parts import change, nameless, together
from worlds.scoring import (
    at_threshold,
    curve,
    levels_of,
    named_by_taxon,
    novelty_auroc,
    score,
)
from worlds.ties import UNDECIDED, undecided, with_twins


GENUS, SPECIES = RANKS.index("genus"), RANKS.index("species")
GENERATOR_SEED = 1


def generator():
    return np.random.default_rng(GENERATOR_SEED)


def barcode(length=658):
    return "".join(np.random.default_rng(7).choice(list("AACGTTT"), length))


def queries_of(genera):
    count = len(genera)
    names = [[None] * count for _ in RANKS]
    names[GENUS] = list(genera)
    names[SPECIES] = [f"{genus} alba" for genus in genera]
    return Queries([f"q{row}" for row in range(count)], [barcode()] * count, names)


def test_a_third_of_the_genera_is_drawn_and_another_third_with_another_seed():
    queries = queries_of([f"G{number:02}" for number in range(30)] * 2)
    first, second = (draw_taxa(queries, "genus", seed) for seed in (0, 1))
    assert len(first) == len(second) == 10
    assert first != second
    assert first == draw_taxa(queries, "genus", 0)


def test_rows_of_drawn_taxa_leave_the_table_and_unnamed_ones_stay():
    table = pa.table({"genus": ["A", "B", None, "A"], "n": [0, 1, 2, 3]})
    assert without_taxa(table, "genus", {"A"})["n"].to_pylist() == [1, 2]


def test_a_table_without_rows_has_none_to_leave_out():
    assert without_taxa(pa.table({"genus": []}), "genus", {"A"}).num_rows == 0


def test_orders_are_drawn_without_those_that_have_no_name():
    table = pa.table({"order": ["Diptera"] * 90 + ["Odonata", "Psocodea", "Zoraptera", None]})
    drawn = draw_orders(table, 2)
    assert len(drawn) == 2
    assert drawn == draw_orders(table, 2) == sorted(drawn)
    assert draw_orders(table, 9) == ["Diptera", "Odonata", "Psocodea", "Zoraptera"]


def test_a_smaller_draw_of_rows_is_part_of_a_larger_one():
    small, large = draw_rows(100, 10), draw_rows(100, 40)
    assert set(small) <= set(large)
    assert small.tolist() == sorted(small.tolist())
    assert draw_rows(5, None).tolist() == [0, 1, 2, 3, 4]


def test_foreign_rows_are_spread_over_phyla_and_classes():
    phyla = ["Arthropoda"] * 50 + ["Chordata"] * 40 + ["Mollusca"] * 3 + [None]
    classes = [None] * 50 + ["Aves"] * 39 + ["Reptilia"] + ["Gastropoda"] * 3 + [None]
    drawn = draw_foreign(pa.table({"phylum": phyla, "class": classes}), {"Arthropoda"}, 6)
    assert Counter(drawn["phylum"].to_pylist()) == {"Chordata": 3, "Mollusca": 3}
    assert "Reptilia" in drawn["class"].to_pylist()


def test_lists_give_one_element_in_turn():
    assert take_in_turn([[1, 2, 3], [], [4]]) == [1, 4, 2, 3]


def test_shuffled_pairs_keep_every_pair_and_change_the_order():
    text = barcode()
    mixed = shuffled_pairs(text, generator())
    assert Counter(pairwise(mixed)) == Counter(pairwise(text))
    assert mixed != text


@pytest.mark.parametrize("text", ["A", "AAAA", "ACAC", "ACGTTGCANA"])
def test_pairs_of_short_and_repetitive_texts_are_kept_too(text):
    assert Counter(pairwise(shuffled_pairs(text, generator()))) == Counter(pairwise(text))


@pytest.mark.parametrize("kind", NOT_COI)
def test_what_is_no_barcode_is_dna_no_longer_than_the_barcode_and_another_sequence(kind):
    text = barcode()
    made = NOT_COI[kind](text, generator())
    assert re.fullmatch("[ACGT]{100,658}", made)
    assert made != text


def test_unknown_bases_take_the_place_of_sixty_in_the_middle():
    text = barcode()
    changed = unknown_bases("-")(text, generator())
    start = changed.index("-")
    assert changed == text[:start] + "-" * 60 + text[start + 60 :]
    assert start >= len(text) // 4
    assert len(text) - start - 60 >= len(text) // 4


def test_joined_ends_lose_the_middle_or_read_it_twice():
    text = barcode(100)
    assert joined("NN", 20)(text, generator()) == text[:40] + "NN" + text[60:]
    assert joined("NN", -20)(text, generator()) == text[:60] + "NN" + text[40:]


@pytest.mark.parametrize("share", [0.005, 0.01, 0.02, 0.04])
def test_indels_are_as_many_as_asked_for(share):
    random = generator()
    text = barcode()
    counts = [edlib.align(text, indels(share)(text, random))["editDistance"] for _ in range(60)]
    assert np.mean(counts) == pytest.approx(share * len(text), rel=0.2)


def test_half_of_the_indels_are_in_homopolymers():
    text = "ACT" * 110 + "G" * 30  # the only run
    random = generator()
    changed = [indels(0.02)(text, random) for _ in range(300)]
    counts = [read.count("G") for read in changed]
    # A base lost or gained each: their number, half of 0.02 * 360, is the variance, and a little
    # more for those anywhere.
    assert 2.5 < np.var(counts) < 6


def test_substitutions_change_letters_and_no_length():
    text = barcode()
    changed = substitutions(0.1)(text, generator())
    assert len(changed) == len(text)
    assert sum(a != b for a, b in zip(text, changed, strict=True)) == pytest.approx(66, abs=25)


def test_every_set_of_changes_has_its_unchanged_baseline():
    text = barcode()
    for changes, baseline in ((GAPS, "whole"), (ERRORS, "no errors"), (LENGTHS, "whole")):
        assert [name for name, made in changes.items() if made(text, generator()) == text] == [
            baseline
        ]


def test_a_change_keeps_the_names():
    queries = queries_of(["A", "B"])
    changed = change(queries, joined("", 100))
    assert changed.names == queries.names
    assert [len(text) for text in changed.sequences] == [558, 558]


def test_two_sets_of_queries_become_one():
    both = together(queries_of(["A"]), nameless(["ACGT"]))
    assert both.sequences == [barcode(), "ACGT"]
    assert both.names[GENUS] == ["A", "(foreign)"]


def references():
    names = [("A", "A alba"), ("A", "A alba"), ("B", "B nigra")]
    return pa.table(
        {
            "processid": ["1", "2", "3"],
            "family": ["F", "F", "F"],
            "genus": [genus for genus, _ in names],
            "species": [species for _, species in names],
            "dna_barcode": ["AC", "AG", "AT"],
        }
    )


@pytest.mark.parametrize("in_genus", [True, False])
def test_twins_have_the_letters_and_another_name_before_and_behind(in_genus):
    table = with_twins(references(), {"A alba"}, in_genus=in_genus)
    assert table["dna_barcode"].to_pylist() == ["AC", "AC", "AG", "AT", "AG"]
    assert table["processid"].to_pylist() == ["1-twin", "1", "2", "3", "2-twin"]
    genus = "A" if in_genus else "Aoides"
    assert table["genus"].to_pylist() == [genus, "A", "A", "B", genus]
    twin = table["species"].to_pylist()[0]
    assert twin.startswith(f"{genus} ")
    assert twin not in references()["species"].to_pylist()
    assert table["family"].to_pylist() == ["F"] * 5


def test_a_twin_leaves_the_species_undecided_and_in_another_genus_the_genus_too():
    queries = queries_of(["A"])
    assert undecided(queries, in_genus=True).names[GENUS:] == [["A"], [UNDECIDED]]
    assert undecided(queries, in_genus=False).names[GENUS:] == [[UNDECIDED], [UNDECIDED]]


def predictions(names, confidence, novelty=((0, 0, 0),) * 3):
    """Three queries; the same name and confidence at every rank."""
    names = np.repeat(np.array(names)[:, None], len(RANKS), axis=1)
    confidence = np.repeat(np.array(confidence, float)[:, None], len(RANKS), axis=1)
    return Predictions(names, names >= 0, confidence, np.array(novelty, float))


def truth(names):
    codes = np.repeat(np.array(names)[:, None], len(RANKS), axis=1)
    return Truth(codes, np.ones(codes.shape, bool))


def test_a_name_falls_with_the_name_above_it_but_not_with_a_missing_rank():
    found = predictions([0, 0, 0], [0.9, 0.9, 0.9])
    found.confidence[0, 3] = 0.4
    found.confidence[1, 4], found.names[1, 4] = 0.0, -1  # no subfamily
    assigned = at_threshold(found, 0.5).is_assigned
    assert assigned[0].tolist() == [True] * 3 + [False] * 4
    assert assigned[1].tolist() == [True] * 4 + [False] + [True] * 2


def test_best_hits_have_their_identity_for_a_threshold():
    found = predictions([0, 0, 0], [np.nan] * 3, [(-97.5, 0, 0), (-90, 0, 0), (0, 0, 0)])
    assert levels_of(found)[:, SPECIES].tolist() == [97.5, 90, 0]
    assert at_threshold(found, 95).is_assigned[:, SPECIES].tolist() == [True, False, False]


def test_scores_count_names_that_should_not_be_given():
    scores = score(predictions([0, 5, -1], [0.9, 0.9, 0.0]), truth([0, -1, -1]))
    assert scores["any_name"] == pytest.approx(200 / 3)
    assert scores["order_named"] == pytest.approx(200 / 3)
    assert scores["order_over_classified"] == 50
    assert scores["order_named_right"] == 100


def test_what_cannot_be_said_is_left_out():
    scores = score(predictions([0, 0, 0], [0.9] * 3), truth([-1, -1, -1]))
    assert "genus_named_right" not in scores
    assert "genus_novelty_auroc" not in scores
    assert scores["genus_over_classified"] == 100


def test_novelty_of_a_rank_is_scored_by_its_own_column():
    novelty = [(0, 0, 0.9), (0, 1, 0.1), (1, 0, 0.1)]
    found = predictions([0, 0, 0], [1, 1, 1], novelty)
    assert novelty_auroc(found, truth([-1, 0, 0]), "family") == 100
    assert novelty_auroc(found, truth([0, -1, 0]), "genus") == 100
    assert novelty_auroc(found, truth([0, 0, -1]), "species") == 100


def test_a_curve_trades_names_of_new_taxa_for_names_of_known_ones():
    points = curve(predictions([0, 5, 1], [0.9, 0.6, 0.3]), truth([0, -1, 1]), "genus")
    by_threshold = {point["threshold"]: point for point in points}
    assert by_threshold[0.2] == {"threshold": 0.2, "over": 100.0, "under": 0.0, "wrong": 0.0}
    assert by_threshold[0.5] == {"threshold": 0.5, "over": 100.0, "under": 50.0, "wrong": 0.0}
    assert by_threshold[0.95] == {"threshold": 0.95, "over": 0.0, "under": 100.0, "wrong": 0.0}


def test_each_new_taxon_counts_once_however_many_queries_it_has():
    found, of = predictions([5, 5, 5], [0.9, 0.6, 0.6]), truth([-1, -1, -1])
    found.is_assigned[2] = False
    assert named_by_taxon(found, of, "genus", ["large", "large", "small"]) == 50.0
    assert score(found, of)["genus_over_classified"] == pytest.approx(200 / 3)
    assert np.isnan(named_by_taxon(found, truth([0, 1, 2]), "genus", ["a", "b", "c"]))
