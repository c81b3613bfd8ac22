"""Colours of figures and pages.

The first eight are those of Okabe and Ito, which people with any common colour vision can tell
apart; `PALETTE` adds five of Tol's muted scheme for taxa and units.
Guarded by tests/eval/report/test_colors.py.
"""

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
MORE_COLORS = ("#882255", "#44AA99", "#DDCC77", "#332288", "#AA4499")
PALETTE = (*COLORS[:6], *MORE_COLORS)
OTHER_COLOR = "#C8C8C8"  # of what has no colour of its own


def readable_on(color: str) -> str:
    """Return black or white, whichever is easier to read on a colour given as `#rrggbb`."""
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#FFFFFF"
