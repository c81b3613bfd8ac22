"""Calibration of a library on held-out queries with known lineages.

In: a library, its data set, its model. Out: a `Calibration`. It is fitted on the examples of
`heldout.py`, and once more for every shorter length on fragments of the same barcodes, because a
short query is less certain. Guarded by tests/eval/identify/reference/test_calibrating.py.

Shapes: N = held-out barcodes, T = ranks, E = examples (each a held-out barcode in a situation).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from barcodemae.dataset import RANKS
from barcodemae.eval.embed.embedder import Embedder
from barcodemae.eval.identify.judge.alignment import align_neighbors
from barcodemae.eval.identify.judge.calibration import (
    calibration_error,
    fit_calibrator,
    reliability,
)
from barcodemae.eval.identify.judge.calibrator import Calibrator
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
    LeaveOutSearch,
    Mixture,
    choose_held_out,
)
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.identify.reference.writer import OnProgress
from barcodemae.eval.search.reference_search import Neighborhood


MAX_FRAGMENTS = 1000  # of each length
FRAGMENT_LENGTHS = (100, 150, 225, 313, 450)  # bp; 313 is the usual mini-barcode
TOLERANCE = 0.9  # queries from this share of a length class's length on belong to the class


def choose_temperature(neighborhood: Neighborhood) -> float:
    """Return a quarter of the median span between the nearest and the farthest neighbour."""
    exists = neighborhood.rows >= 0
    lowest = np.where(exists, neighborhood.similarity, np.inf).min(axis=1)
    span = float(np.median(neighborhood.similarity[:, 0] - lowest))
    return max(span / 4, 1e-4)


def fit_mode(
    evidence: Evidence, held_out: HeldOut, examples: Examples, mixture: Mixture
) -> dict[str, Calibrator]:
    """Fit the calibrators of all ranks and both kinds of novelty on one kind of evidence.

    Args:
        evidence: Winning lineages of the examples and the evidence for them, (E, T).
        held_out: Held-out barcodes with their true lineages.
        examples: Examples, E.
        mixture: Expected shares of the situations.

    Returns:
        Name of a rank or of a kind of novelty -> its calibrator.
    """
    weights = examples.weights(mixture)  # (E,)
    truth = held_out.truth[examples.barcode_rows]  # (E, T)
    is_named = held_out.is_named[examples.barcode_rows]
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
    """Compare predicted with observed probabilities on the examples of the fit.

    Args:
        calibration: Fitted calibration.
        evidence: Winning lineages of the examples and the evidence for them, (E, T).
        held_out: Held-out barcodes with their true lineages.
        examples: Examples, E.
        mixture: Expected shares of the situations.

    Returns:
        Rank -> calibration error and reliability bins, each (probability, accuracy, share).
    """
    sequences = held_out.sequences
    lengths = [len(sequences[row]) for row in examples.barcode_rows]
    judged = calibration.judge(evidence, lengths)
    weights = examples.weights(mixture)  # (E,)
    truth = held_out.truth[examples.barcode_rows]  # (E, T)
    is_named = held_out.is_named[examples.barcode_rows]
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


def random_fragments(
    sequences: Sequence[str], length: int, generator: np.random.Generator
) -> list[str]:
    """Return a fragment of each sequence from a random position; short sequences stay whole.

    Args:
        sequences: Sequences, N.
        length: Length of the fragments, bp.
        generator: Source of the positions.
    """
    starts = [int(generator.integers(max(len(text) - length, 0) + 1)) for text in sequences]
    return [text[start : start + length] for text, start in zip(sequences, starts, strict=True)]


@dataclass(frozen=True)
class CalibrationFitter:
    """Fits the length classes of a calibration.

    Attributes:
        library: Library to calibrate.
        embedder: Model that the library was made with.
        mixture: Expected shares of the situations.
    """

    library: ReferenceLibrary
    embedder: Embedder
    mixture: Mixture
    max_fragments: int

    def evidence_of(
        self, held_out: HeldOut, examples: Examples, temperature: float
    ) -> dict[str, Evidence]:
        """Gather the evidence of the examples, without and with alignments, by mode."""
        codes, barcodes = self.library.codes, self.library.barcodes
        queries = [held_out.sequences[row] for row in examples.barcode_rows]
        aligned = align_neighbors(
            queries, examples.neighborhood, codes[:, SPECIES], barcodes.__getitem__
        )
        return {
            mode: gather_evidence(codes, examples.neighborhood, found, temperature)
            for mode, found in zip(MODES, (None, aligned), strict=True)
        }

    def examples_of(self, held_out: HeldOut) -> Examples:
        """Embed held-out barcodes and search for their neighbours in every situation."""
        vectors = self.embedder.embed(held_out.sequences)  # (N, D)
        return LeaveOutSearch(self.library, held_out).examples(vectors)

    def examples_of_whole(self, held_out: HeldOut) -> Examples:
        """Search for whole barcodes in every situation; references are not embedded again."""
        if (held_out.own_rows < 0).any():
            return self.examples_of(held_out)
        vectors = self.library.vectors[held_out.own_rows]  # (N, D)
        return LeaveOutSearch(self.library, held_out).examples(vectors)

    def fit_length(
        self, held_out: HeldOut, length: int, temperature: float, generator: np.random.Generator
    ) -> LengthClass | None:
        """Fit the class of one length on fragments of the held-out barcodes.

        Args:
            held_out: Held-out barcodes.
            length: Length of the fragments, bp.
            temperature: Temperature of cosines.
            generator: Source of the fragments.

        Returns:
            The length class, None if the model can read too few fragments.
        """
        long_enough = [row for row, text in enumerate(held_out.sequences) if len(text) > length]
        rows = generator.permutation(np.array(long_enough, np.int64))[: self.max_fragments]
        fragments = held_out.select(np.sort(rows))
        fragments.sequences[:] = random_fragments(fragments.sequences, length, generator)
        invalid = self.embedder.find_invalid(fragments.sequences)
        readable = [row for row in range(len(fragments.sequences)) if row not in invalid]
        if len(readable) < MIN_HELD_OUT:
            return None
        fragments = fragments.select(np.array(readable))
        return self.fit(fragments, self.examples_of(fragments), length, temperature)[0]

    def fit(
        self, held_out: HeldOut, examples: Examples, length: int, temperature: float
    ) -> tuple[LengthClass, dict[str, Evidence]]:
        """Fit one length class on examples, in both modes; return their evidence by mode too."""
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
        library: Library to calibrate.
        dataset: Folder of the data set that the library was made of.
        embedder: Model that the library was made with.
        splits: Held-out partitions; if the data set has none of them, references are left out of
            the library instead.
        mixture: Expected shares of the situations, None for the default.
        max_fragments: Number of held-out barcodes that are cut to each shorter length.
        on_progress: Function called with a stage, the number of steps done, and their total.

    Raises:
        DataError: Too few held-out barcodes have a species and a genus.
    """
    report = on_progress or (lambda stage, done, total: None)
    mixture = mixture or Mixture()
    held_out = choose_held_out(library, dataset, splits, embedder)
    whole_length = int(np.median([len(text) for text in held_out.sequences]))
    fitter = CalibrationFitter(library, embedder, mixture, max_fragments)
    lengths = [length for length in FRAGMENT_LENGTHS if length < TOLERANCE * whole_length]
    # Fit the class of whole barcodes.
    report("calibrate", 0, len(lengths) + 1)
    examples = fitter.examples_of_whole(held_out)
    temperature = choose_temperature(examples.neighborhood)
    whole, evidence = fitter.fit(held_out, examples, whole_length, temperature)
    # Fit the classes of shorter queries.
    generator = np.random.default_rng(1)
    shorter = []
    for number, length in enumerate(lengths, start=1):
        report("calibrate", number, len(lengths) + 1)
        shorter.append(fitter.fit_length(held_out, length, temperature, generator))
    report("calibrate", len(lengths) + 1, len(lengths) + 1)
    classes = (*(part for part in shorter if part is not None), whole)
    # Record how the calibration was fitted, and how well it fits.
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
