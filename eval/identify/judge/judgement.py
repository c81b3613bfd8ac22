"""Calibrated judgement of queries: which lineage of the library, or from which rank on it is new.

In: the evidence. Out: for every query likelihoods of the steps of the ladder, and the probability
that each winning taxon is right if the library holds its lineage that far; then, under a mixture,
probabilities of names and of novelties. Both are parts of one distribution:

    P(name at a rank) + P(new at this rank) + P(another name of the library) = 1

so a name and the novelty of its rank can never both be likely.
Guarded by tests/eval/identify/judge/test_judgement.py.

Shapes: Q = queries, T = ranks, S = steps, F = features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.judge.calibration import Logistic, Scale
from barcodemae.eval.identify.judge.ladder import LADDER, NUM_STEPS, UNKNOWN, Mixture, steps_of


GENUS, SPECIES = RANKS.index("genus"), RANKS.index("species")
# Step that a query has to be above for the taxon of each rank to be in the library, T.
STEP_BELOW = [LADDER.index("family" if rank == "subfamily" else rank) for rank in RANKS]


@dataclass(frozen=True)
class LengthClass:
    """Calibration of queries in one range of lengths, or of reads that lost or gained bases.

    Attributes:
        min_length: Number of known letters of the shortest query of the class.
        length: Length of the queries that the class was calibrated on, bp.
        scale: Scale of the features.
        in_library: For each rank of the ladder, probability that the library holds the query's
            taxon there if it does so one rank above, S - 1 functions.
        is_right: For each rank, probability that the winning taxon is right if the library holds
            the query's taxon, T functions.
    """

    min_length: int
    length: int
    scale: Scale
    in_library: tuple[Logistic, ...]
    is_right: tuple[Logistic, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the class as plain numbers."""
        return {
            "min_length": self.min_length,
            "length": self.length,
            "mean": self.scale.mean.tolist(),
            "deviation": self.scale.deviation.tolist(),
            "in_library": [[part.bias, *part.weights.tolist()] for part in self.in_library],
            "is_right": [[part.bias, *part.weights.tolist()] for part in self.is_right],
        }

    @classmethod
    def from_json(cls, content: Any) -> "LengthClass":
        """Read what `to_json` wrote."""
        in_library, is_right = (
            tuple(Logistic(np.array(part[1:], np.float64), float(part[0])) for part in parts)
            for parts in (content["in_library"], content["is_right"])
        )
        scale = Scale(np.array(content["mean"]), np.array(content["deviation"]))
        return cls(content["min_length"], content["length"], scale, in_library, is_right)


@dataclass(frozen=True)
class Judgement:
    """What the evidence says of queries, before anything is assumed about the sample.

    Attributes:
        likelihoods: Likelihood of every step, up to a factor per query, (Q, S).
        is_right: Probability that each winning taxon is right if the library holds the query's
            taxon of that rank, (Q, T).
    """

    likelihoods: NDArray[np.float64]
    is_right: NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Calibration of a library: from evidence to likelihoods, for every length.

    Attributes:
        classes: Classes by query length, shortest first.
        broken: Class of reads that lost or gained bases, whatever their length; None without.
        assumed: Mixture of the examples that the classes were fitted on.
        details: How the calibration was fitted.
    """

    classes: tuple[LengthClass, ...]
    broken: LengthClass | None
    assumed: Mixture
    details: dict[str, Any]

    @property
    def min_length(self) -> int:
        """Number of known letters of the shortest query that can be judged."""
        return self.classes[0].min_length

    @property
    def full_length(self) -> int:
        """Number of known letters of the shortest query that counts as a whole barcode."""
        return self.classes[-1].min_length

    def to_json(self) -> dict[str, Any]:
        """Return the calibration as plain numbers."""
        return {
            "classes": [part.to_json() for part in self.classes],
            "broken": None if self.broken is None else self.broken.to_json(),
            "assumed": list(self.assumed.shares),
            "details": self.details,
        }

    @classmethod
    def from_json(cls, content: Any) -> "Calibration":
        """Read what `to_json` wrote."""
        broken = content["broken"]
        return cls(
            tuple(LengthClass.from_json(part) for part in content["classes"]),
            None if broken is None else LengthClass.from_json(broken),
            Mixture(tuple(content["assumed"])),
            content["details"],
        )

    def judge(
        self,
        features: NDArray[np.float64],
        lengths: Sequence[int],
        is_broken: NDArray[np.bool_] | None = None,
    ) -> Judgement:
        """Compute the likelihood of every step, and how sure the winning taxa are.

        Args:
            features: Features of the queries, see `gather_evidence`, (Q, F).
            lengths: Numbers of known letters of the queries, Q.
            is_broken: Reads that lost or gained bases, (Q,); None if none did.
        """
        judged = Judgement(
            np.ones((len(features), NUM_STEPS)), np.ones((len(features), len(RANKS)))
        )
        minima = [part.min_length for part in self.classes]
        class_of = np.maximum(np.searchsorted(minima, lengths, side="right") - 1, 0)  # (Q,)
        if is_broken is not None and self.broken is not None:
            class_of = np.where(is_broken, len(self.classes), class_of)
        every = [*self.classes, *([] if self.broken is None else [self.broken])]
        for number in np.unique(class_of):
            rows = class_of == number  # (Q,)
            part = every[number]
            standard = part.scale(features[rows])
            steps = climb(np.stack([found(standard) for found in part.in_library], axis=1))
            judged.likelihoods[rows] = steps / np.array(self.assumed.shares)
            judged.is_right[rows] = np.stack([found(standard) for found in part.is_right], axis=1)
        return judged


def climb(in_library: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn probabilities of one more rank into those of the steps, (Q, S - 1) to (Q, S)."""
    reached = np.cumprod(in_library, axis=1)  # (Q, S - 1), at least this step and one more
    above = np.concatenate([np.ones((len(reached), 1)), reached], axis=1)
    below = np.concatenate([reached, np.zeros((len(reached), 1))], axis=1)
    steps: NDArray[np.float64] = above - below
    return steps


@dataclass(frozen=True)
class Verdict:
    """Probabilities of names and novelties under a mixture.

    Attributes:
        names: Probability that each winning taxon is right, (Q, T); NaN where none is known.
        novelty: Probability that the library lacks the query's taxon of each rank of the ladder,
            (Q, S - 1), from the phylum down.
    """

    names: NDArray[np.float64]
    novelty: NDArray[np.float64]


def decide(
    likelihoods: NDArray[np.float64],
    is_right: NDArray[np.float64],
    winners: NDArray[np.int64],
    mixture: Mixture,
) -> Verdict:
    """Compute the probabilities of names and novelties.

    Args:
        likelihoods: Likelihood of every step, (Q, S).
        is_right: See `Judgement`, (Q, T).
        winners: Codes of the winning taxa, (Q, T).
        mixture: Mixture of the sample.
    """
    novelty = np.cumsum(steps_of(likelihoods, mixture), axis=1)[:, :-1]  # (Q, S - 1)
    novelty = np.clip(novelty, 0.0, 1.0)
    names = (1 - novelty[:, STEP_BELOW]) * is_right
    names = np.where(winners == UNKNOWN, np.nan, names)
    return Verdict(make_monotone(names), novelty)


def make_monotone(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Raise each rank to the highest probability below it: a right species has a right genus.

    Args:
        probabilities: Probability of each rank's taxon, top rank first, (Q, T); NaN stays NaN.
    """
    known = np.where(np.isnan(probabilities), 0.0, probabilities)
    raised = np.maximum.accumulate(known[:, ::-1], axis=1)[:, ::-1]
    return np.where(np.isnan(probabilities), np.nan, raised)
