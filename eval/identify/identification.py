"""Identification of barcodes: a taxon name and a calibrated probability at every rank, or none.

In: FASTA records. Out: for each a `Finding`, or a `Rejection` with the reason why there is none.
A record is placed (is it a barcode, where, on which strand), embedded once, compared with the
reference library, and judged by the library's calibration; see `findings.py` for what it is called.
Guarded by tests/eval/identify/test_identification.py.

Shapes: Q = queries, K = neighbours, T = ranks, R = references.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from barcodemae.conventions.letters import clean
from barcodemae.errors import SettingsError
from barcodemae.eval.embed.embedder import Embedder, PlacedSequence, embed_placed
from barcodemae.eval.embed.screening import reason_unusable
from barcodemae.eval.identify.candidates import Candidate
from barcodemae.eval.identify.findings import (
    DEFAULT_THRESHOLDS,
    Finding,
    Identification,
    Match,
    Placed,
    conclude,
)
from barcodemae.eval.identify.judge.background import with_background
from barcodemae.eval.identify.judge.comparison import NO_BASE, Comparison, code_letters
from barcodemae.eval.identify.judge.judgement import Calibration
from barcodemae.eval.identify.judge.ladder import Mixture, estimate_mixture
from barcodemae.eval.identify.judge.orientation import has_open_frame
from barcodemae.eval.identify.judge.placing import count_bases
from barcodemae.eval.identify.judge.ties import Tie, find_tie, same_letters, tied_by_score
from barcodemae.eval.identify.reference.examine import Examination, examine
from barcodemae.eval.identify.reference.heldout import NUM_NEIGHBORS
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.identify.restriction import Restriction
from barcodemae.eval.search.reference_search import Neighborhood
from barcodemae.fasta import SequenceRecord


MAX_LENGTH = 5000  # bp; a longer record is not a barcode, and would cost as much as ten
NO_LIMIT = 10**9  # tokens; the embedder itself checks the length, so only the letters count here
STRANDS = ("both", "plus")


@dataclass(frozen=True, kw_only=True)
class IdentifyOptions:
    """Options of an identification run.

    Raises:
        SettingsError: The strand is unknown.
    """

    thresholds: dict[str, float] = field(default_factory=lambda: dict(DEFAULT_THRESHOLDS))
    """Rank -> lowest probability at which a name is assigned, 0 to 1."""
    strand: str = "both"
    """`both`, or `plus` if all queries are known to be on the library's strand."""
    engine: str = "exact"
    """Search engine: `exact` or `faiss`."""
    mixture: Mixture | None = None
    """Mixture of the sample; None to estimate it from the sample."""
    restriction: Restriction = field(default_factory=Restriction)
    """Which references may give a name."""
    num_candidates: int = 0
    """Number of best references to list for each query."""

    def __post_init__(self) -> None:
        if self.strand not in STRANDS:
            raise SettingsError(f"strand {self.strand!r} is not one of {', '.join(STRANDS)}")


@dataclass(frozen=True)
class Rejection:
    """A record that cannot be identified.

    Attributes:
        id: Id of the record, unchanged.
        number: Number of the record in its file, from 1.
        reason: Why it cannot be identified.
    """

    id: str
    number: int
    reason: str


class Identifier:
    """Identifies records against a reference library.

    Args:
        library: Reference library.
        embedder: Model that the library was indexed with.
        options: Thresholds, strand, engine, mixture, restriction.

    Raises:
        SettingsError: The library was indexed with another model, or not for this engine, or holds
            nothing that the restriction allows.
    """

    def __init__(
        self, library: ReferenceLibrary, embedder: Embedder, options: IdentifyOptions
    ) -> None:
        library.check_model(embedder)
        self.library = library
        self.embedder = embedder
        self.options = options
        self.placer = library.placer(embedder)
        self.allowed = options.restriction.apply(library)
        self.engine = library.engine(options.engine)
        self.restricted = (
            None if self.allowed is None else library.engine(options.engine, self.allowed)
        )
        self.calibration = Calibration.from_json(library.read_calibration())

    def identify(self, records: Sequence[SequenceRecord]) -> list[Identification | Rejection]:
        """Identify records that are a whole sample; results are in the order of the records."""
        found = self.examine(records)
        mixture = self.mixture_of([part for part in found if isinstance(part, Finding)])
        return [self.conclude(part, mixture) for part in found]

    def conclude(self, found: Finding | Rejection, mixture: Mixture) -> Identification | Rejection:
        """Name what was found under a mixture; a rejected record stays rejected."""
        if isinstance(found, Rejection):
            return found
        return conclude(found, self.library, mixture, self.options.thresholds)

    def mixture_of(self, findings: Sequence[Finding]) -> Mixture:
        """Return the mixture of a sample: the given one, else estimated from what was found."""
        if self.options.mixture is not None:
            return self.options.mixture
        likelihoods = [part.match.likelihoods for part in findings if part.match is not None]
        assumed = self.calibration.assumed
        return estimate_mixture(np.array(likelihoods), assumed) if likelihoods else assumed

    def examine(self, records: Sequence[SequenceRecord]) -> list[Finding | Rejection]:
        """Compare records with the library; results are in the order of the records."""
        # Refuse what can be refused unseen, before anything is spent on it.
        reasons = self.find_unusable(records)
        rows = [row for row in range(len(records)) if row not in reasons]
        letters = [clean(records[row].sequence) for row in rows]
        is_both = self.options.strand == "both"
        placed = dict(zip(rows, self.placer.place(letters, both_strands=is_both), strict=True))
        # Embed and compare the barcodes among the others.
        barcodes = {row: found for row, found in placed.items() if found.is_barcode}
        reasons |= self.find_unreadable(barcodes)
        rows = [row for row in barcodes if row not in reasons]
        matches = dict(zip(rows, self._match([barcodes[row] for row in rows]), strict=True))
        return [
            Rejection(record.id, record.number, reasons[row])
            if row in reasons
            else Finding(record.id, self._describe(placed[row]), matches.get(row))
            for row, record in enumerate(records)
        ]

    def find_unusable(self, records: Sequence[SequenceRecord]) -> dict[int, str]:
        """Find the records that cannot be identified, by their letters alone: row -> reason."""
        reasons = {}
        for row, record in enumerate(records):
            if reason := record.problem or self.reason_unusable(record.sequence):
                reasons[row] = reason
        return reasons

    def reason_unusable(self, deposited: str) -> str | None:
        """Say why a sequence, as it stands in the file, cannot be identified; None if it can."""
        num_letters = len(clean(deposited))
        if num_letters > MAX_LENGTH:
            return f"too long for a barcode: more than {MAX_LENGTH} bases"
        least = self.calibration.min_length
        reason = reason_unusable(deposited, 1, NO_LIMIT)
        if reason is None and num_letters < least:
            reason = f"too short to identify: {num_letters} bases, at least {least} are needed"
        return reason

    def find_unreadable(self, placed: dict[int, PlacedSequence]) -> dict[int, str]:
        """Find barcodes of which too little is known, or that the model cannot read.

        Args:
            placed: Row of each barcode -> how it was placed.

        Returns:
            Row -> reason.
        """
        least = self.calibration.min_length
        reasons = {}
        for row, found in placed.items():
            num_known = count_bases(found.letters)
            if num_known < least:
                reasons[row] = (
                    f"too short to identify: {num_known} known bases of the barcode, "
                    f"at least {least} are needed"
                )
        rows = [row for row in placed if row not in reasons]
        found_invalid = self.embedder.find_invalid([placed[row].letters for row in rows])
        return reasons | {rows[place]: why for place, why in found_invalid.items()}

    def _describe(self, placed: PlacedSequence) -> Placed:
        """Describe how a query was placed."""
        letters = placed.letters
        num_known = count_bases(letters)
        return Placed(
            is_barcode=placed.is_barcode,
            evidence=float(placed.evidence),
            strand="-" if placed.is_reverse else "+",
            length=len(letters),
            unknown=1 - num_known / max(len(letters), 1),
            num_before=placed.num_before,
            num_after=placed.num_after,
            num_gained=placed.num_gained,
            num_lost=placed.num_lost,
            has_stop=bool(self.library.description["is_coding"]) and not has_open_frame(letters),
            is_short=num_known < self.calibration.full_length,
        )

    def _match(self, placed: list[PlacedSequence]) -> list[Match]:
        """Find what the neighbours say of queries that are barcodes, Q."""
        if not placed:
            return []
        # Embed and search, then compare with the neighbours letter by letter.
        vectors = embed_placed(self.embedder, placed)  # (Q, D)
        nearest = self.engine.search(vectors, NUM_NEIGHBORS)
        found = self._examine_allowed(placed, vectors, nearest)
        # Turn the evidence into calibrated likelihoods.
        judged = self.calibration.judge(
            found.evidence.features, found.lengths.tolist(), found.is_broken
        )
        identical = self.library.find_identical([query.letters for query in placed])
        excluded = self._excluded(placed, nearest, found.compared)
        matches = []
        for query, sequence in enumerate(placed):
            tie = self._tie(sequence, found, query, identical[query])
            row = int(found.compared.rows[query, 0])
            same = [int(other) for other in identical[query] if self._is_allowed(int(other))]
            matches.append(
                Match(
                    tie=tie,
                    likelihoods=judged.likelihoods[query],
                    is_right=judged.is_right[query],
                    agreement=found.evidence.agreement[query],
                    nearest=same[0] if same and row not in same else row,
                    is_exact=bool(same),
                    similarity=float(found.compared.cosine[query, 0]),
                    identity=float(found.compared.identity[query, 0]),
                    coverage=float(found.compared.coverage[query, 0]),
                    excluded=excluded[query],
                    candidates=self._candidates(found, query),
                )
            )
        return matches

    def _examine_allowed(
        self, placed: list[PlacedSequence], vectors: NDArray[np.float32], nearest: Neighborhood
    ) -> Examination:
        """Compare queries with their neighbours, of which only the allowed ones may name them."""
        if self.restricted is None or self.allowed is None:
            return examine(self.library, placed, nearest)
        allowed = self.restricted.search(vectors, NUM_NEIGHBORS)
        neighborhood = with_background(allowed, nearest, self.allowed)
        return examine(self.library, placed, neighborhood, self.allowed)

    def _candidates(self, found: Examination, query: int) -> list[Candidate]:
        """List the best references of a query, as many as are asked for."""
        compared = found.compared
        listed = []
        for place in range(min(self.options.num_candidates, compared.rows.shape[1])):
            row = int(compared.rows[query, place])
            if not compared.is_compared[query, place] or not self._is_allowed(row):
                break
            identity, coverage = compared.identity[query, place], compared.coverage[query, place]
            num_compared = coverage * found.lengths[query]
            listed.append(
                Candidate(
                    row=row,
                    identity=float(identity),
                    coverage=float(coverage),
                    substitutions=round(float((1 - identity) * num_compared)),
                    indels=int(compared.gaps[query, place]),
                    similarity=float(compared.cosine[query, place]),
                )
            )
        return listed

    def _is_allowed(self, row: int) -> bool:
        return self.allowed is None or bool(self.allowed[row])

    def _tie(
        self,
        placed: PlacedSequence,
        found: Examination,
        query: int,
        identical: NDArray[np.int64],
    ) -> Tie:
        """Find which references are alike over a query's letters, and what they are named.

        Args:
            placed: The query.
            found: Comparisons of all queries.
            query: Row of the query.
            identical: Rows of all references with exactly its letters.
        """
        compared, library = found.compared, self.library
        is_tied = tied_by_score(compared.identity[query], compared.coverage[query])
        rows = compared.rows[query]
        if self.allowed is not None:
            is_tied &= self.allowed[rows]
        if library.letters is not None and is_tied.sum() > 1:
            letters = code_letters([placed], library.letters.shape[1])[0]
            alike = same_letters(letters, library.letters[rows], NO_BASE)
            is_tied &= alike | (rows == rows[0])
        tied = set(rows[is_tied].tolist())
        tied |= {int(row) for row in identical if self._is_allowed(int(row))}
        best = int(rows[0])
        every = [best, *sorted(tied - {best})]
        return find_tie(library.codes[every], found.evidence.winners[query])

    def _excluded(
        self, placed: list[PlacedSequence], nearest: Neighborhood, compared: Comparison
    ) -> list[int | None]:
        """Find for each query an excluded reference that would have won, or None, Q."""
        if self.allowed is None:
            return [None] * len(placed)
        free = examine(self.library, placed, nearest).compared
        wins = (free.score[:, 0] > compared.score[:, 0]).tolist()
        rows = free.rows[:, 0].tolist()
        return [
            row if win and not self._is_allowed(row) else None
            for row, win in zip(rows, wins, strict=True)
        ]
