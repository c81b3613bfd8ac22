"""What is found about one query, and what it is called once the sample's mixture is known.

A `Finding` holds what the evidence says, whatever else is in the sample. `conclude` turns it into
an `Identification` under a mixture and thresholds: so a sample is examined once, its mixture
estimated from all findings, and every record then judged by the same one.
Guarded by tests/eval/identify/test_findings.py.

Shapes: T = ranks, S = steps of the ladder.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.errors import SettingsError
from barcodemae.eval.identify.candidates import Candidate
from barcodemae.eval.identify.judge.judgement import decide
from barcodemae.eval.identify.judge.ladder import LADDER, Mixture
from barcodemae.eval.identify.judge.ties import Tie
from barcodemae.eval.identify.reference.library import ReferenceLibrary


AMBIGUOUS_ABOVE = 0.01  # share of letters other than A, C, G, T
NOVEL_FROM = 0.5  # probability
MAX_TOLD = 10  # names of tied references that are told
NOVEL_FLAGS = {f"novel_{rank}": place for place, rank in enumerate(LADDER)}
FLAGS = (
    "not_a_barcode",
    *reversed(NOVEL_FLAGS),
    "conflict",
    "reference_flagged",
    "excluded_nearer",
    "short",
    "ambiguous",
    "trimmed",
    "frameshift",
    "stop_codon",
    "exact_match",
)
# Chosen on `val` and `val_unseen`, see "How the thresholds were chosen" in docs/trust.md, and above
# families on a sample with foreigners, where caution costs next to nothing; see docs/log.md.
DEFAULT_THRESHOLDS = dict.fromkeys(RANKS, 0.8) | {
    "family": 0.6,
    "subfamily": 0.6,
    "genus": 0.7,
    "species": 0.5,
}


def parse_thresholds(text: str) -> dict[str, float]:
    """Parse thresholds: one number for all ranks, or `species=0.8,genus=0.9` for some.

    Raises:
        SettingsError: A rank is unknown, or a threshold is not a probability.
    """
    found = dict(DEFAULT_THRESHOLDS)
    for part in filter(None, (item.strip() for item in text.split(","))):
        rank, _, number = part.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if (rank and rank not in RANKS) or not 0 <= value <= 1:
            raise SettingsError(
                f"threshold {part!r}: a probability between 0 and 1 is needed, for all ranks or as "
                f"RANK=PROBABILITY with one of {', '.join(RANKS)}"
            )
        found |= {rank: value} if rank else dict.fromkeys(RANKS, value)
    return found


@dataclass(frozen=True)
class Placed:
    """How a query was placed.

    Attributes:
        is_barcode: Whether it is a barcode at all.
        evidence: Log-odds of a barcode against background per known letter, nats.
        strand: `+` if the query was on the library's strand, `-` if it was reverse-complemented.
        length: Number of its letters inside the barcode, bp.
        unknown: Share of these letters other than A, C, G, T, 0 to 1.
        num_before: Number of letters that were cut off before the barcode.
        num_after: Number of letters that were cut off after it.
        num_gained: Number of inserted bases that were left out.
        num_lost: Number of deleted bases.
        has_stop: Whether no reading frame is free of stop codons, in a library of coding barcodes.
        is_short: Whether it is shorter than a whole barcode.
    """

    is_barcode: bool
    evidence: float
    strand: str
    length: int
    unknown: float
    num_before: int
    num_after: int
    num_gained: int
    num_lost: int
    has_stop: bool
    is_short: bool

    def flags(self) -> dict[str, bool]:
        """Return the flags that concern the letters alone."""
        return {
            "not_a_barcode": not self.is_barcode,
            "short": self.is_short,
            "ambiguous": self.unknown > AMBIGUOUS_ABOVE,
            "trimmed": self.num_before + self.num_after > 0,
            "frameshift": self.num_gained % 3 != 0 or self.num_lost % 3 != 0,
            "stop_codon": self.is_barcode and self.has_stop,
        }


@dataclass(frozen=True)
class Match:
    """What the neighbours of a barcode say.

    Attributes:
        tie: The winning taxa, and what the references that are alike to the best are named.
        likelihoods: Likelihood of every step, (S,).
        is_right: Probability that each winner is right if the library holds the taxon, (T,).
        agreement: Share of each winner among the neighbours, (T,).
        nearest: Row of the best reference.
        is_exact: Whether it has exactly the letters of the query.
        similarity: Cosine with it.
        identity: Share of equal letters, 0 to 1.
        coverage: Share of the query's letters that were compared, 0 to 1.
        excluded: Row of an excluded reference that is nearer; None if there is none.
        candidates: Best references, if they are asked for.
    """

    tie: Tie
    likelihoods: NDArray[np.float64]
    is_right: NDArray[np.float64]
    agreement: NDArray[np.float64]
    nearest: int
    is_exact: bool
    similarity: float
    identity: float
    coverage: float
    excluded: int | None = None
    candidates: list[Candidate] = field(default_factory=list)


@dataclass(frozen=True)
class Finding:
    """What is found about one query.

    Attributes:
        id: Id of the record, unchanged.
        placed: How it was placed.
        match: What its neighbours say; None if it is no barcode.
    """

    id: str
    placed: Placed
    match: Match | None


@dataclass(frozen=True, kw_only=True)
class Identification:
    """The lineage found for one query, with the evidence for it.

    Attributes:
        id: Id of the record, unchanged.
        names: Most probable taxon of each rank, T; None where the library has no name.
        probabilities: Probability that each name is right, T.
        depth: Number of ranks, from the top, that are assigned a name.
        novelty: Probability that the library lacks the taxon of each rank of the ladder.
        nearest: Id of the best reference; empty if the record is no barcode.
        similarity: Cosine similarity to it.
        agreement: Weighted share of neighbours that carry the deepest assigned name, 0 to 1.
        identity: Identity with the best reference, 0 to 1; None if the record is no barcode.
        coverage: Share of the query that was compared, 0 to 1; likewise.
        placed: How the query was placed.
        bin: BIN of the best reference; None if it has none.
        bin_agreement: Share of this BIN's members that carry its most frequent species name.
        candidates: Names of the species that the best references carry, if they are several.
        excluded: Name of an excluded reference that is nearer; None if there is none.
        flags: Flags that apply, in the order of `FLAGS`.
    """

    id: str
    names: list[str | None]
    probabilities: list[float]
    depth: int
    novelty: dict[str, float]
    nearest: str
    similarity: float | None
    agreement: float
    identity: float | None
    coverage: float | None
    placed: Placed
    bin: str | None
    bin_agreement: float | None
    candidates: list[str]
    excluded: str | None
    flags: list[str]

    def assigned(self) -> list[tuple[str, str, float]]:
        """Return rank, name and probability of the assigned names, from the top."""
        return [
            (rank, name, probability)
            for rank, name, probability in zip(
                RANKS[: self.depth], self.names, self.probabilities, strict=False
            )
            if name is not None
        ]


def conclude(
    finding: Finding, library: ReferenceLibrary, mixture: Mixture, thresholds: dict[str, float]
) -> Identification:
    """Name a query under a mixture.

    Args:
        finding: What was found about it.
        library: Library that it was compared with.
        mixture: Mixture of the sample.
        thresholds: Rank -> lowest probability at which a name is assigned.
    """
    if finding.match is None:
        return no_barcode(finding)
    match, winners = finding.match, finding.match.tie.winners
    verdict = decide(match.likelihoods[None], match.is_right[None], winners[None], mixture)
    names, novelty = verdict.names[0], verdict.novelty[0]
    depth = min(find_depth(names, novelty, thresholds), match.tie.depth)
    known = [rank for rank in range(depth) if winners[rank] >= 0]
    is_present = finding.placed.flags() | {
        flag: bool(novelty[place] >= NOVEL_FROM) for flag, place in NOVEL_FLAGS.items()
    }
    is_present["exact_match"] = match.is_exact
    is_present["conflict"] = match.tie.is_conflict
    is_present["reference_flagged"] = match.nearest in library.doubts
    is_present["excluded_nearer"] = match.excluded is not None
    bin_name, bin_agreement = library.bins.describe(match.nearest)
    return Identification(
        id=finding.id,
        names=[library.taxon(rank, int(code)) for rank, code in enumerate(winners)],
        probabilities=names.tolist(),
        depth=depth,
        novelty=dict(zip(LADDER, novelty.tolist(), strict=True)),
        nearest=library.ids[match.nearest],
        similarity=match.similarity,
        agreement=float(match.agreement[known[-1]]) if known else 0.0,
        identity=match.identity,
        coverage=match.coverage,
        placed=finding.placed,
        bin=bin_name,
        bin_agreement=bin_agreement,
        candidates=[library.taxa[-1][code] for code in match.tie.species[:MAX_TOLD]]
        if match.tie.is_conflict
        else [],
        excluded=None if match.excluded is None else library.deepest_name(match.excluded),
        flags=[flag for flag in FLAGS if is_present[flag]],
    )


def no_barcode(finding: Finding) -> Identification:
    """Describe a record that is no barcode: it has no name at any rank."""
    flags = finding.placed.flags()
    return Identification(
        id=finding.id,
        names=[None] * len(RANKS),
        probabilities=[0.0] * len(RANKS),
        depth=0,
        novelty=dict.fromkeys(LADDER, 0.0),
        nearest="",
        similarity=None,
        agreement=0.0,
        identity=None,
        coverage=None,
        placed=finding.placed,
        bin=None,
        bin_agreement=None,
        candidates=[],
        excluded=None,
        flags=[flag for flag in FLAGS if flags.get(flag)],
    )


def find_depth(
    names: NDArray[np.float64], novelty: NDArray[np.float64], thresholds: dict[str, float]
) -> int:
    """Count the ranks, from the top, whose names are assigned; unknown taxa pass.

    A name needs its rank's threshold, and more probability than the novelty of its rank.

    Args:
        names: Probability of each name, (T,); NaN where there is none.
        novelty: Probability that the taxon of each rank of the ladder is new, (S - 1,).
        thresholds: Rank -> lowest probability at which a name is assigned.
    """
    is_new = dict(zip(LADDER, novelty.tolist(), strict=True))
    for rank, (name, probability) in enumerate(zip(RANKS, names.tolist(), strict=True)):
        if math.isnan(probability):
            continue
        if probability < thresholds[name] or is_new.get(name, -1.0) >= probability:
            return rank
    return len(RANKS)
