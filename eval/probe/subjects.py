"""What a probe run is about: the model under test, the settings, and how a record is made.

In: names as the user wrote them. Out: `Subject`, `ProbeSettings`, `ResultRecord`s. Guarded by
tests/eval/probe/test_probing.py.
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


FIRST_SEED = 42  # the published clustering runs used 42


@dataclass(frozen=True, kw_only=True)
class ProbeSettings:
    """What to measure.

    Attributes:
        dataset: Folder of a prepared data set.
        rank: Label of the 1-NN probe.
        references: Split that answers in the 1-NN probe.
        queries: Split that is asked.
        clustering: Protocol of the clustering probe.
        supervised_rank: Label of the linear and fine-tuning probes.
        finetune_epochs: Epochs of the fine-tuning probe.
        num_seeds: Repeats of the probes that draw random numbers.
        device: Where the linear probe is trained.
        command: The command line, kept in the records.
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
        """Seeds of the repeats."""
        return range(FIRST_SEED, FIRST_SEED + self.num_seeds)


@dataclass(frozen=True)
class Subject:
    """A model under test, how it is called in tables, and which Hub revision it is."""

    label: str
    model: Embedder | Searcher
    revision: str | None = None

    def embedder(self, probe: str) -> Embedder:
        """Return the model as an embedder.

        Raises:
            SettingsError: It is a search program, which has no embeddings to probe.
        """
        if isinstance(self.model, Searcher):
            raise SettingsError(f"{self.label} has no embeddings; the {probe} probe needs them")
        return self.model

    @property
    def precision(self) -> dict[str, str]:
        """The number format as an entry of the protocol; nothing without a network."""
        return {} if isinstance(self.model, Searcher) else precision_of(self.model)


def split_label(name: str) -> tuple[str, str, str]:
    """Take `LABEL=TARGET` or `TARGET` apart: the label, what tables show, the target.

    A folder without a label is shown by its own name, so that records hold no private paths.
    """
    label, _, target = name.rpartition("=")
    shown = Path(target).resolve().name if Path(target).exists() else target
    return label, label or shown, target


def open_subject(name: str, options: ModelOptions | None = None) -> Subject:
    """Open a model by `PATH`, `LABEL=PATH`, `kmer:K`, `vsearch` or `blastn`.

    Args:
        name: What the user wrote.
        options: How to open it.

    Raises:
        SettingsError: A revision of something that is not on the Hub.
    """
    options = options or ModelOptions()
    _, shown, target = split_label(name)
    if target in SEARCHERS:
        check_revision(target, options.revision)
        return Subject(shown, make_searcher(target))
    model = options.load(target)
    # k-mer counts are cheap to recompute and stay sparse that way.
    cached = model if isinstance(model, SparseEmbedder) else CachedEmbedder(model)
    return Subject(shown, cached, options.revision)


@dataclass(frozen=True, kw_only=True)
class ProbeRun:
    """What one run of a probe found.

    Attributes:
        probe: Name of the probe, as in records.
        scores: Metric -> percent with interval.
        protocol: Every choice that changes the scores, but for the number format.
        counts: Numbers of references, queries, dropped rows, ...
        seconds: Wall time, embedding included.
        seed: Of the run; None where nothing is random.
    """

    probe: str
    scores: dict[str, Score]
    protocol: dict[str, Any]
    counts: dict[str, int]
    seconds: float
    seed: int | None = None


def to_records(subject: Subject, settings: ProbeSettings, run: ProbeRun) -> list[ResultRecord]:
    """Make one record per score."""
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
    """Seconds since `start`, to hundredths."""
    return round(time.perf_counter() - start, 2)
