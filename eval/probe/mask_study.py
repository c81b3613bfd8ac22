"""The masking study: is [MASK] part of how a model computes?

Some tokens of every barcode are taken away or replaced by [MASK] before embedding; the four modes
are those of `masked_embedder.py`. In: a model and a data set. Out: 1-NN accuracy per rate, mode
and seed, as records. References and queries are treated alike. Guarded by
tests/eval/probe/test_mask_study.py.
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


@dataclass(frozen=True, kw_only=True)
class MaskStudy:
    """What to measure.

    Attributes:
        dataset: Folder of a prepared data set.
        rates: Shares of tokens taken away.
        modes: Of `MODES`.
        rank: Label of the 1-NN probe.
        references: Split that answers.
        queries: Split that is asked.
        max_references: Size of a random subset of the references; 0 for all.
        num_seeds: Repeats with other random positions.
        command: The command line, kept in the records.
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
    """Read `START:STOP:STEP`, both ends included, or a comma-separated list.

    Raises:
        SettingsError: Not numbers, or not in [0, 1).
    """
    try:
        if ":" in text:
            start, stop, step = (float(part) for part in text.split(":"))
            count = int(np.floor((stop - start) / step + 1e-9)) + 1
            rates = tuple(round(start + index * step, 6) for index in range(count))
        else:
            rates = tuple(float(part) for part in text.split(","))
    except (ValueError, ZeroDivisionError) as error:
        raise SettingsError(f"rates {text!r}: expected START:STOP:STEP or a list") from error
    if not rates or min(rates) < 0 or max(rates) >= 1:
        raise SettingsError(f"rates {text!r}: they must lie in [0, 1)")
    return rates


def parse_modes(text: str) -> tuple[str, ...]:
    """Read a comma-separated list of modes.

    Raises:
        SettingsError: An unknown mode.
    """
    modes = tuple(part.strip() for part in text.split(","))
    unknown = [mode for mode in modes if mode not in MODES]
    if unknown:
        raise SettingsError(f"mode {unknown[0]!r} is not one of {', '.join(MODES)}")
    return modes


def read_rows(study: MaskStudy, embedder: NetworkEmbedder) -> tuple[LabelledRows, LabelledRows]:
    """Read references and queries that the model can read.

    Raises:
        DataError: The references have only one label.
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

    Rate 0 has nothing random and is measured once, and mode `mask` has nothing to average there. A
    mode that the model cannot be studied in is left out, unless it is the only one asked for.

    Args:
        model: `PATH` or `LABEL=PATH`.
        study: What to measure.
        options: How to open the model.
        on_left_out: Told why a mode is left out.

    Raises:
        SettingsError: Not a network, or no mode applies.
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
    """Keep the modes that mean something for a model; tell why each of the others does not.

    Raises:
        SettingsError: None does.
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
    """One model under study, with the rows it is asked about.

    Attributes:
        embedder: The model.
        name: How it is called in tables.
        revision: Hub revision, if one was asked for.
        study: What is measured.
        references: Rows that answer.
        queries: Rows that are asked.
    """

    embedder: NetworkEmbedder
    name: str
    revision: str | None
    study: MaskStudy
    references: LabelledRows
    queries: LabelledRows

    def measure(self, modes: Sequence[str], rate: float, seed: int) -> Iterator[ResultRecord]:
        """Measure one point of the study in modes that share their input."""
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
        """Write down one point of the study."""
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
