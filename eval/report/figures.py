"""Style of the figures, and saving of a figure whole or not at all.

Colours stand in `colors.py`.
Guarded by tests/eval/report/test_plots.py.
"""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from barcodemae.errors import SettingsError
from barcodemae.files import whole_file


MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "svg.fonttype": "none",
}


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a new figure with one panel; it needs no window system.

    Args:
        width: Width, inches.
        height: Height, inches.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.add_subplot()


def save_figure(figure: Figure, path: Path) -> None:
    """Save a figure in the format of the suffix.

    Raises:
        SettingsError: The suffix is not .png, .svg or .pdf.
    """
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise SettingsError(f"{path}: a figure must be .png, .svg or .pdf")
    with whole_file(path) as file, mpl.rc_context(STYLE):
        figure.savefig(file, dpi=200, bbox_inches="tight")  # else square axes lose a label
