"""Calibration of a library on held-out queries with known lineages, and on decoys.

In: a library, its data set, its model. Out: a `Calibration`. It is fitted on whole barcodes, on
fragments of every shorter length, because a short query is less certain, and on reads with
simulated sequencing errors. Guarded by tests/eval/identify/reference/test_calibrating.py.

Shapes: N = held-out barcodes, T = ranks, E = examples, F = features.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.eval.embed.embedder import Embedder
from barcodemae.eval.identify.judge.calibration import (
    MIN_EXAMPLES,
    Logistic,
    Scale,
    calibration_error,
    fit_logistic,
    reliability,
)
from barcodemae.eval.identify.judge.judgement import STEP_BELOW, Calibration, LengthClass, decide
from barcodemae.eval.identify.judge.ladder import LADDER, NUM_STEPS, UNKNOWN, Mixture
from barcodemae.eval.identify.judge.placing import is_changed
from barcodemae.eval.identify.reference.altered import cut_fragment, simulate_read
from barcodemae.eval.identify.reference.decoys import BANDS, make_decoys
from barcodemae.eval.identify.reference.examine import examine
from barcodemae.eval.identify.reference.heldout import (
    LADDER_RANKS,
    MIN_HELD_OUT,
    NUM_NEIGHBORS,
    Examples,
    HeldOut,
    LeaveOutSearch,
    choose_held_out,
)
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.identify.reference.survey import OnProgress


MAX_FRAGMENTS = 1000  # of each class, and as many simulated reads
MAX_DECOY_FRAGMENTS = 400
FRAGMENT_LENGTHS = (100, 150, 225, 313, 450)  # bp; 313 is the usual mini-barcode
TOLERANCE = 0.9  # queries from this share of a length class's length on belong to the class
CERTAIN = Logistic(np.zeros(0), 50.0)  # a constant of nearly 1
EXAMPLES_PER_BLOCK = 512  # which bounds the memory


@dataclass(frozen=True)
class Lesson:
    """Examples as the calibration learns from them.

    Attributes:
        features: Features, (E, F).
        winners: Codes of the winning taxa, (E, T).
        truth: Codes of the true taxa, (E, T).
        is_named: Whether the true taxon is known at all, (E, T).
        step: Step of the ladder, (E,).
        identity: Identity with the best reference, (E,).
    """

    features: NDArray[np.float64]
    winners: NDArray[np.int64]
    truth: NDArray[np.int64]
    is_named: NDArray[np.bool_]
    step: NDArray[np.int64]
    identity: NDArray[np.float64]

    @classmethod
    def concatenate(cls, parts: Sequence["Lesson"]) -> "Lesson":
        """Join lessons."""
        names = cls.__dataclass_fields__
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def select(self, rows: NDArray[Any]) -> "Lesson":
        """Return some examples."""
        return Lesson(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def has_names(self, rank: int) -> bool:
        """Whether the library names any taxon of a rank."""
        return bool((self.truth[:, rank] != UNKNOWN).any())

    def weights(self, mixture: Mixture) -> NDArray[np.float64]:
        """Return weights that give every step its share of the mixture, (E,)."""
        counts = np.bincount(self.step, minlength=NUM_STEPS)
        weights: NDArray[np.float64] = (np.array(mixture.shares) / np.maximum(counts, 1))[self.step]
        return weights


def learn_from(library: ReferenceLibrary, examples: Examples) -> Lesson:
    """Examine examples like queries, block by block."""
    parts = []
    for start in range(0, len(examples.step), EXAMPLES_PER_BLOCK):
        rows = np.arange(start, min(start + EXAMPLES_PER_BLOCK, len(examples.step)))
        block = examples.held_out.select(rows)
        found = examine(library, block.placed, examples.neighborhood.select(rows))
        parts.append(
            Lesson(
                found.evidence.features,
                found.evidence.winners,
                block.truth,
                block.is_named,
                examples.step[rows],
                found.compared.identity[:, 0],
            )
        )
    return Lesson.concatenate(parts)


def add_decoys(lesson: Lesson, decoys: Lesson) -> Lesson:
    """Add decoys for what no left-out reference shows, by how near their best reference is.

    A decoy always stands for a new phylum (or the highest rank that the library names) if it is far
    enough; for a new taxon of a lower rank only if the library has too few examples of its own. A
    library with one phylum cannot tell what is of a new class from what is of a new phylum, so
    examples of the one stand for the other too.
    """
    parts = [lesson]
    named = [place for place, rank in enumerate(LADDER_RANKS) if lesson.has_names(rank)]
    for place in named:
        low, high = BANDS[LADDER[place]]
        low = 0.0 if place == named[0] else low
        is_lacking = (lesson.step == place).sum() < MIN_EXAMPLES
        stand_ins = []
        if place == named[0] or is_lacking:
            stand_ins.append(decoys.select((decoys.identity >= low) & (decoys.identity < high)))
        if is_lacking:
            stand_ins.append(lesson.select(lesson.step == place + 1))
        for part in stand_ins:
            parts.append(replace(part, step=np.full(len(part.step), place)))
    return Lesson.concatenate(parts)


def fit_class(lesson: Lesson, mixture: Mixture, min_length: int, length: int) -> LengthClass:
    """Fit the functions of one class.

    Args:
        lesson: Examples.
        mixture: Shares of the steps that the examples are weighted to.
        min_length: Number of known letters of the shortest query of the class.
        length: Length of its examples, bp.
    """
    scale = Scale.of(lesson.features)
    standard = scale(lesson.features)
    weights = lesson.weights(mixture)
    in_library: list[Logistic] = []
    for place, rank in enumerate(LADDER_RANKS):
        if not lesson.has_names(rank):
            in_library.append(CERTAIN)  # nothing can be new at a rank that the library leaves out
            continue
        used = (lesson.step >= place) & lesson.is_named[:, rank]
        in_library.append(fit_logistic(standard[used], (lesson.step > place)[used], weights[used]))
    is_right: list[Logistic] = []
    for rank, above in enumerate(STEP_BELOW):
        used = (lesson.step > above) & lesson.is_named[:, rank]
        used &= (lesson.winners[:, rank] != UNKNOWN) & (lesson.truth[:, rank] != UNKNOWN)
        hit = (lesson.winners[:, rank] == lesson.truth[:, rank])[used]
        is_right.append(fit_logistic(standard[used], hit, weights[used]))
    return LengthClass(min_length, length, scale, tuple(in_library), tuple(is_right))


def describe_reliability(calibration: Calibration, lesson: Lesson) -> dict[str, Any]:
    """Compare predicted with observed probabilities on the examples of the fit.

    Returns:
        Rank -> calibration error and reliability bins, each (probability, accuracy, share).
    """
    lengths = np.full(len(lesson.step), calibration.classes[-1].length)
    judged = calibration.judge(lesson.features, lengths.tolist())
    verdict = decide(judged.likelihoods, judged.is_right, lesson.winners, calibration.assumed)
    weights = lesson.weights(calibration.assumed)
    found = {}
    for rank, name in enumerate(RANKS):
        used = ~np.isnan(verdict.names[:, rank]) & lesson.is_named[:, rank]
        if used.any():
            in_library = lesson.step > STEP_BELOW[rank]
            is_right = (in_library & (lesson.winners[:, rank] == lesson.truth[:, rank]))[used]
            bins = reliability(verdict.names[used, rank], is_right, weights[used])
            found[name] = {
                "error": calibration_error(bins),
                "bins": [[part.probability, part.accuracy, part.share] for part in bins],
            }
    return found


@dataclass(frozen=True)
class CalibrationFitter:
    """Fits the classes of a calibration.

    Attributes:
        library: Library to calibrate.
        embedder: Model that the library was made with.
        mixture: Expected shares of the steps.
        max_fragments: Held-out barcodes that are cut to each shorter length.
    """

    library: ReferenceLibrary
    embedder: Embedder
    mixture: Mixture
    max_fragments: int
    generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    def learn(self, held_out: HeldOut) -> Lesson:
        """Search for held-out barcodes with every rank left out, and examine what is found."""
        found = LeaveOutSearch(self.library).examples(held_out)
        return Lesson.concatenate([learn_from(self.library, examples) for examples in found])

    def learn_decoys(self, decoys: HeldOut) -> Lesson:
        """Search for decoys, which have no lineage, and examine what is found."""
        return learn_from(self.library, LeaveOutSearch(self.library).search(decoys))

    def fit(self, held_out: HeldOut, decoys: HeldOut, length: int) -> tuple[LengthClass, Lesson]:
        """Fit the class of one length; return its examples too."""
        lesson = self.learn(held_out)
        if len(decoys):
            lesson = add_decoys(lesson, self.learn_decoys(decoys))
        return fit_class(lesson, self.mixture, int(TOLERANCE * length), length), lesson

    def fragments(self, held_out: HeldOut, lengths: range, limit: int) -> HeldOut:
        """Cut fragments of all lengths of a class from those held-out barcodes that are longer."""
        longer = [n for n, p in enumerate(held_out.placed) if len(p.letters) >= lengths.stop]
        rows = np.sort(self.generator.permutation(np.array(longer, np.int64))[:limit])
        drawn = self.generator.integers(lengths.start, lengths.stop, size=len(rows)).tolist()
        cut = [
            cut_fragment(held_out.placed[row], length, self.generator)
            for row, length in zip(rows, drawn, strict=True)
        ]
        return held_out.changed_to(rows, list(cut), self.embedder)

    def reads(self, held_out: HeldOut) -> HeldOut:
        """Simulate reads of held-out barcodes that lose or gain bases."""
        rows = np.sort(self.generator.permutation(len(held_out))[: self.max_fragments])
        shortest, longest = FRAGMENT_LENGTHS[0], FRAGMENT_LENGTHS[-1]
        texts = []
        for number, row in enumerate(rows.tolist()):
            letters = held_out.placed[row].letters
            if number % 3 == 0:  # a third of the reads are fragments
                length = int(self.generator.integers(shortest, longest))
                letters = cut_fragment(held_out.placed[row], length, self.generator).letters
            texts.append(simulate_read(letters, self.generator))
        placed = list(self.library.placer(self.embedder).place(texts))
        broken = [number for number, read in enumerate(placed) if is_changed(read)]
        return held_out.changed_to(rows[broken], [placed[n] for n in broken], self.embedder)

    def fit_broken(self, held_out: HeldOut, decoys: HeldOut, length: int) -> LengthClass | None:
        """Fit the class of reads that lost or gained bases; None without a frame to tell."""
        if self.library.letters is None:
            return None
        reads = self.reads(held_out)
        return None if len(reads) < MIN_HELD_OUT else self.fit(reads, decoys, length)[0]


def calibrate(
    library: ReferenceLibrary,
    dataset: Path,
    embedder: Embedder,
    *,
    splits: Sequence[str] = ("val", "val_unseen"),
    mixture: Mixture,
    max_fragments: int = MAX_FRAGMENTS,
    on_progress: OnProgress | None = None,
) -> Calibration:
    """Fit the calibration of a library.

    Args:
        library: Library to calibrate.
        dataset: Folder of the data set that the library was made of.
        embedder: Model that the library was made with.
        splits: Held-out partitions, used beside references that are left out.
        mixture: Expected shares of the steps.
        max_fragments: Number of held-out barcodes that are cut to each shorter length.
        on_progress: Function called with a stage, the number of steps done, and their total.

    Raises:
        DataError: Too few held-out barcodes have a species and a genus.
    """
    report = on_progress or (lambda stage, done, total: None)
    held_out, origin = choose_held_out(library, dataset, splits, embedder)
    decoys = make_decoys(library, embedder)
    whole_length = int(np.median([len(placed.letters) for placed in held_out.placed]))
    fitter = CalibrationFitter(library, embedder, mixture, max_fragments)
    lengths = [length for length in FRAGMENT_LENGTHS if length < TOLERANCE * whole_length]
    num_classes = len(lengths) + 2
    # Fit the class of whole barcodes.
    report("calibrate", 0, num_classes)
    whole, lesson = fitter.fit(held_out, decoys, whole_length)
    # Fit the classes of shorter queries, and of reads with errors.
    shorter = []
    for number, (length, longer) in enumerate(pairwise([*lengths, whole_length]), start=1):
        report("calibrate", number, num_classes)
        within = range(int(TOLERANCE * length), int(TOLERANCE * longer))
        fragments = fitter.fragments(held_out, within, max_fragments)
        if len(fragments) >= MIN_HELD_OUT:
            cut_decoys = fitter.fragments(decoys, within, MAX_DECOY_FRAGMENTS)
            shorter.append(fitter.fit(fragments, cut_decoys, length)[0])
    report("calibrate", num_classes - 1, num_classes)
    broken = fitter.fit_broken(held_out, decoys, whole_length)
    report("calibrate", num_classes, num_classes)
    # Record how the calibration was fitted, and how well it fits.
    calibration = Calibration((*shorter, whole), broken, mixture, {})
    counts = np.bincount(lesson.step, minlength=NUM_STEPS).tolist()
    calibration.details.update(
        held_out=origin,
        examples=dict(zip(mixture.by_name(), counts[::-1], strict=True)),
        decoys=len(decoys),
        mixture=mixture.by_name(),
        neighbors=NUM_NEIGHBORS,
        reliability=describe_reliability(calibration, lesson),
    )
    return calibration
