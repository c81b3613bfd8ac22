"""Models under test, settings of probes, and the records of their results.

In: names as the user wrote them. Out: `Subject`, `ProbeSettings`, `ResultRecord`s.
Guarded by tests/eval/probe/test_probing.py.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from barcodemae.dataset import dataset_hash
from barcodemae.errors import SettingsError
from barcodemae.eval.embed.embedder import Embedder, SparseEmbedder, precision_of
from barcodemae.eval.embed.loading import ModelOptions, check_revision
from barcodemae.eval.probe.clustering import PROTOCOLS, ClusteringProtocol
from barcodemae.eval.probe.probe_data import CachedEmbedder
from barcodemae.eval.probe.scores import Score
from barcodemae.eval.report.records import ResultRecord
from barcodemae.eval.search.programs import SEARCHERS, Searcher, make_searcher


FIRST_SEED = 42  # that of the published clustering


@dataclass(frozen=True, kw_only=True)
class ProbeSettings:
    """Settings of probes.

    Attributes:
        dataset: Folder of a prepared data set.
        rank: Rank of the labels of the 1-NN probe.
        references: Split of the references of the 1-NN probe.
        queries: Split of the queries of the 1-NN probe.
        clustering: Protocol of the clustering probe.
        supervised_rank: Rank of the labels of the linear, logistic and fine-tuning probes.
        finetune_epochs: Number of epochs of the fine-tuning probe.
        num_seeds: Number of repeats of the probes that depend on chance.
        device: Device on which the linear probe is trained.
        command: Command line, for the records.
    """

    dataset: Path
    rank: str = "genus"
    references: str = "train"
    queries: str = "test_unseen"
    clustering: ClusteringProtocol = PROTOCOLS["barcodemae"]
    supervised_rank: str = "species"
    finetune_epochs: int = 10
    num_seeds: int = 1
    device: str = "cpu"
    command: str = ""

    def seeds(self) -> range:
        """Return the seeds of the repeats."""
        return range(FIRST_SEED, FIRST_SEED + self.num_seeds)


@dataclass(frozen=True)
class Subject:
    """A model under test.

    Attributes:
        label: Name of the model in tables.
        model: Embedder or search program.
        revision: Hub revision of the model, if one was given.
    """

    label: str
    model: Embedder | Searcher
    revision: str | None = None

    def embedder(self, probe: str) -> Embedder:
        """Return the model as an embedder.

        Raises:
            SettingsError: The model is a search program, which has no embeddings to probe.
        """
        if isinstance(self.model, Searcher):
            raise SettingsError(f"{self.label} has no embeddings; the {probe} probe needs them")
        return self.model

    @property
    def precision(self) -> dict[str, str]:
        """Number format of the model as an entry of the protocol; empty without a network."""
        return {} if isinstance(self.model, Searcher) else precision_of(self.model)


def split_label(name: str) -> tuple[str, str, str]:
    """Split `LABEL=TARGET` or `TARGET` into label, name in tables, and target.

    In tables, a folder without a label has the name of the folder itself, so that records contain
    no private paths.
    """
    label, _, target = name.rpartition("=")
    shown = Path(target).resolve().name if Path(target).exists() else target
    return label, label or shown, target


def open_subject(name: str, options: ModelOptions | None = None) -> Subject:
    """Open a model by `PATH`, `LABEL=PATH`, `kmer:K`, `vsearch` or `blastn`.

    Args:
        name: Name as the user wrote it.
        options: Options of opening it, None for the defaults.

    Raises:
        SettingsError: A revision is given of something that is not on the Hub.
    """
    options = options or ModelOptions()
    _, shown, target = split_label(name)
    if target in SEARCHERS:
        check_revision(target, options.revision)
        return Subject(shown, make_searcher(target))
    model = options.load(target)
    # K-mer counts are not cached: they are cheap to compute, and so stay sparse.
    cached = model if isinstance(model, SparseEmbedder) else CachedEmbedder(model)
    return Subject(shown, cached, options.revision)


@dataclass(frozen=True, kw_only=True)
class ProbeRun:
    """Result of one run of a probe.

    Attributes:
        probe: Name of the probe, as in records.
        scores: Metric -> score in percent, with its interval.
        protocol: All choices that change the scores, except for the number format.
        counts: Numbers of references, queries, left-out rows, ...
        seconds: Wall-clock time including embedding, s.
        seed: Seed of the run; None if nothing is random.
    """

    probe: str
    scores: dict[str, Score]
    protocol: dict[str, Any]
    counts: dict[str, int]
    seconds: float
    seed: int | None = None


def to_records(subject: Subject, settings: ProbeSettings, run: ProbeRun) -> list[ResultRecord]:
    """Return one record per score."""
    return [
        ResultRecord(
            model=subject.label,
            dataset=settings.dataset.resolve().name,
            probe=run.probe,
            metric=metric,
            value=score.value,
            low=score.low,
            high=score.high,
            architecture=subject.model.architecture,
            weights=subject.model.fingerprint,
            revision=subject.revision,
            dataset_hash=dataset_hash(settings.dataset),
            protocol={**run.protocol, **subject.precision},
            seed=run.seed,
            counts=run.counts,
            seconds=run.seconds,
            command=settings.command,
        )
        for metric, score in run.scores.items()
    ]


def elapsed(start: float) -> float:
    """Return the seconds since `start`, rounded to hundredths."""
    return round(time.perf_counter() - start, 2)
