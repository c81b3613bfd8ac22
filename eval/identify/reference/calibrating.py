"""Calibrate a library on queries whose answer is known and withheld.

In: a library, its data set, its model. Out: a `Calibration`, fitted on the examples of
`heldout.py`, and again on pieces of the same barcodes, because a short query is less certain.
Guarded by tests/eval/test_calibrating.py.

Shapes: N = held-out barcodes, T = ranks, E = examples (barcodes in situations).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from barcodemae.dataset import RANKS
from barcodemae.eval.embed.embedder import Embedder, find_invalid
from barcodemae.eval.identify.judge.alignment import align_neighbors
from barcodemae.eval.identify.judge.calibration import (
    Calibrator,
    calibration_error,
    fit_calibrator,
    reliability,
)
from barcodemae.eval.identify.judge.evidence import UNKNOWN
from barcodemae.eval.identify.judge.judgement import (
    MODES,
    NOVELTIES,
    SPECIES,
    Calibration,
    Evidence,
    LengthClass,
    gather_evidence,
)
from barcodemae.eval.identify.reference.heldout import (
    MIN_HELD_OUT,
    NUM_NEIGHBORS,
    SITUATIONS,
    Examples,
    HeldOut,
    Mixture,
    Situations,
    draw_held_out,
)
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.identify.reference.writer import OnProgress
from barcodemae.eval.search.reference_search import Neighborhood


MAX_FRAGMENTS = 1000  # of each shorter length
FRAGMENT_LENGTHS = (100, 150, 225, 313, 450)  # bp; 313 is the usual mini-barcode
TOLERANCE = 0.9  # a class begins at this share of its length


def typical_temperature(neighborhood: Neighborhood) -> float:
    """A quarter of the usual span between the nearest and the farthest neighbour."""
    exists = neighborhood.rows >= 0
    lowest = np.where(exists, neighborhood.similarity, np.inf).min(axis=1)
    span = float(np.median(neighborhood.similarity[:, 0] - lowest))
    return max(span / 4, 1e-4)


def fit_mode(
    evidence: Evidence, held_out: HeldOut, examples: Examples, mixture: Mixture
) -> dict[str, Calibrator]:
    """Fit the calibrators of all ranks and novelties on one kind of evidence."""
    weights = examples.weights(mixture)
    truth, is_named = held_out.truth[examples.which], held_out.is_named[examples.which]
    fitted = {}
    for rank, name in enumerate(RANKS):
        used = (evidence.winners[:, rank] != UNKNOWN) & is_named[:, rank]
        is_right = evidence.winners[:, rank] == truth[:, rank]
        fitted[name] = fit_calibrator(evidence.features(rank)[used], is_right[used], weights[used])
    for situation, name in enumerate(NOVELTIES, start=1):
        is_new = examples.situation >= situation
        fitted[name] = fit_calibrator(evidence.novelty_features(), is_new, weights)
    return fitted


def describe_reliability(
    calibration: Calibration,
    evidence: Evidence,
    held_out: HeldOut,
    examples: Examples,
    mixture: Mixture,
) -> dict[str, Any]:
    """Compare promised with observed on the queries it was fitted on, by rank."""
    sequences = held_out.sequences
    lengths = [len(sequences[which]) for which in examples.which]
    judged = calibration.judge(evidence, lengths)
    weights = examples.weights(mixture)
    truth, is_named = held_out.truth[examples.which], held_out.is_named[examples.which]
    found = {}
    for rank, name in enumerate(RANKS):
        used = ~np.isnan(judged.probabilities[:, rank]) & is_named[:, rank]
        if used.any():
            is_right = (judged.winners[:, rank] == truth[:, rank])[used]
            bins = reliability(judged.probabilities[used, rank], is_right, weights[used])
            found[name] = {
                "error": calibration_error(bins),
                "bins": [[part.probability, part.accuracy, part.share] for part in bins],
            }
    return found


def trim(sequences: Sequence[str], length: int, generator: np.random.Generator) -> list[str]:
    """Cut a random window of each sequence."""
    starts = [int(generator.integers(max(len(text) - length, 0) + 1)) for text in sequences]
    return [text[start : start + length] for text, start in zip(sequences, starts, strict=True)]


@dataclass(frozen=True)
class Calibrating:
    """A calibration in the making."""

    library: ReferenceLibrary
    embedder: Embedder
    mixture: Mixture
    max_fragments: int

    def evidence_of(
        self, held_out: HeldOut, examples: Examples, temperature: float
    ) -> dict[str, Evidence]:
        """Gather evidence without and with alignments."""
        codes, barcodes = self.library.codes, self.library.barcodes
        queries = [held_out.sequences[which] for which in examples.which]
        aligned = align_neighbors(
            queries, examples.neighborhood, codes[:, SPECIES], barcodes.__getitem__
        )
        return {
            mode: gather_evidence(codes, examples.neighborhood, found, temperature)
            for mode, found in zip(MODES, (None, aligned), strict=True)
        }

    def examples_of(self, held_out: HeldOut) -> Examples:
        """Embed held-out barcodes and search in every situation."""
        vectors = self.embedder.embed(held_out.sequences)
        return Situations(self.library, held_out).examples(vectors)

    def examples_of_whole(self, held_out: HeldOut) -> Examples:
        """Search for whole barcodes in every situation; references are embedded already."""
        if (held_out.own_rows < 0).any():
            return self.examples_of(held_out)
        vectors = self.library.vectors[held_out.own_rows]
        return Situations(self.library, held_out).examples(vectors)

    def fit_length(
        self, held_out: HeldOut, length: int, temperature: float, generator: np.random.Generator
    ) -> LengthClass | None:
        """Calibrate for pieces of one length; None if too few can be read."""
        long_enough = [row for row, text in enumerate(held_out.sequences) if len(text) > length]
        rows = generator.permutation(np.array(long_enough, np.int64))[: self.max_fragments]
        pieces = held_out.select(np.sort(rows))
        pieces.sequences[:] = trim(pieces.sequences, length, generator)
        invalid = find_invalid(self.embedder, pieces.sequences)
        readable = [row for row in range(len(pieces.sequences)) if row not in invalid]
        if len(readable) < MIN_HELD_OUT:
            return None
        pieces = pieces.select(np.array(readable))
        return self.fit(pieces, self.examples_of(pieces), length, temperature)[0]

    def fit(
        self, held_out: HeldOut, examples: Examples, length: int, temperature: float
    ) -> tuple[LengthClass, dict[str, Evidence]]:
        """Calibrate on some examples, in both modes."""
        evidence = self.evidence_of(held_out, examples, temperature)
        fitted = {
            mode: fit_mode(evidence[mode], held_out, examples, self.mixture) for mode in MODES
        }
        return LengthClass(int(TOLERANCE * length), length, fitted), evidence


def calibrate(
    library: ReferenceLibrary,
    dataset: Path,
    embedder: Embedder,
    *,
    splits: Sequence[str] = ("val", "val_unseen"),
    mixture: Mixture | None = None,
    max_fragments: int = MAX_FRAGMENTS,
    on_progress: OnProgress | None = None,
) -> Calibration:
    """Fit the calibration of a library.

    Args:
        library: The library.
        dataset: The data set it was made of.
        embedder: The model it was made with.
        splits: Held-out partitions; where the data set has none, references are left out.
        mixture: What queries are expected.
        max_fragments: Held-out barcodes that are cut to each shorter length; fewer take less time.
        on_progress: Called with a stage, how far it is, and its end.

    Raises:
        DataError: Too few barcodes with species and genus.
    """
    report = on_progress or (lambda stage, done, total: None)
    mixture = mixture or Mixture()
    held_out = draw_held_out(library, dataset, splits, embedder)
    whole_length = int(np.median([len(text) for text in held_out.sequences]))
    making = Calibrating(library, embedder, mixture, max_fragments)
    lengths = [length for length in FRAGMENT_LENGTHS if length < TOLERANCE * whole_length]
    report("calibrate", 0, len(lengths) + 1)
    examples = making.examples_of_whole(held_out)
    temperature = typical_temperature(examples.neighborhood)
    whole, evidence = making.fit(held_out, examples, whole_length, temperature)
    generator = np.random.default_rng(1)
    shorter = []
    for number, length in enumerate(lengths, start=1):
        report("calibrate", number, len(lengths) + 1)
        shorter.append(making.fit_length(held_out, length, temperature, generator))
    report("calibrate", len(lengths) + 1, len(lengths) + 1)
    classes = (*(part for part in shorter if part is not None), whole)
    counts = np.bincount(examples.situation, minlength=len(SITUATIONS)).tolist()
    calibration = Calibration(temperature, classes, {})
    calibration.details.update(
        held_out=held_out.origin,
        examples=dict(zip(SITUATIONS, counts, strict=True)),
        mixture=dict(zip(SITUATIONS, mixture.shares(), strict=True)),
        neighbors=NUM_NEIGHBORS,
        reliability={
            mode: describe_reliability(calibration, found, held_out, examples, mixture)
            for mode, found in evidence.items()
        },
    )
    return calibration
