"""Probes of models, whose results become records.

In: a model, a data set, a protocol. Out: a list of `ResultRecord`s, one per metric and seed.
Guarded by tests/eval/probe/test_probing.py.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import dataset_hash
from barcodemae.errors import SettingsError
from barcodemae.eval.embed.embedder import Embedder
from barcodemae.eval.probe.average_linkage import (
    average_linkage_clusters,
    average_linkage_protocol,
    clustered_rows,
)
from barcodemae.eval.probe.clustering import score_clusters, zero_shot_clusters
from barcodemae.eval.probe.finetune import FinetuneRecipe, predict_by_finetuning
from barcodemae.eval.probe.linear import SgdRecipe, predict_by_logistic_regression, predict_by_sgd
from barcodemae.eval.probe.nearest_probe import run_nearest_probe
from barcodemae.eval.probe.probe_data import LabelledRows, read_labelled, usable_rows
from barcodemae.eval.probe.scores import Score, harmonic_mean, score_predictions
from barcodemae.eval.probe.subjects import ProbeRun, ProbeSettings, Subject, elapsed, to_records
from barcodemae.eval.report.records import ResultRecord
from barcodemae.eval.search.programs import Searcher


def probe_nearest(subject: Subject, settings: ProbeSettings) -> list[ResultRecord]:
    """Run the 1-NN probe."""
    references = read_labelled(settings.dataset, [settings.references], settings.rank)
    queries = read_labelled(settings.dataset, [settings.queries], settings.rank)
    start = time.perf_counter()
    outcome = run_nearest_probe(subject.model, references, queries)
    protocol = {
        "rank": settings.rank,
        "references": settings.references,
        "queries": settings.queries,
        "neighbors": 1,
        "similarity": "cosine",
    }
    if isinstance(subject.model, Searcher):
        protocol |= {"similarity": "alignment", "search": subject.model.settings}
    run = ProbeRun(
        probe="1nn",
        scores=outcome.scores,
        protocol=protocol,
        counts=outcome.counts,
        seconds=elapsed(start),
    )
    return to_records(subject, settings, run)


def probe_clustering(subject: Subject, settings: ProbeSettings) -> list[ResultRecord]:
    """Run the zero-shot clustering probe, once per seed."""
    embedder = subject.embedder("zsc")
    protocol = settings.clustering
    rows = read_labelled(settings.dataset, protocol.splits, protocol.rank)
    records = []
    for seed in settings.seeds():
        start = time.perf_counter()
        usable = rows.select(usable_rows(embedder, rows.sequences))
        vectors = embedder.embed(usable.sequences, progress=True)
        clusters = zero_shot_clusters(vectors, usable.labels, protocol, seed=seed)
        score = score_clusters(usable.labels, clusters)
        run = ProbeRun(
            probe="zsc",
            scores={"ami": score},
            protocol={**asdict(protocol), "umap_dimensions": 50, "linkage": "ward"},
            counts=count_clustered(rows, usable, clusters),
            seed=seed,
            seconds=elapsed(start),
        )
        records += to_records(subject, settings, run)
    return records


def probe_average_linkage(subject: Subject, settings: ProbeSettings) -> list[ResultRecord]:
    """Run the clustering probe by average linkage, once, because nothing in it is random."""
    embedder = subject.embedder("zsc-average")
    protocol = settings.clustering
    rows = read_labelled(settings.dataset, protocol.splits, protocol.rank)
    start = time.perf_counter()
    usable = rows.select(usable_rows(embedder, rows.sequences))
    chosen = usable.select(clustered_rows(len(usable.labels)))
    vectors = embedder.embed(chosen.sequences, progress=True)
    clusters = average_linkage_clusters(vectors, chosen.labels, protocol)
    run = ProbeRun(
        probe="zsc-average",
        scores={"ami": score_clusters(chosen.labels, clusters)},
        protocol=average_linkage_protocol(protocol),
        counts={
            **count_clustered(rows, usable, clusters),
            "rows_not_in_subset": len(usable.labels) - len(chosen.labels),
        },
        seconds=elapsed(start),
    )
    return to_records(subject, settings, run)


def count_clustered(
    rows: LabelledRows, usable: LabelledRows, clusters: NDArray[np.int64]
) -> dict[str, int]:
    """Return the counts of a clustering, for a record.

    Args:
        rows: All labelled rows.
        usable: Those that the model can read.
        clusters: Cluster of each row that was clustered.
    """
    return {
        "rows": len(clusters),
        "rows_without_label": rows.num_unlabelled,
        "rows_unreadable": len(rows.labels) - len(usable.labels),
        "labels": len(set(usable.labels)),
        "clusters": len(np.unique(clusters)),
    }


@dataclass(frozen=True)
class SupervisedRows:
    """Rows of the supervised probes: training rows (`train`) and queries (`test`).

    Attributes:
        train: Training rows that the model can read.
        test: All queries.
        readable: Rows of the queries that the model can read.
    """

    train: LabelledRows
    test: LabelledRows
    readable: list[int]

    @classmethod
    def read(cls, embedder: Embedder, settings: ProbeSettings) -> "SupervisedRows":
        """Read both splits; training rows that the model cannot read are left out."""
        train = read_labelled(settings.dataset, ["train"], settings.supervised_rank)
        test = read_labelled(settings.dataset, ["test"], settings.supervised_rank)
        return cls(
            train.select(usable_rows(embedder, train.sequences)),
            test,
            usable_rows(embedder, test.sequences).tolist(),
        )

    def queries(self) -> list[str]:
        """Return the sequences of the readable queries."""
        return [self.test.sequences[row] for row in self.readable]

    def score(self, labels: Sequence[str]) -> dict[str, Score]:
        """Score the labels predicted for the readable queries; the other queries count as wrong."""
        predicted: list[str | None] = [None] * len(self.test.labels)
        for row, label in zip(self.readable, labels, strict=True):
            predicted[row] = label
        return score_predictions(self.test.labels, predicted)

    def counts(self) -> dict[str, int]:
        """Return the counts for a record."""
        known = set(self.train.labels)
        return {
            "training_rows": len(self.train.labels),
            "queries": len(self.test.labels),
            "labels": len(known),
            "training_rows_without_label": self.train.num_unlabelled,
            "queries_without_label": self.test.num_unlabelled,
            "queries_unreadable": len(self.test.labels) - len(self.readable),
            "queries_label_absent": sum(label not in known for label in self.test.labels),
        }


def probe_linear(subject: Subject, settings: ProbeSettings) -> list[ResultRecord]:
    """Run the published linear probe, once per seed."""
    embedder = subject.embedder("linear")
    rows = SupervisedRows.read(embedder, settings)
    records = []
    for seed in settings.seeds():
        start = time.perf_counter()
        vectors = embedder.embed(rows.train.sequences, progress=True)
        queries = embedder.embed(rows.queries(), progress=True)
        labels = predict_by_sgd(
            vectors, rows.train.labels, queries, seed=seed, device=settings.device
        )
        run = ProbeRun(
            probe="linear",
            scores=rows.score(labels),
            protocol={"rank": settings.supervised_rank, "recipe": "sgd", **asdict(SgdRecipe())},
            counts=rows.counts(),
            seed=seed,
            seconds=elapsed(start),
        )
        records += to_records(subject, settings, run)
    return records


def probe_logistic(subject: Subject, settings: ProbeSettings) -> list[ResultRecord]:
    """Run the logistic regression probe, once, because nothing in it is random."""
    embedder = subject.embedder("logistic")
    rows = SupervisedRows.read(embedder, settings)
    start = time.perf_counter()
    vectors = embedder.embed(rows.train.sequences, progress=True)
    queries = embedder.embed(rows.queries(), progress=True)
    labels, converged = predict_by_logistic_regression(vectors, rows.train.labels, queries)
    run = ProbeRun(
        probe="logistic",
        scores=rows.score(labels),
        protocol={"rank": settings.supervised_rank, "converged": converged},
        counts=rows.counts(),
        seconds=elapsed(start),
    )
    return to_records(subject, settings, run)


def probe_finetuning(subject: Subject, settings: ProbeSettings) -> list[ResultRecord]:
    """Run the fine-tuning probe, once per seed.

    Raises:
        SettingsError: The model has no weights to tune: k-mer counts, a search program.
    """
    network = None if isinstance(subject.model, Searcher) else subject.model.network
    if network is None:
        raise SettingsError(f"{subject.label} cannot be fine-tuned: it has no weights")
    rows = SupervisedRows.read(network, settings)
    recipe = FinetuneRecipe(epochs=settings.finetune_epochs)
    records = []
    for seed in settings.seeds():
        start = time.perf_counter()
        labels = predict_by_finetuning(
            network,
            rows.train.sequences,
            rows.train.labels,
            rows.queries(),
            seed=seed,
            recipe=recipe,
        )
        run = ProbeRun(
            probe="finetune",
            scores=rows.score(labels),
            protocol={"rank": settings.supervised_rank, **asdict(recipe)},
            counts=rows.counts(),
            seed=seed,
            seconds=elapsed(start),
        )
        records += to_records(subject, settings, run)
    return records


Probe = Callable[[Subject, ProbeSettings], list[ResultRecord]]
PROBES: dict[str, Probe] = {
    "1nn": probe_nearest,
    "zsc": probe_clustering,
    "zsc-average": probe_average_linkage,
    "linear": probe_linear,
    "logistic": probe_logistic,
    "finetune": probe_finetuning,
}


def choose_probes(names: str) -> list[Probe]:
    """Return the probes named in a comma-separated list.

    Raises:
        SettingsError: A probe is unknown, or none is named.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in PROBES]
    if unknown or not wanted:
        raise SettingsError(f"unknown probe(s) {names!r}; choose from {', '.join(PROBES)}")
    return [PROBES[name] for name in wanted]


def mean_value(records: Iterable[ResultRecord], probe: str, metric: str) -> float | None:
    """Return the mean over seeds of one metric; None if it was not measured."""
    values = [r.value for r in records if (r.probe, r.metric) == (probe, metric)]
    return float(np.mean(values)) if values else None


def harmonic_records(
    subject: Subject, settings: ProbeSettings, records: Sequence[ResultRecord]
) -> list[ResultRecord]:
    """Combine 1-NN accuracy and AMI as in the published table, if both are of the same rank."""
    if settings.rank != settings.clustering.rank:
        return []
    accuracy = mean_value(records, "1nn", "accuracy")
    ami = mean_value(records, "zsc", "ami")
    if accuracy is None or ami is None:
        return []
    return [
        ResultRecord(
            model=subject.label,
            dataset=settings.dataset.resolve().name,
            probe="harmonic",
            metric="harmonic_mean",
            value=harmonic_mean([accuracy, ami]),
            weights=subject.model.fingerprint,
            revision=subject.revision,
            dataset_hash=dataset_hash(settings.dataset),
            protocol={"of": ["1nn accuracy", "zsc ami"], "over_seeds": "mean"},
            command=settings.command,
        )
    ]


def run_probes(
    subject: Subject, settings: ProbeSettings, probes: Sequence[Probe]
) -> list[ResultRecord]:
    """Run several probes on one model, and combine their records."""
    records = [record for probe in probes for record in probe(subject, settings)]
    return [*records, *harmonic_records(subject, settings, records)]
