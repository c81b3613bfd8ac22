"""Map of queries among the references, along the two main principal components.

In: embeddings of unit length. Out: a plotly figure. The principal components are those of the
references alone, so that a reference has the same position on every map.
Guarded by tests/space/test_space_answers.py.

Shapes: N = vectors, R = references, D = embedding width.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from answers import Answer, Library
from numpy.typing import NDArray
from plotly import graph_objects

from barcodemae.eval.report.colors import OTHER_COLOR, PALETTE


QUERY_COLOR = "#111111"
MAX_NAMED_TAXA = len(PALETTE)
OTHER = "other or unknown"
COLOR_RANKS = ("family", "order", "class", "phylum", "genus")


class Projection:
    """Projection of embeddings onto the map.

    Attributes:
        share: Share of the references' variance that the map shows, 0 to 1.

    Args:
        references: Embeddings of the references, of unit length, (R, D).
    """

    def __init__(self, references: NDArray[np.float64]) -> None:
        self.center = references.mean(axis=0)
        _, lengths, axes = np.linalg.svd(references - self.center, full_matrices=False)
        signs = np.sign(axes[:2, np.abs(axes[:2]).argmax(axis=1)].diagonal())
        # (2, D); the signs of singular vectors are arbitrary, these are the same on every run.
        self.axes = axes[:2] * np.where(signs == 0, 1, signs)[:, None]
        total = float((lengths**2).sum())
        self.share = float((lengths[:2] ** 2).sum()) / total if total else 0.0

    def __call__(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Project vectors onto the map, (N, D) to (N, 2)."""
        places: NDArray[np.float64] = (vectors - self.center) @ self.axes.T
        return places


def group_taxa(taxa: list[str | None]) -> list[str]:
    """Return the colour group of each taxon: frequent taxa have their own, the others share one."""
    counts = Counter(name for name in taxa if name is not None)
    named = {name for name, _ in counts.most_common(MAX_NAMED_TAXA)}
    return [OTHER if name is None or name not in named else name for name in taxa]


def color_of(name: str, index: int) -> str:
    """Return the colour of a group by its name and its place in the order of groups."""
    return OTHER_COLOR if name == OTHER else PALETTE[index % len(PALETTE)]


def color_rank(library: Library) -> str:
    """Choose the rank by which the map is coloured: the first with two to twelve names."""
    for rank in COLOR_RANKS:
        names = {reference.taxa.get(rank) for reference in library.references} - {None}
        if 2 <= len(names) <= 12:
            return rank
    return COLOR_RANKS[0]


def draw_map(
    library: Library,
    projection: Projection,
    answers: Sequence[Answer] = (),
    vectors: NDArray[np.float64] | None = None,
) -> graph_objects.Figure:
    """Draw the references and, on top of them, the identified sequences.

    Args:
        library: Library with its references.
        projection: Projection of embeddings onto the map.
        answers: Answers for the sequences.
        vectors: Embeddings of those that are barcodes.
    """
    figure = graph_objects.Figure()
    rank = color_rank(library)
    places = projection(library.vectors)
    groups = np.array(group_taxa([reference.taxa.get(rank) for reference in library.references]))
    for index, name in enumerate(sorted(set(groups))):
        rows = np.flatnonzero(groups == name)
        figure.add_trace(
            graph_objects.Scatter(
                x=places[rows, 0].tolist(),
                y=places[rows, 1].tolist(),
                mode="markers",
                name=name,
                marker={"size": 6, "color": color_of(name, index), "opacity": 0.7},
                text=[library.references[row].lineage for row in rows],
                hovertemplate="%{text}<extra></extra>",
            )
        )
    read = [answer for answer in answers if answer.matches]
    if read and vectors is not None:
        places = projection(vectors)
        figure.add_trace(
            graph_objects.Scatter(
                x=places[:, 0].tolist(),
                y=places[:, 1].tolist(),
                mode="markers+text" if len(read) <= 12 else "markers",
                name="your sequences",
                marker={
                    "size": 13,
                    "color": QUERY_COLOR,
                    "symbol": ["star" if answer.looks_new else "diamond" for answer in read],
                    "line": {"width": 1.5, "color": "#FFFFFF"},
                },
                text=[answer.id for answer in read],
                textposition=[("top center", "bottom center")[row % 2] for row in range(len(read))],
                hovertemplate="%{text}<extra></extra>",
            )
        )
    figure.update_layout(
        template="simple_white",
        height=460,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        legend={"title": {"text": rank}, "orientation": "h", "y": -0.02, "yanchor": "top"},
        xaxis={"visible": False},
        yaxis={"visible": False},
    )
    return figure
