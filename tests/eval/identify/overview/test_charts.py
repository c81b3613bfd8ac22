from collections import Counter

import pytest

from barcodemae.eval.identify.overview.charts import (
    OUTCOME_COLORS,
    composition_chart,
    histogram,
    name_tree,
    outcome_chart,
    rank_chart,
)
from barcodemae.eval.identify.overview.tally import Counts
from barcodemae.eval.identify.summary import NO_BARCODE, REJECTED


def counts_of(lineages, outcomes=(), novel=()):
    return Counts(
        outcomes=Counter(dict(outcomes)),
        lineages=Counter({tuple(lineage): number for lineage, number in lineages}),
        novel=Counter(dict(novel)),
    )


FLY = (("phylum", "Arthropoda"), ("order", "Diptera"))
BEETLE = (("phylum", "Arthropoda"), ("order", "Coleoptera"), ("species", "Coccinella x"))


def test_the_parts_of_a_bar_are_the_shares_of_its_total():
    chart = outcome_chart({"a": counts_of([], {"species": 3, REJECTED: 1})})
    assert [(part.name, part.share) for part in chart.bars[0].segments] == [
        ("species", 75.0),
        (REJECTED, 25.0),
    ]
    assert set(chart.colors) == {"species", REJECTED} < set(OUTCOME_COLORS)


def test_a_composition_counts_what_has_no_name_at_the_rank():
    samples = {"a": counts_of([(FLY, 2), (BEETLE, 1), ((), 1)], {REJECTED: 4})}
    (bar,) = composition_chart(samples, "order").bars
    assert {part.name: part.number for part in bar.segments} == {
        "Diptera": 2,
        "Coleoptera": 1,
        "not named": 5,
    }
    assert composition_chart(samples, "phylum") is None  # one taxon is no composition


def test_rare_taxa_share_a_colour():
    taxa = [((("order", f"O{number}"),), 100 - number) for number in range(15)]
    chart = composition_chart({"a": counts_of(taxa)}, "order")
    parts = {part.name: part.number for part in chart.bars[0].segments}
    assert len(parts) == 11
    assert parts["others"] == sum(100 - number for number in range(10, 15))


def test_at_every_rank_a_record_is_named_new_undecided_or_no_barcode():
    counts = counts_of(
        [(FLY, 3), (BEETLE, 1), ((), 2)],
        {"order": 3, "species": 1, "no name": 1, NO_BARCODE: 1},
        {"genus": 2},
    )
    by_rank = {
        bar.label: {part.name: part.number for part in bar.segments}
        for bar in rank_chart(counts).bars
    }
    assert by_rank["species"] == {
        "named": 1,
        "probably new to the library": 2,  # what is of a new genus is of a new species too
        "undecided": 2,
        "not a barcode or rejected": 1,
    }
    assert by_rank["order"] == {"named": 4, "undecided": 1, "not a barcode or rejected": 1}


def test_a_histogram_reaches_from_the_lowest_value_to_the_top():
    chart = histogram("identity", {"species": Counter({999: 4}), "order": Counter({900: 1})})
    assert chart.low == pytest.approx(90)
    assert chart.highest == 4
    assert chart.columns[0][0] == "90-90.5 %"
    assert chart.columns[-1][0] == "99.5-100 %"
    assert [part.name for _, parts in chart.columns for part in parts] == [
        "above the genus",
        "to the species",
    ]
    assert histogram("identity", {}) is None


def test_wide_ranges_are_drawn_in_few_columns():
    assert len(histogram("p", {"species": Counter({3: 1, 999: 1})}).columns) == 50


def test_the_tree_bridges_ranks_without_a_name_and_adds_up():
    tree = name_tree(counts_of([(FLY, 2), (BEETLE, 1), ((), 5)]).lineages)
    assert tree["count"] == 3
    (phylum,) = tree["children"]
    (unnamed_class,) = phylum["children"]
    assert (unnamed_class["name"], unnamed_class["rank"]) == ("", "class")
    flies, beetles = unnamed_class["children"]
    assert (flies["name"], flies["count"], flies["children"]) == ("Diptera", 2, [])
    deepest = beetles["children"][0]["children"][0]["children"][0]
    assert (deepest["name"], deepest["rank"]) == ("Coccinella x", "species")


def test_rare_branches_are_joined():
    lineages = [((("phylum", f"P{number}"),), 1) for number in range(9)]
    tree = name_tree(counts_of([*lineages, (FLY, 100_000)]).lineages)
    assert [(node["name"], node["count"]) for node in tree["children"]] == [
        ("Arthropoda", 100_000),
        ("9 others", 9),
    ]
