"""The 1-NN probe: the taxon of a query is that of its nearest reference.

Published protocol: references are split `train`, queries `test_unseen` (species never seen, their
genus among the references), label genus. Queries whose label no reference has count as wrong, and
so do queries that the model cannot read; both are counted. Guarded by
tests/eval/probe/test_nearest_probe.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from barcodemae.errors import DataError
from barcodemae.eval.embed.embedder import Embedder, SparseEmbedder
from barcodemae.eval.probe.probe_data import LabelledRows, usable_rows
from barcodemae.eval.probe.scores import Score, score_predictions
from barcodemae.eval.search.nearest import nearest_neighbors
from barcodemae.eval.search.programs import Searcher


@dataclass(frozen=True)
class NearestProbe:
    """Outcome of a 1-NN probe.

    Attributes:
        scores: Metric -> percent with interval.
        predicted: Predicted label per query; None where there was none.
        counts: References, queries, and what was left out or lost.
    """

    scores: dict[str, Score]
    predicted: list[str | None]
    counts: dict[str, int]


def nearest_rows(
    model: Embedder | Searcher, references: Sequence[str], queries: Sequence[str]
) -> list[int | None]:
    """Find the row of the nearest reference of every query, None where there is none."""
    if isinstance(model, Searcher):
        return model.search(references, queries)
    reference_rows = usable_rows(model, references)
    query_rows = usable_rows(model, queries)
    rows: list[int | None] = [None] * len(queries)
    if len(reference_rows) == 0 or len(query_rows) == 0:
        return rows
    to_vectors = model.counts if isinstance(model, SparseEmbedder) else model.embed
    found = nearest_neighbors(
        to_vectors([references[row] for row in reference_rows]),
        to_vectors([queries[row] for row in query_rows]),
    )
    for query, reference in zip(query_rows, reference_rows[found.rows], strict=True):
        rows[query] = int(reference)
    return rows


def count_unreadable(model: Embedder | Searcher, sequences: Sequence[str]) -> int:
    """Count the sequences that a model cannot embed; a search program reads everything."""
    return 0 if isinstance(model, Searcher) else len(model.find_invalid(sequences))


def check_labels(references: LabelledRows) -> None:
    """Refuse references of one label, from which every answer is the same.

    Raises:
        DataError: Names the label.
    """
    if len(set(references.labels)) == 1:
        raise DataError("references", f"all have the same label ({references.labels[0]})")


def count_absent(references: LabelledRows, queries: LabelledRows) -> int:
    """Count the queries whose label no reference has; no prediction can be right for them."""
    known = set(references.labels)
    return sum(label not in known for label in queries.labels)


def run_nearest_probe(
    model: Embedder | Searcher, references: LabelledRows, queries: LabelledRows
) -> NearestProbe:
    """Predict every query's label from its nearest reference and score it.

    Raises:
        DataError: The references have only one label, so nothing can be learned from the score.
    """
    check_labels(references)
    rows = nearest_rows(model, references.sequences, queries.sequences)
    predicted = [None if row is None else references.labels[row] for row in rows]
    counts = {
        "references": len(references.labels),
        "queries": len(queries.labels),
        "labels": len(set(references.labels)),
        "references_without_label": references.num_unlabelled,
        "queries_without_label": queries.num_unlabelled,
        "references_unreadable": count_unreadable(model, references.sequences),
        "queries_without_prediction": int(np.sum([row is None for row in rows])),
        "queries_label_absent": count_absent(references, queries),
    }
    return NearestProbe(score_predictions(queries.labels, predicted), predicted, counts)
