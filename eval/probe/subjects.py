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
from barcodemae.eval.embed.embedder import Embedder
from barcodemae.eval.embed.foreign.loading import ForeignEmbedder
from barcodemae.eval.embed.kmer_counts import KmerCounts
from barcodemae.eval.embed.loading import check_revision, load_embedder
from barcodemae.eval.embed.model_embedder import AutoModelEmbedder
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.probe.clustering import PROTOCOLS, ClusteringProtocol
from barcodemae.eval.probe.finetune import NetworkEmbedder
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


def split_label(name: str) -> tuple[str, str, str]:
    """Take `LABEL=TARGET` or `TARGET` apart: the label, what tables show, the target.

    A folder without a label is shown by its own name, so that records hold no private paths.
    """
    label, _, target = name.rpartition("=")
    shown = Path(target).resolve().name if Path(target).exists() else target
    return label, label or shown, target


def open_subject(name: str, **options: Any) -> Subject:
    """Open a model by `PATH`, `LABEL=PATH`, `kmer:K`, `vsearch` or `blastn`.

    Args:
        name: What the user wrote.
        **options: As for `load_embedder`.

    Raises:
        SettingsError: A revision of something that is not on the Hub.
    """
    _, shown, target = split_label(name)
    revision = options.get("revision")
    if target in SEARCHERS:
        check_revision(target, revision)
        return Subject(shown, make_searcher(target))
    model = load_embedder(target, **options)
    # k-mer counts are cheap to recompute and stay sparse that way.
    cached = model if isinstance(model, KmerCounts) else CachedEmbedder(model)
    return Subject(shown, cached, revision)


def innermost(model: Embedder | Searcher) -> Embedder | Searcher:
    """Return what computes, without the cache or the offsets around it."""
    while isinstance(model, CachedEmbedder | OffsetEmbedder):
        model = model.embedder
    return model


def architecture_of(model: Embedder | Searcher) -> str:
    """Say what kind of system a model is, for the first column of the table.

    A full folder of this project knows its decoder; the native encoder exported from it notes in
    its config, under `barcodemae`, what it was trained with.
    """
    if isinstance(model, Searcher):
        return "alignment search"
    if isinstance(model, KmerCounts):
        return "k-mer counts"
    inner = innermost(model)
    if isinstance(inner, AutoModelEmbedder):
        config = inner.model.config
        trained_with = getattr(config, "barcodemae", None) or {}
        num_layers = getattr(config, "decoder_num_hidden_layers", 0)
        has_decoder = num_layers or trained_with.get("decoder_num_hidden_layers", 0)
        return "encoder-decoder" if has_decoder else "encoder-only"
    return inner.architecture if isinstance(inner, ForeignEmbedder) else "encoder-only"


def precision_of(model: Embedder | Searcher) -> dict[str, str]:
    """Name the number format a network computes in, as an entry of the protocol."""
    inner = innermost(model)
    if not isinstance(inner, NetworkEmbedder):
        return {}
    return {"dtype": str(next(inner.model.parameters()).dtype).removeprefix("torch.")}


def to_records(
    subject: Subject, settings: ProbeSettings, scores: dict[str, Score], **details: Any
) -> list[ResultRecord]:
    """Make one record per score; `details` are further fields of the record."""
    details["protocol"] = {**details.get("protocol", {}), **precision_of(subject.model)}
    return [
        ResultRecord(
            model=subject.label,
            dataset=settings.dataset.resolve().name,
            metric=metric,
            value=score.value,
            low=score.low,
            high=score.high,
            architecture=architecture_of(subject.model),
            weights=subject.model.fingerprint,
            revision=subject.revision,
            dataset_hash=dataset_hash(settings.dataset),
            command=settings.command,
            **details,
        )
        for metric, score in scores.items()
    ]


def elapsed(start: float) -> float:
    """Seconds since `start`, to hundredths."""
    return round(time.perf_counter() - start, 2)
