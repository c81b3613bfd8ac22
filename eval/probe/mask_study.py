"""Masking study: how much a model depends on [MASK] tokens.

A share of the tokens of every barcode, references and queries alike, is removed or replaced by
[MASK] before embedding, in the modes of `masked_embedder.py`. In: a model and a data set. Out:
1-NN accuracy for every rate, mode and seed, as records.
Guarded by tests/eval/probe/test_mask_study.py.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from barcodemae.dataset import dataset_hash
from barcodemae.errors import SettingsError
from barcodemae.eval.embed.embedder import NetworkEmbedder, precision_of
from barcodemae.eval.embed.loading import ModelOptions
from barcodemae.eval.embed.masked_embedder import (
    MASKING,
    MODES,
    REMOVING,
    MaskedEmbedder,
    check_mode,
)
from barcodemae.eval.probe.nearest_probe import check_labels, count_absent
from barcodemae.eval.probe.probe_data import LabelledRows, read_labelled, usable_rows
from barcodemae.eval.probe.scores import Score, score_predictions
from barcodemae.eval.probe.subjects import split_label
from barcodemae.eval.report.records import ResultRecord
from barcodemae.eval.search.nearest import nearest_neighbors


MAX_RATES = 1000  # a thousandth of the k-mers is less than one


@dataclass(frozen=True, kw_only=True)
class MaskStudy:
    """Settings of a masking study.

    Attributes:
        dataset: Folder of a prepared data set.
        rates: Shares of tokens to hide, 0 to 1.
        modes: Modes to measure, of `MODES`.
        rank: Rank of the labels of the 1-NN probe.
        references: Split of the references.
        queries: Split of the queries.
        max_references: Size of a random subset of the references; 0 for all.
        num_seeds: Number of repeats with other random tokens.
        command: Command line, for the records.
    """

    dataset: Path
    rates: tuple[float, ...]
    modes: tuple[str, ...] = MODES
    rank: str = "genus"
    references: str = "train"
    queries: str = "val_unseen"
    max_references: int = 0
    num_seeds: int = 1
    command: str = ""


def parse_rates(text: str) -> tuple[float, ...]:
    """Parse rates: `START:STOP:STEP`, both ends included, or a comma-separated list.

    Raises:
        SettingsError: The text is not of this form, or a rate is not in [0, 1).
    """
    try:
        if ":" in text:
            start, stop, step = (float(part) for part in text.split(":"))
            count = int(np.floor((stop - start) / step + 1e-9)) + 1
            rates = tuple(round(start + index * step, 6) for index in range(min(count, MAX_RATES)))
        else:
            rates = tuple(float(part) for part in text.split(","))
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise SettingsError(
            f"rates {text!r}: expected START:STOP:STEP or a comma-separated list"
        ) from error
    if not rates or not all(0 <= rate < 1 for rate in rates):
        raise SettingsError(f"rates {text!r}: they must be at least 0 and below 1")
    return rates


def parse_modes(text: str) -> tuple[str, ...]:
    """Parse a comma-separated list of modes.

    Raises:
        SettingsError: A mode is unknown.
    """
    modes = tuple(part.strip() for part in text.split(","))
    unknown = [mode for mode in modes if mode not in MODES]
    if unknown:
        raise SettingsError(f"mode {unknown[0]!r} is not one of {', '.join(MODES)}")
    return modes


def read_rows(study: MaskStudy, embedder: NetworkEmbedder) -> tuple[LabelledRows, LabelledRows]:
    """Read the references and queries that the model can read.

    Raises:
        DataError: All references have the same label.
    """
    references = read_labelled(study.dataset, [study.references], study.rank)
    references = references.select(usable_rows(embedder, references.sequences))
    if 0 < study.max_references < len(references.labels):
        generator = np.random.default_rng(0)
        chosen = generator.permutation(len(references.labels))[: study.max_references]
        references = references.select(np.sort(chosen))
    check_labels(references)
    queries = read_labelled(study.dataset, [study.queries], study.rank)
    return references, queries.select(usable_rows(embedder, queries.sequences))


def run_mask_study(
    model: str,
    study: MaskStudy,
    options: ModelOptions | None = None,
    *,
    on_left_out: Callable[[str], object] | None = None,
) -> Iterator[ResultRecord]:
    """Measure 1-NN accuracy for every rate, seed and mode.

    At rate 0 nothing is random, so it is measured once, and mode `mask` has nothing to average. A
    mode that is not meaningful for the model is left out, unless there is no other.

    Args:
        model: `PATH` or `LABEL=PATH` of the model.
        study: Settings of the study.
        options: Options of opening the model, None for the defaults.
        on_left_out: Function called with the reason why a mode is left out.

    Yields:
        One record for every rate, seed and mode.

    Raises:
        SettingsError: The model has no network, or no mode is meaningful for it.
    """
    options = options or ModelOptions()
    _, shown, target = split_label(model)
    network = options.load(target).network
    if network is None:
        raise SettingsError(f"{target}: the masking study needs a network that reads tokens")
    modes = applicable_modes(network, study.modes, on_left_out)
    run = StudyRun(network, shown, options.revision, study, *read_rows(study, network))
    for rate in study.rates:
        for seed in range(study.num_seeds if rate > 0 else 1):
            for family in (REMOVING, MASKING):
                wanted = [m for m in family if m in modes and (m != "mask" or rate > 0)]
                if wanted:
                    yield from run.measure(wanted, rate, seed)


def applicable_modes(
    embedder: NetworkEmbedder,
    modes: Sequence[str],
    on_left_out: Callable[[str], object] | None = None,
) -> list[str]:
    """Return the modes that are meaningful for a model.

    Args:
        embedder: Model.
        modes: Modes to choose from.
        on_left_out: Function called with the reason why each of the others is not.

    Raises:
        SettingsError: No mode is.
    """
    kept, refusals = [], []
    for mode in modes:
        try:
            check_mode(embedder, mode)
        except SettingsError as error:
            refusals.append(error)
        else:
            kept.append(mode)
    if not kept and refusals:
        raise refusals[-1]
    if on_left_out is not None:
        for refusal in refusals:
            on_left_out(str(refusal))
    return kept


@dataclass(frozen=True)
class StudyRun:
    """A masking study of one model.

    Attributes:
        embedder: Model.
        name: Name of the model in tables.
        revision: Hub revision of the model, if one was given.
        study: Settings of the study.
        references: Rows of the references.
        queries: Rows of the queries.
    """

    embedder: NetworkEmbedder
    name: str
    revision: str | None
    study: MaskStudy
    references: LabelledRows
    queries: LabelledRows

    def measure(self, modes: Sequence[str], rate: float, seed: int) -> Iterator[ResultRecord]:
        """Measure 1-NN accuracy at one rate, in modes that share their input."""
        start = time.perf_counter()
        masked = MaskedEmbedder(self.embedder, *modes)
        references = masked.embed(self.references.sequences, rate, 2 * seed)
        queries = masked.embed(self.queries.sequences, rate, 2 * seed + 1)
        for mode in modes:
            found = nearest_neighbors(references[mode], queries[mode])
            predicted = [self.references.labels[row] for row in found.rows]
            score = score_predictions(self.queries.labels, predicted)["accuracy"]
            seconds = round((time.perf_counter() - start) / len(modes), 2)
            yield self.record(score, mode, rate, seed, seconds)

    def record(
        self, score: Score, mode: str, rate: float, seed: int, seconds: float
    ) -> ResultRecord:
        """Return the record of one measurement."""
        return ResultRecord(
            model=self.name,
            dataset=self.study.dataset.resolve().name,
            probe="mask-study",
            metric="accuracy",
            value=score.value,
            low=score.low,
            high=score.high,
            architecture=self.embedder.architecture,
            weights=self.embedder.fingerprint,
            revision=self.revision,
            dataset_hash=dataset_hash(self.study.dataset),
            protocol={
                "mode": mode,
                "rate": rate,
                "rank": self.study.rank,
                "references": self.study.references,
                "queries": self.study.queries,
                **precision_of(self.embedder),
            },
            seed=seed,
            counts={
                "references": len(self.references.labels),
                "queries": len(self.queries.labels),
                "queries_label_absent": count_absent(self.references, self.queries),
            },
            seconds=seconds,
            command=self.study.command,
        )
