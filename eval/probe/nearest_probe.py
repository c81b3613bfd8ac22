"""1-NN probe: the predicted taxon of a query is that of its nearest reference.

In the published protocol references are the split `train`, queries `test_unseen` (species never
seen in training, their genera among the references), and the label is the genus. Queries whose
label no reference has, and queries that the model cannot read, count as wrong; both are counted.
Guarded by tests/eval/probe/test_nearest_probe.py.

Shapes: Q = queries.
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
    """Result of a 1-NN probe.

    Attributes:
        scores: Metric -> score in percent, with its interval.
        predicted: Predicted label of each query, Q; None where there is none.
        counts: Numbers of references and queries, and of those that were left out or not predicted.
    """

    scores: dict[str, Score]
    predicted: list[str | None]
    counts: dict[str, int]


def nearest_rows(
    model: Embedder | Searcher, references: Sequence[str], queries: Sequence[str]
) -> list[int | None]:
    """Find the row of each query's nearest reference, Q; None where there is none."""
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
    """Count the sequences that a model cannot embed; a search program can read all."""
    return 0 if isinstance(model, Searcher) else len(model.find_invalid(sequences))


def check_labels(references: LabelledRows) -> None:
    """Check that references have more than one label.

    Raises:
        DataError: They have one; the message names it.
    """
    if len(set(references.labels)) == 1:
        raise DataError("references", f"all have the same label ({references.labels[0]})")


def count_absent(references: LabelledRows, queries: LabelledRows) -> int:
    """Count the queries whose label no reference has, so that no prediction can be right."""
    known = set(references.labels)
    return sum(label not in known for label in queries.labels)


def run_nearest_probe(
    model: Embedder | Searcher, references: LabelledRows, queries: LabelledRows
) -> NearestProbe:
    """Predict the label of every query from its nearest reference, and score the predictions.

    Raises:
        DataError: All references have the same label, so the score would tell nothing.
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
