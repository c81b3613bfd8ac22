"""Run probes on models and turn the outcomes into result records.

In: a model, a data set, a protocol. Out: a list of `ResultRecord`. Guarded by
tests/eval/test_probing.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from barcodemae.dataset import dataset_hash
from barcodemae.errors import SettingsError
from barcodemae.eval.baselines import SEARCHERS, Searcher, make_searcher
from barcodemae.eval.embedding import Embedder, load_embedder
from barcodemae.eval.nearest_probe import run_nearest_probe
from barcodemae.eval.probe_data import read_labelled
from barcodemae.eval.records import ResultRecord


if TYPE_CHECKING:
    from barcodemae.eval.scores import Score


@dataclass(frozen=True, kw_only=True)
class ProbeSettings:
    """What to measure.

    Attributes:
        dataset: Folder of a prepared data set.
        rank: Label of the 1-NN probe.
        references: Split that answers.
        queries: Split that is asked.
        command: The command line, kept in the records.
    """

    dataset: Path
    rank: str = "genus"
    references: str = "train"
    queries: str = "test_unseen"
    command: str = ""


@dataclass(frozen=True)
class Subject:
    """A model under test and how it is called in tables."""

    label: str
    model: Embedder | Searcher


def open_subject(name: str, **options: object) -> Subject:
    """Open a model by `PATH`, `LABEL=PATH`, `kmer:K`, `vsearch` or `blastn`.

    Args:
        name: What the user wrote.
        **options: As for `load_embedder`.
    """
    label, _, target = name.rpartition("=")
    if target in SEARCHERS:
        return Subject(label or target, make_searcher(target))
    shown = Path(target).resolve().name if Path(target).exists() else target
    return Subject(label or shown, load_embedder(target, **options))  # type: ignore[arg-type]


def to_records(
    subject: Subject,
    settings: ProbeSettings,
    scores: dict[str, Score],
    **details: object,
) -> list[ResultRecord]:
    """Make one record per score; `details` are further fields of the record."""
    return [
        ResultRecord(
            model=subject.label,
            dataset=settings.dataset.resolve().name,
            metric=metric,
            value=score.value,
            low=score.low,
            high=score.high,
            weights=subject.model.fingerprint,
            dataset_hash=dataset_hash(settings.dataset),
            command=settings.command,
            **details,  # type: ignore[arg-type]
        )
        for metric, score in scores.items()
    ]


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
        "similarity": "alignment" if isinstance(subject.model, Searcher) else "cosine",
    }
    return to_records(
        subject,
        settings,
        outcome.scores,
        probe="1nn",
        protocol=protocol,
        counts=outcome.counts,
        seconds=round(time.perf_counter() - start, 2),
    )


PROBES: dict[str, Callable[[Subject, ProbeSettings], list[ResultRecord]]] = {
    "1nn": probe_nearest,
}


def choose_probes(
    names: str,
) -> list[Callable[[Subject, ProbeSettings], list[ResultRecord]]]:
    """Look up probes by a comma-separated list.

    Raises:
        SettingsError: An unknown probe.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in PROBES]
    if unknown or not wanted:
        raise SettingsError(f"unknown probe(s) {names!r}; there are {', '.join(PROBES)}")
    return [PROBES[name] for name in wanted]
