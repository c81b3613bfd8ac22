"""Tables and plot of the poster's comparison: accuracy of each model along its training, by cost.

In: records of `poster.py`. Out: Markdown, one row per model and learning rate, one column per share
of the horizon; a figure file with a panel for each rate, one line per model with a band of its
intervals, against the cost in FLOP. Of records of `poster_finished.py`: Markdown with what sets
two models apart that were trained alike, seed by seed.
Guarded by tests/benchmarks/test_poster_table.py.
"""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import ttest_1samp

from barcodemae.errors import SettingsError
from barcodemae.eval.report.averages import Cell, average
from barcodemae.eval.report.colors import COLORS
from barcodemae.eval.report.figures import MARKERS, STYLE, save_figure
from barcodemae.eval.report.records import ResultRecord


PROBE = "curve"
MODELS = ("BarcodeBERT", "BarcodeMAE w/MASK", "BarcodeMAE")  # each is subtracted from later ones
COMPARED = {  # probe and metric -> column
    ("1nn", "accuracy"): "1-NN accuracy",
    ("zsc", "ami"): "ZSC AMI",
    ("zsc-average", "ami"): "AMI, average linkage",
}
NAME_HEIGHT = 2.5  # percent of accuracy, of a name in the figure
POINTS_PER_PERCENT = 4.0  # of the figure, roughly
NOTHING = "*No run has reached a slice yet: no number, rather than a guess.*"


def curve_table(records: Sequence[ResultRecord]) -> str:
    """Format the curves; means over training seeds, with the number of barcodes seen.

    Raises:
        SettingsError: The records are of several data sets or number formats.
    """
    own = [record for record in records if record.probe == PROBE]
    if not own:
        return NOTHING
    measured_on = {(r.dataset, r.dataset_hash, r.protocol["dtype"]) for r in own}
    if len(measured_on) != 1:
        raise SettingsError(f"the curves are of {len(measured_on)} data sets or number formats")
    shares = sorted({record.protocol["share_of_horizon"] for record in own})
    lines = [
        "| model | " + " | ".join(f"{share:.1%}" for share in shares) + " |",
        "| --- |" + " ---: |" * len(shares),
    ]
    for (model, rate), found in by_model_and_rate(own).items():
        cells = [cell(found, share) for share in shares]
        lines.append(f"| {model}, rate {rate:g} | {' | '.join(cells)} |")
    first = own[0]
    costs = {r.model: r.counts for r in own if r.counts["training_steps"]}
    steps = ", ".join(
        f"{model} {counts['training_gigaflop'] / counts['training_steps']:.0f}"
        for model, counts in costs.items()
    )
    note = (
        f"1-NN accuracy (%) with 95 % interval; thousands of barcodes seen; "
        f"GFLOP of a step: {steps}; {first.dataset} "
        f"({first.dataset_hash}); rank genus, references {first.counts['references']:,} of train, "
        f"queries {first.protocol['queries']}; training seeds: {count_seeds(own)}"
    )
    return "\n".join([*lines, "", note])


def count_seeds(records: Sequence[ResultRecord]) -> str:
    """Say for each learning rate how many seeds each part of its curve is a mean of."""
    reached: dict[float, dict[int, float]] = {}  # rate -> seed -> last share of the horizon
    for record in records:
        ends = reached.setdefault(record.protocol["learning_rate"], {})
        seed, share = record.training_seed or 0, record.protocol["share_of_horizon"]
        ends[seed] = max(share, ends.get(seed, 0.0))
    parts = []
    for rate, ends in reached.items():
        counts = {end: sum(other >= end for other in ends.values()) for end in ends.values()}
        spans = ", ".join(f"{counts[end]} to {end:.1%}" for end in sorted(counts))
        parts.append(f"rate {rate:g} {spans}")
    return "; ".join(parts)


def by_model_and_rate(
    records: Sequence[ResultRecord],
) -> dict[tuple[str, float], list[ResultRecord]]:
    """Group records by model and learning rate, in the order of the first of each."""
    found: dict[tuple[str, float], list[ResultRecord]] = {}
    for record in records:
        found.setdefault((record.model, record.protocol["learning_rate"]), []).append(record)
    return found


def cell(records: Sequence[ResultRecord], share: float) -> str:
    """Format one model at one share of the horizon; a dash where it has not been probed."""
    found = [record for record in records if record.protocol["share_of_horizon"] == share]
    if not found:
        return "-"
    mean = average(found)
    seen = found[0].counts["barcodes_seen"] / 1000
    interval = "" if mean.low is None else f" ({mean.low:.1f}-{mean.high:.1f})"
    return f"{mean.value:.1f}{interval}; {seen:,.0f}"


def difference_table(records: Sequence[ResultRecord]) -> str:
    """Format what sets each two models apart, in points, with 95 % intervals over seeds.

    The models of a pair were trained with the same settings for the same cost from the same seed;
    intervals are Student's t, and of one seed there is none.
    """
    found: dict[str, dict[tuple[str, str, str], dict[int, list[float]]]] = {}
    for record in records:
        model, _, trained = record.model.partition(", ")
        of_probe = found.setdefault(trained, {}).setdefault(
            (model, record.probe, record.metric), {}
        )
        of_probe.setdefault(record.training_seed or 0, []).append(record.value)
    lines = [
        "| trained | difference | seeds | " + " | ".join(COMPARED.values()) + " |",
        "| --- | --- | ---: |" + " ---: |" * len(COMPARED),
    ]
    for trained, measured in found.items():
        for one, other in combinations(MODELS, 2):
            points = [
                paired(measured.get((one, *column), {}), measured.get((other, *column), {}))
                for column in COMPARED
            ]
            if any(points):
                cells = " | ".join(map(difference, points))
                seeds = max(map(len, points))
                lines.append(f"| {trained} | {other} - {one} | {seeds} | {cells} |")
    return "\n".join(lines)


def paired(one: dict[int, list[float]], other: dict[int, list[float]]) -> list[float]:
    """Subtract the first of two models from the second for each training seed that both have."""
    return [fmean(other[seed]) - fmean(one[seed]) for seed in sorted(one.keys() & other.keys())]


def difference(points: Sequence[float]) -> str:
    """Format the differences of some seeds: their mean, and its interval if there are several."""
    if not points:
        return "-"
    mean = f"{fmean(points):+.1f}"
    if len(points) == 1:
        return mean
    low, high = ttest_1samp(points, 0).confidence_interval(0.95)
    return f"{mean} ({low:.1f} to {high:.1f})"


def plot_curves(records: Sequence[ResultRecord], path: Path) -> None:
    """Draw the curves, a panel for each learning rate.

    Raises:
        SettingsError: There is no record of a curve.
    """
    own = [record for record in records if record.probe == PROBE]
    if not own:
        raise SettingsError("the results hold no record of the poster's comparison")
    groups = by_model_and_rate(own)
    models = list(dict.fromkeys(model for model, _ in groups))
    rates = list(dict.fromkeys(rate for _, rate in groups))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.4 + 3.9 * len(rates), 3.4), layout="constrained")
        panels = figure.subplots(1, len(rates), sharey=True, squeeze=False)[0]
        for rate, axes in zip(rates, panels, strict=True):
            ends = {
                model: draw_curve(axes, groups[model, rate], number)
                for number, model in enumerate(models)
                if (model, rate) in groups
            }
            write_names(axes, ends, dict(zip(models, COLORS, strict=False)))
            axes.margins(x=0.02)
            axes.spines[["top", "right"]].set_visible(False)
            axes.set(xlabel="cost of training (TFLOP)", title=f"learning rate {rate:g}")
            longest = max(record.counts["training_gigaflop"] for record in own) / 1000
            axes.set_xlim(-0.02 * longest, 1.45 * longest)
        panels[0].set_ylabel("1-NN genus accuracy (%)")
    save_figure(figure, path)


def draw_curve(axes: Axes, records: Sequence[ResultRecord], number: int) -> tuple[float, float]:
    """Draw a model's curve, and return where it ends: cost (TFLOP) and accuracy (%)."""
    by_cost: dict[int, list[ResultRecord]] = {}
    for record in records:
        by_cost.setdefault(record.counts["training_gigaflop"], []).append(record)
    costs = [cost / 1000 for cost in by_cost]  # TFLOP
    cells: list[Cell] = [average(found) for found in by_cost.values()]
    color = COLORS[number]
    axes.plot(costs, [c.value for c in cells], marker=MARKERS[number], color=color)
    lows = [c.value if c.low is None else c.low for c in cells]
    highs = [c.value if c.high is None else c.high for c in cells]
    axes.fill_between(costs, lows, highs, color=color, alpha=0.15, linewidth=0)
    return costs[-1], cells[-1].value


def write_names(axes: Axes, ends: dict[str, tuple[float, float]], colors: dict[str, str]) -> None:
    """Write the name of each model where its curve ends, no two names over each other."""
    names = sorted(ends, key=lambda name: ends[name][1])
    values = [ends[name][1] for name in names]
    heights = apart(values, NAME_HEIGHT)
    for name, value, height in zip(names, values, heights, strict=True):
        axes.annotate(
            name, (ends[name][0], value), (6, POINTS_PER_PERCENT * (height - value)),
            textcoords="offset points", va="center", color=colors[name], fontsize=8,
        )  # fmt: skip


def apart(values: Sequence[float], gap: float) -> list[float]:
    """Raise values, lowest first, until each is at least a gap above the one before."""
    least = gap * np.arange(len(values))
    raised: list[float] = (np.maximum.accumulate(values - least) + least).tolist()
    return raised
