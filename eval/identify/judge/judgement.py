"""What is found about queries, judged: a lineage with a probability at every rank, and novelty.

In: neighbours of each query, with or without alignments, and a calibration. Out: taxa,
probabilities that never rise towards the species, and the probabilities that species or genus are
not in the library. Guarded by tests/eval/test_judgement.py.

Shapes: Q = queries, K = neighbours, A = aligned candidates, T = ranks, F = features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.judge.alignment import AlignedCandidates
from barcodemae.eval.identify.judge.calibration import Calibrator
from barcodemae.eval.identify.judge.evidence import UNKNOWN, RankEvidence, choose_lineage, weigh
from barcodemae.eval.search.reference_search import Neighborhood


FAMILY, GENUS, SPECIES = (RANKS.index(rank) for rank in ("family", "genus", "species"))
NOVELTIES = ("new_species", "new_genus")
IDENTITY_TEMPERATURE = 0.01  # identities: one percent less counts 1/e as much
MODES = ("similarity", "verified")  # without and with alignments


@dataclass(frozen=True)
class Evidence:
    """Lineages chosen for queries and the evidence for them.

    Attributes:
        winners: Codes of the chosen taxa, (Q, T).
        similarity: Evidence from the embeddings.
        identity: Evidence from alignments; None without.
        nearest: Row of the reference that is nearest, or best aligned, (Q,).
    """

    winners: NDArray[np.int64]
    similarity: RankEvidence
    identity: RankEvidence | None
    nearest: NDArray[np.int64]

    @property
    def mode(self) -> str:
        """Which calibration this evidence needs."""
        return "similarity" if self.identity is None else "verified"

    def features(self, rank: int) -> NDArray[np.float64]:
        """Return the features of one rank, (Q, F)."""
        features = self.similarity.features(rank)
        if self.identity is None:
            return features
        return np.concatenate([features, self.identity.features(rank)], axis=1)

    def novelty_features(self) -> NDArray[np.float64]:
        """Return the features of species, genus and family, (Q, 3 F)."""
        return np.concatenate([self.features(rank) for rank in (SPECIES, GENUS, FAMILY)], axis=1)


def gather_evidence(
    codes: NDArray[np.int32],
    neighborhood: Neighborhood,
    aligned: AlignedCandidates | None,
    temperature: float,
) -> Evidence:
    """Choose lineages and weigh the neighbours for and against them.

    Args:
        codes: Taxa of all references, (R, T).
        neighborhood: From the search.
        aligned: Some of the neighbours, aligned; they decide if they are given.
        temperature: Of cosines, see `weigh`.
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
    """What is believed about queries.

    Attributes:
        winners: Codes of taxa, (Q, T).
        probabilities: That they are right, (Q, T); NaN where no taxon is known.
        novelty: Probability that species and genus are not in the library, (Q, 2).
        agreement: Share of the winning taxon in the neighbourhood, (Q, T).
        nearest: Row of the nearest reference, (Q,).
    """

    winners: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    novelty: NDArray[np.float64]
    agreement: NDArray[np.float64]
    nearest: NDArray[np.int64]

    def depth(self, threshold: float) -> NDArray[np.int64]:
        """Number of ranks, from the top, that reach a threshold, (Q,); unknown ranks never stop."""
        fails = self.probabilities < threshold  # NaN compares false
        return np.where(fails.any(axis=1), fails.argmax(axis=1), len(RANKS)).astype(np.int64)


@dataclass(frozen=True)
class LengthClass:
    """Calibrators for queries of one range of lengths.

    Attributes:
        min_length: Shortest query of the class, bp.
        length: What it was calibrated with, bp.
        calibrators: Mode -> rank or novelty -> calibrator.
    """

    min_length: int
    length: int
    calibrators: dict[str, dict[str, Calibrator]]


@dataclass(frozen=True)
class Calibration:
    """From evidence to probability, for every rank, length and mode.

    Attributes:
        temperature: Of cosines, see `weigh`.
        classes: By length, shortest first.
        details: How it was fitted: mixture, queries, reliability.
    """

    temperature: float
    classes: tuple[LengthClass, ...]
    details: dict[str, Any]

    @property
    def min_length(self) -> int:
        """Shortest query that was calibrated, bp."""
        return self.classes[0].min_length

    @property
    def full_length(self) -> int:
        """Shortest query that counts as a whole barcode, bp."""
        return self.classes[-1].min_length

    def to_json(self) -> dict[str, Any]:
        """Write as plain numbers."""
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
        """Give every chosen taxon its probability.

        Args:
            evidence: See `gather_evidence`.
            lengths: Of the queries, bp.
        """
        shape = evidence.winners.shape
        probabilities, novelty = np.full(shape, np.nan), np.zeros((shape[0], len(NOVELTIES)))
        minima = [part.min_length for part in self.classes]
        place = np.maximum(np.searchsorted(minima, lengths, side="right") - 1, 0)
        of_ranks = [evidence.features(rank) for rank in range(len(RANKS))]
        of_novelty = evidence.novelty_features()
        for number in np.unique(place):
            rows = place == number
            known = self.classes[number].calibrators[evidence.mode]
            for rank, name in enumerate(RANKS):
                probabilities[rows, rank] = known[name](of_ranks[rank][rows])
            for column, name in enumerate(NOVELTIES):
                novelty[rows, column] = known[name](of_novelty[rows])
        novelty[:, 0] = novelty.max(axis=1)  # a new genus has new species only
        probabilities[evidence.winners == UNKNOWN] = np.nan
        return Judgement(
            evidence.winners,
            never_rising(probabilities),
            novelty,
            evidence.similarity.agreement,
            evidence.nearest,
        )


def never_rising(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Raise each rank to what the ranks below it have: a right species has a right genus."""
    known = np.where(np.isnan(probabilities), 0.0, probabilities)
    raised = np.maximum.accumulate(known[:, ::-1], axis=1)[:, ::-1]
    return np.where(np.isnan(probabilities), np.nan, raised)
