"""Calibrated judgement of queries: a lineage with a probability at every rank, and novelty.

In: the neighbours of each query, with or without alignments, and a calibration. Out: taxa with
probabilities that never increase from one rank to the next lower one, and the probabilities that
the library lacks the species or the genus. Guarded by tests/eval/identify/judge/test_judgement.py.

Shapes: R = references, Q = queries, K = neighbours, A = aligned candidates, T = ranks,
F = features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.judge.alignment import AlignedCandidates
from barcodemae.eval.identify.judge.calibrator import Calibrator
from barcodemae.eval.identify.judge.evidence import UNKNOWN, RankEvidence, choose_lineage, weigh
from barcodemae.eval.search.reference_search import Neighborhood


FAMILY, GENUS, SPECIES = (RANKS.index(rank) for rank in ("family", "genus", "species"))
NOVELTIES = ("new_species", "new_genus")
IDENTITY_TEMPERATURE = 0.01  # a candidate with one percent less identity weighs 1/e as much
MODES = ("similarity", "verified")  # kinds of evidence: without and with alignments


@dataclass(frozen=True)
class Evidence:
    """Winning lineages of queries and the evidence for them.

    Attributes:
        winners: Codes of the winning taxa, (Q, T).
        similarity: Evidence from cosines of embeddings.
        identity: Evidence from alignments; None without alignments.
        nearest: Row of the best aligned reference, without alignments of the nearest one, (Q,).
    """

    winners: NDArray[np.int64]
    similarity: RankEvidence
    identity: RankEvidence | None
    nearest: NDArray[np.int64]

    @property
    def mode(self) -> str:
        """Name of the calibration that fits this evidence, one of `MODES`."""
        return "similarity" if self.identity is None else "verified"

    def features(self, rank: int) -> NDArray[np.float64]:
        """Return the features that predict whether the taxon of one rank is right, (Q, F)."""
        features = self.similarity.features(rank)
        if self.identity is None:
            return features
        return np.concatenate([features, self.identity.features(rank)], axis=1)

    def novelty_features(self) -> NDArray[np.float64]:
        """Return the features that predict novelty: of species, genus and family, (Q, 3 F)."""
        return np.concatenate([self.features(rank) for rank in (SPECIES, GENUS, FAMILY)], axis=1)


def gather_evidence(
    codes: NDArray[np.int32],
    neighborhood: Neighborhood,
    aligned: AlignedCandidates | None,
    temperature: float,
) -> Evidence:
    """Choose the winning lineages and weigh the neighbours for and against them.

    Args:
        codes: Codes of all references' taxa, (R, T).
        neighborhood: Nearest references of each query, (Q, K).
        aligned: Aligned candidates of each query, (Q, A), which then choose the lineage; or None.
        temperature: Temperature of cosines, see `weigh`.
    """
    near = codes[neighborhood.rows]  # (Q, K, T)
    if aligned is None:
        winners = choose_lineage(near, neighborhood.rows >= 0)
        return Evidence(
            winners,
            weigh(neighborhood.similarity, near, winners, temperature),
            None,
            neighborhood.rows[:, 0],
        )
    candidates = codes[aligned.rows]  # (Q, A, T)
    winners = choose_lineage(candidates, aligned.rows >= 0)
    return Evidence(
        winners,
        weigh(neighborhood.similarity, near, winners, temperature),
        weigh(aligned.score, candidates, winners, IDENTITY_TEMPERATURE),
        aligned.rows[:, 0],
    )


@dataclass(frozen=True)
class Judgement:
    """Lineages of queries with calibrated probabilities.

    Attributes:
        winners: Codes of the winning taxa, (Q, T).
        probabilities: Probability that each is right, (Q, T); NaN where no taxon is known.
        novelty: Probabilities that species and genus are not in the library, (Q, 2).
        agreement: Weighted share of the winning taxon among the neighbours, (Q, T), 0 to 1.
        nearest: Row of the nearest reference, (Q,).
    """

    winners: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    novelty: NDArray[np.float64]
    agreement: NDArray[np.float64]
    nearest: NDArray[np.int64]

    def depth(self, threshold: float) -> NDArray[np.int64]:
        """Count the ranks, from the top, that reach a threshold, (Q,); unknown taxa pass."""
        fails = self.probabilities < threshold  # (Q, T); a comparison with NaN is false
        return np.where(fails.any(axis=1), fails.argmax(axis=1), len(RANKS)).astype(np.int64)


@dataclass(frozen=True)
class LengthClass:
    """Calibrators for queries in one range of lengths.

    Attributes:
        min_length: Length of the shortest query of the class, bp.
        length: Length of the queries that the class was calibrated on, bp.
        calibrators: Mode -> rank or kind of novelty -> calibrator.
    """

    min_length: int
    length: int
    calibrators: dict[str, dict[str, Calibrator]]


@dataclass(frozen=True)
class Calibration:
    """Calibration of a library: from evidence to probability, for every rank, length and mode.

    Attributes:
        temperature: Temperature of cosines, see `weigh`.
        classes: Calibrators by query length, shortest first.
        details: How the calibration was fitted: mixture, queries, reliability.
    """

    temperature: float
    classes: tuple[LengthClass, ...]
    details: dict[str, Any]

    @property
    def min_length(self) -> int:
        """Length of the shortest query that can be judged, bp."""
        return self.classes[0].min_length

    @property
    def full_length(self) -> int:
        """Length of the shortest query that counts as a whole barcode, bp."""
        return self.classes[-1].min_length

    def to_json(self) -> dict[str, Any]:
        """Return the calibration as plain numbers."""
        return {
            "temperature": self.temperature,
            "classes": [
                {
                    "min_length": part.min_length,
                    "length": part.length,
                    "calibrators": {
                        mode: {name: found.to_json() for name, found in by_name.items()}
                        for mode, by_name in part.calibrators.items()
                    },
                }
                for part in self.classes
            ],
            "details": self.details,
        }

    @classmethod
    def from_json(cls, content: Any) -> "Calibration":
        """Read what `to_json` wrote."""
        classes = [
            LengthClass(
                part["min_length"],
                part["length"],
                {
                    mode: {name: Calibrator(**numbers) for name, numbers in by_name.items()}
                    for mode, by_name in part["calibrators"].items()
                },
            )
            for part in content["classes"]
        ]
        return cls(content["temperature"], tuple(classes), content["details"])

    def judge(self, evidence: Evidence, lengths: Sequence[int]) -> Judgement:
        """Compute the probability of every winning taxon and of novelty.

        Args:
            evidence: Winning lineages and the evidence for them, see `gather_evidence`.
            lengths: Lengths of the queries, Q, bp.
        """
        shape = evidence.winners.shape
        probabilities, novelty = np.full(shape, np.nan), np.zeros((shape[0], len(NOVELTIES)))
        # Find the length class of each query.
        minima = [part.min_length for part in self.classes]
        class_of = np.maximum(np.searchsorted(minima, lengths, side="right") - 1, 0)  # (Q,)
        rank_features = [evidence.features(rank) for rank in range(len(RANKS))]  # T of (Q, F)
        novelty_features = evidence.novelty_features()  # (Q, 3 F)
        # Apply the calibrators of each class to its queries.
        for number in np.unique(class_of):
            rows = class_of == number  # (Q,)
            calibrators = self.classes[number].calibrators[evidence.mode]
            for rank, name in enumerate(RANKS):
                probabilities[rows, rank] = calibrators[name](rank_features[rank][rows])
            for column, name in enumerate(NOVELTIES):
                novelty[rows, column] = calibrators[name](novelty_features[rows])
        novelty[:, 0] = novelty.max(axis=1)  # a species of a new genus is new too
        probabilities[evidence.winners == UNKNOWN] = np.nan
        return Judgement(
            evidence.winners,
            make_monotone(probabilities),
            novelty,
            evidence.similarity.agreement,
            evidence.nearest,
        )


def make_monotone(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Raise each rank to the highest probability below it: a right species has a right genus.

    Args:
        probabilities: Probability of each rank's taxon, top rank first, (Q, T); NaN stays NaN.
    """
    known = np.where(np.isnan(probabilities), 0.0, probabilities)
    raised = np.maximum.accumulate(known[:, ::-1], axis=1)[:, ::-1]
    return np.where(np.isnan(probabilities), np.nan, raised)
