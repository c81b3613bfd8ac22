"""The ladder of a query: down to which rank the library holds its lineage, as one distribution.

    step       0              1          2 ...   5             6
    the query  of no phylum   only its   ...     its genus,    its species
    is         in the library phylum             new species   is there
    novelty    new_phylum     new_class  ...     new_species   none

Every query stands on one step. How often each step occurs in a sample is its *mixture*, which may
be far from that of the calibration; expectation-maximisation estimates it from the sample's own
likelihoods (Saerens et al. 2002), pulled towards the assumed mixture where there are few queries.
Above the genus it is kept from explaining strangers away, see `keep_upper_shares`.
In: likelihoods of steps. Out: mixtures, and probabilities of steps.
Guarded by tests/eval/identify/judge/test_ladder.py.

Shapes: Q = queries, S = steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.errors import SettingsError


LADDER = tuple(rank for rank in RANKS if rank != "subfamily")  # few lineages give a subfamily
NOVELTIES = tuple(f"new_{rank}" for rank in reversed(LADDER))  # as users write mixtures
NUM_STEPS = len(LADDER) + 1
UNKNOWN = -1  # code of a taxon that is not known, or that the library lacks
PSEUDO_QUERIES = 50.0  # the assumed mixture weighs as much as so many queries of the sample
NUM_ROUNDS = 200
MIXTURE_DECIMALS = 6
LAST_UPPER = LADDER.index("family")  # the lowest step whose share bounds those above it


@dataclass(frozen=True)
class Mixture:
    """Expected shares of the steps among the queries.

    Attributes:
        shares: Share of each step, (S,), from `new_phylum` to a known species; they add up to 1.
        origin: Where it comes from: `assumed`, `given` or `estimated`.

    Raises:
        SettingsError: A share is not above zero.
    """

    shares: tuple[float, ...]
    origin: str = "assumed"

    def __post_init__(self) -> None:
        if len(self.shares) != NUM_STEPS or not all(0 < share <= 1 for share in self.shares):
            raise SettingsError(f"a mixture needs {NUM_STEPS} shares above zero")

    @classmethod
    def of(cls, shares: Sequence[float], origin: str = "assumed") -> "Mixture":
        """Make a mixture of any positive numbers: only their ratios matter."""
        total = sum(shares)
        if not np.isfinite(total) or total <= 0:
            raise SettingsError("a mixture needs shares above zero")
        return cls(tuple(round(share / total, MIXTURE_DECIMALS) for share in shares), origin)

    @classmethod
    def parse(cls, text: str) -> "Mixture":
        """Parse a mixture such as `65,30,5`: known, new species, new genus, and so on upwards.

        Ranks that are not mentioned get a little: `LITTLE` of the whole each.

        Raises:
            SettingsError: The text is not one to seven numbers above zero.
        """
        try:
            given = [float(part) for part in text.split(",")]
        except ValueError:
            given = []
        if not (2 <= len(given) <= NUM_STEPS and all(0 < share < np.inf for share in given)):
            raise SettingsError(
                f"a mixture is two to {NUM_STEPS} numbers above zero, of known species, "
                f"{', '.join(NOVELTIES)}, such as 65,30,5; got {text}"
            )
        given += [LITTLE * sum(given)] * (NUM_STEPS - len(given))
        return cls.of(given[::-1], "given")

    def by_name(self) -> dict[str, float]:
        """Return the share of `known` and of every novelty."""
        return dict(zip(("known", *NOVELTIES), self.shares[::-1], strict=True))


LITTLE = 0.005
DEFAULT_MIXTURE = Mixture.of([3, 1, 2, 3, 6, 25, 60])


def estimate_mixture(likelihoods: NDArray[np.float64], assumed: Mixture) -> Mixture:
    """Estimate the mixture of a sample by expectation-maximisation.

    The result does not depend on the order of the queries.

    Args:
        likelihoods: Likelihood of every step given the evidence, up to a factor per query, (Q, S).
        assumed: Mixture before anything is known of the sample.
    """
    if not len(likelihoods):
        return assumed
    ordered = likelihoods[np.lexsort(likelihoods.T)]
    prior = np.array(assumed.shares)
    shares = prior.copy()
    for _ in range(NUM_ROUNDS):
        posterior = ordered * shares
        posterior /= posterior.sum(axis=1, keepdims=True)
        shares = posterior.sum(axis=0) + PSEUDO_QUERIES * prior
        shares = keep_upper_shares(shares / shares.sum(), prior)
    return Mixture.of(np.maximum(shares, 10**-MIXTURE_DECIMALS).tolist(), "estimated")


def keep_upper_shares(
    shares: NDArray[np.float64], prior: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Raise the shares of the upper steps to their assumed ratio to the step below them.

    A small library shows little of what lies above its orders: another phylum can look like an
    order that it lacks. A sample of nothing but worms then fits new orders slightly better, and
    estimation would make a certainty of it. Whoever meets many new orders must expect new phyla.

    Args:
        shares: Estimated shares, (S,), which add up to 1.
        prior: Assumed shares, (S,).
    """
    kept = shares.copy()
    for step in range(LAST_UPPER - 1, -1, -1):
        kept[step] = max(kept[step], kept[step + 1] * prior[step] / prior[step + 1])
    kept /= kept.sum()
    return kept


def steps_of(likelihoods: NDArray[np.float64], mixture: Mixture) -> NDArray[np.float64]:
    """Return the probability of every step under a mixture, (Q, S)."""
    weighted = likelihoods * np.array(mixture.shares)
    found: NDArray[np.float64] = weighted / weighted.sum(axis=1, keepdims=True)
    return found
