"""Plot of a masking study: accuracy against the share of hidden tokens.

In: records of `mask-study`. Out: a figure file with one panel per model and one line per mode;
bands show the 95 % intervals of the records, from the lowest to the highest end over seeds.
Guarded by tests/eval/report/test_plots.py.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from barcodemae.errors import SettingsError
from barcodemae.eval.embed.masked_embedder import MODES
from barcodemae.eval.report.colors import COLORS
from barcodemae.eval.report.figures import MARKERS, STYLE, save_figure
from barcodemae.eval.report.records import ResultRecord


TWO_COLUMNS_FROM = 4  # models; fewer stand in one row
LABELS = {
    "drop": "removed",
    "combined": "masked, all outputs",
    "mask": "masked, [MASK] outputs",
    "nonmask": "masked, visible outputs",
}


def plot_mask_study(records: Sequence[ResultRecord], path: Path) -> None:
    """Draw a masking study.

    Raises:
        SettingsError: There is no record of a masking study.
    """
    own = [record for record in records if record.probe == "mask-study"]
    if not own:
        raise SettingsError("the results hold no record of a masking study")
    models = list(dict.fromkeys(record.model for record in own))
    with mpl.rc_context(STYLE):
        columns = len(models) if len(models) < TWO_COLUMNS_FROM else 2
        rows = -(-len(models) // columns)
        size = (3.0 * columns + 1.9, 2.7 * rows + 0.3)
        figure = Figure(figsize=size, layout="constrained")
        panels = [figure.add_subplot(rows, columns, place) for place in range(1, len(models) + 1)]
        for axes, model in zip(panels, models, strict=True):
            draw_panel(axes, [record for record in own if record.model == model])
            axes.set_title(model, fontsize=9)
            # All panels have the same scale, so that models can be compared.
            axes.set(xlim=(-3, 100), ylim=(0, 1.05 * span_of(own)[1]))
            axes.set_ylabel(f"1-NN {own[0].protocol['rank']} accuracy (%)")
            axes.label_outer()
        handles: dict[str, Artist] = {}
        for axes in panels:
            handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        figure.legend(
            list(handles.values()),
            list(handles),
            loc="outside right center",
            frameon=False,
            fontsize=8,
        )
    save_figure(figure, path)


def draw_panel(axes: Axes, records: Sequence[ResultRecord]) -> None:
    """Draw the panel of one model: for each mode a line, and a band that holds its intervals."""
    for index, mode in enumerate(MODES):
        found: dict[float, list[ResultRecord]] = {}
        for record in records:
            if record.protocol["mode"] == mode:
                found.setdefault(100 * record.protocol["rate"], []).append(record)
        if not found:
            continue
        rates = sorted(found)
        means = [sum(record.value for record in found[rate]) / len(found[rate]) for rate in rates]
        axes.plot(
            rates,
            means,
            color=COLORS[index],
            marker=MARKERS[index],
            markersize=4,
            linewidth=1.2,
            label=LABELS[mode],
        )
        spans = [span_of(found[rate]) for rate in rates]
        lows, highs = zip(*spans, strict=True)
        axes.fill_between(rates, lows, highs, color=COLORS[index], alpha=0.15, linewidth=0)
    axes.set_xlabel("tokens taken away (%)")


def span_of(records: Sequence[ResultRecord]) -> tuple[float, float]:
    """Return the lowest and the highest end of intervals; of values where there are none."""
    lows = [record.value if record.low is None else record.low for record in records]
    highs = [record.value if record.high is None else record.high for record in records]
    return min(lows), max(highs)
