"""Numbers behind the charts of the overview: stacked bars, histograms and the tree of names.

In: a `Tally`. Out: plain values that the page's template draws; shares are in percent.
Guarded by tests/eval/identify/overview/test_charts.py.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.judge.ladder import LADDER
from barcodemae.eval.identify.overview.tally import NUM_BINS, Counts, Lineage
from barcodemae.eval.identify.summary import NO_BARCODE, NO_NAME, REJECTED
from barcodemae.eval.report.colors import OTHER_COLOR, PALETTE


OUTCOMES = (*reversed(RANKS), NO_NAME, NO_BARCODE, REJECTED)
# From named to the species, in deep green, over paler ones to what has no name, in greys.
OUTCOME_COLORS = dict(
    zip(
        OUTCOMES,
        ("#0B6E4F", "#2A9D78", "#5BBD9B", "#8FD3BC", "#C9B458", "#DDA24B", "#E58A3C",
         "#A8A8A8", "#7C7C7C", "#4D4D4D"),
        strict=True,
    )
)  # fmt: skip
CLASSES = {
    "to the species": OUTCOME_COLORS["species"],
    "to the genus": OUTCOME_COLORS["genus"],
    "above the genus": OUTCOME_COLORS["order"],
    "no name": OUTCOME_COLORS[NO_NAME],
}
OTHERS, UNNAMED = "others", "not named"
NOT_NAMED_COLOR = "#E4E4E4"
MAX_TAXA = 10  # with a colour of their own, of one rank
MAX_BINS = 50
LEAST_SHARE = 0.001  # of the tree's records; rarer taxa of one parent are drawn as one


@dataclass(frozen=True)
class Segment:
    """A part of a stacked bar, or of a column of a histogram.

    Attributes:
        name: What it counts.
        number: How many.
        share: Percent of the whole bar; in a histogram, of the highest column.
        color: Colour, `#rrggbb`.
    """

    name: str
    number: int
    share: float
    color: str


@dataclass(frozen=True)
class Bar:
    """A stacked bar.

    Attributes:
        label: What stands beside it.
        total: Number that its whole length stands for.
        segments: Its parts, from left to right; empty ones are left out.
    """

    label: str
    total: int
    segments: list[Segment]

    @classmethod
    def of(cls, label: str, numbers: Mapping[str, int], colors: Mapping[str, str]) -> "Bar":
        """Stack numbers in the order of the colours."""
        total = sum(numbers.values())
        segments = [
            Segment(name, numbers[name], 100 * numbers[name] / total, color)
            for name, color in colors.items()
            if numbers.get(name, 0)
        ]
        return cls(label, total, segments)


@dataclass(frozen=True)
class BarChart:
    """Stacked bars that share their colours.

    Attributes:
        title: What they show.
        bars: One bar per sample or rank.
        colors: Legend: name -> colour.
    """

    title: str
    bars: list[Bar]
    colors: dict[str, str]


def outcome_chart(samples: Mapping[str, Counts]) -> BarChart:
    """Stack the outcomes of each sample."""
    bars = [Bar.of(name, counts.outcomes, OUTCOME_COLORS) for name, counts in samples.items()]
    occurring = {name for counts in samples.values() for name in counts.outcomes}
    colors = {name: color for name, color in OUTCOME_COLORS.items() if name in occurring}
    return BarChart("deepest name", bars, colors)


def composition_chart(samples: Mapping[str, Counts], rank: str) -> BarChart | None:
    """Stack the taxa of one rank in each sample; None if fewer than two taxa are named."""
    numbers: dict[str, Counter[str]] = {}
    for sample, counts in samples.items():
        numbers[sample] = Counter()
        for lineage, number in counts.lineages.items():
            numbers[sample][dict(lineage).get(rank, UNNAMED)] += number
        numbers[sample][UNNAMED] += counts.outcomes[REJECTED]
    all_taxa = sum(numbers.values(), Counter())
    del all_taxa[UNNAMED]
    if len(all_taxa) < 2:
        return None
    shown = [name for name, _ in all_taxa.most_common(MAX_TAXA)]
    colors = dict(zip(shown, PALETTE, strict=False))
    colors |= {OTHERS: OTHER_COLOR} if len(all_taxa) > len(shown) else {}
    colors[UNNAMED] = NOT_NAMED_COLOR
    bars = []
    for sample, found in numbers.items():
        grouped: Counter[str] = Counter()
        for name, number in found.items():
            grouped[name if name in colors else OTHERS] += number
        bars.append(Bar.of(sample, grouped, colors))
    return BarChart(rank, bars, colors)


def rank_chart(counts: Counts) -> BarChart:
    """Stack, at every rank, what is named, new to the library, undecided and no barcode."""
    colors = {
        "named": OUTCOME_COLORS["species"],
        "probably new to the library": "#CC79A7",
        "undecided": "#D8D0B8",
        "not a barcode or rejected": OUTCOME_COLORS[NO_BARCODE],
    }
    names = list(colors)
    total = sum(counts.outcomes.values())
    unread = counts.outcomes[NO_BARCODE] + counts.outcomes[REJECTED]
    bars = []
    for rank in LADDER:
        named = sum(number for line, number in counts.lineages.items() if rank in dict(line))
        # New at a rank above means new at this one too.
        above = LADDER[: LADDER.index(rank) + 1]
        new = min(sum(counts.novel[name] for name in above), total - unread - named)
        numbers = (named, new, total - unread - named - new, unread)
        bars.append(Bar.of(rank, dict(zip(names, numbers, strict=True)), colors))
    return BarChart("share named at each rank", bars, colors)


@dataclass(frozen=True)
class Histogram:
    """A histogram, stacked by how deep the records were named.

    Attributes:
        title: What its axis shows.
        low: Left end of the axis, percent.
        columns: Label and parts of each column, from left to right.
        highest: Number of records in the highest column.
        colors: Legend: name -> colour.
    """

    title: str
    low: float
    columns: list[tuple[str, list[Segment]]]
    highest: int
    colors: dict[str, str]


def class_of(outcome: str) -> str:
    """Return the class that colours a record in histograms."""
    if outcome in ("species", "genus"):
        return f"to the {outcome}"
    return "above the genus" if outcome in RANKS else "no name"


def histogram(title: str, by_outcome: Mapping[str, Counter[int]]) -> Histogram | None:
    """Join fine bins to a histogram from the lowest occupied bin up to 100 %; None without any."""
    occupied = [place for counter in by_outcome.values() for place in counter]
    if not occupied:
        return None
    lowest = min(occupied)
    width = next(
        width for width in (5, 10, 20, 50, NUM_BINS) if (NUM_BINS - lowest) <= MAX_BINS * width
    )
    first = lowest // width
    bins: dict[int, Counter[str]] = {place: Counter() for place in range(first, NUM_BINS // width)}
    for outcome, counter in by_outcome.items():
        for place, number in counter.items():
            bins[place // width][class_of(outcome)] += number
    highest = max(sum(column.values()) for column in bins.values())
    columns = [
        (
            f"{100 * place * width / NUM_BINS:g}-{100 * (place + 1) * width / NUM_BINS:g} %",
            [
                Segment(name, column[name], 100 * column[name] / highest, color)
                for name, color in CLASSES.items()
                if column[name]
            ],
        )
        for place, column in bins.items()
    ]
    present = {name for column in bins.values() for name in column}
    colors = {name: color for name, color in CLASSES.items() if name in present}
    return Histogram(title, 100 * first * width / NUM_BINS, columns, highest, colors)


def name_tree(lineages: Mapping[Lineage, int]) -> dict[str, Any]:
    """Make the tree of names: nodes of `name`, `rank`, `count` and `children`.

    Ranks without a name between two that have one are bridged by a node without a name, so every
    rank keeps its ring. The subfamily is left out: few lineages give one. Rare taxa of one parent
    are one node, `others`.
    """
    root: dict[str, Any] = {"name": "all named", "rank": "", "count": 0, "children": {}}
    for lineage, number in lineages.items():
        names = dict(lineage)
        known = [place for place, rank in enumerate(LADDER) if rank in names]
        if not known:
            continue
        node = root
        node["count"] += number
        for rank in LADDER[: known[-1] + 1]:
            fresh = {"name": names.get(rank, ""), "rank": rank, "count": 0, "children": {}}
            node = node["children"].setdefault(names.get(rank, ""), fresh)
            node["count"] += number
    return pruned(root, LEAST_SHARE * root["count"])


def pruned(node: dict[str, Any], least: float) -> dict[str, Any]:
    """Return a tree with its children as lists, largest first, the rare ones of each joined."""
    children = sorted(node["children"].values(), key=lambda child: (-child["count"], child["name"]))
    kept = [pruned(child, least) for child in children if child["count"] >= least]
    rare = [child for child in children if child["count"] < least]
    if rare:
        name = rare[0]["name"] if len(rare) == 1 else f"{len(rare)} others"
        number = sum(child["count"] for child in rare)
        kept.append({"name": name, "rank": rare[0]["rank"], "count": number, "children": []})
    return {**node, "children": kept}
