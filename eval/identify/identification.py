"""Names for barcodes, with honest confidence: the steps from records to identifications.

In: FASTA records. Out: for each an `Identification` or the reason why there is none. Records are
oriented by k-mers, embedded once, compared with the library, judged by its calibration. A unit of
records is worked on by one thread alone, so threads change nothing. Guarded by
tests/eval/test_identification.py.

Shapes: Q = queries, K = neighbours, T = ranks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.errors import SettingsError
from barcodemae.eval.embed.embedder import Embedder
from barcodemae.eval.embed.screening import clean, reason_unusable
from barcodemae.eval.identify.judge.alignment import AlignedCandidates, align_neighbors
from barcodemae.eval.identify.judge.judgement import (
    SPECIES,
    Calibration,
    Judgement,
    gather_evidence,
)
from barcodemae.eval.identify.judge.orientation import has_open_frame, reverse_complement
from barcodemae.eval.identify.reference.heldout import NUM_NEIGHBORS
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.search.reference_search import Neighborhood
from barcodemae.fasta import SequenceRecord


MAX_LENGTH = 5000  # bp; a longer record is no barcode, and would cost as much as ten
NO_LIMIT = 10**9  # tokens; only the letters are looked at
WITHOUT_BASES = str.maketrans("", "", "ACGT")
AMBIGUOUS_ABOVE = 0.01  # share of letters other than A, C, G, T
NOVEL_FROM = 0.5  # probability
# On `val` and `val_unseen`: nearly the most species right among thresholds with at most one name in
# twenty wrong; `benchmarks/identify.py --splits val,val_unseen` gives the curve.
DEFAULT_THRESHOLD = 0.7
STRANDS = ("both", "plus")
FLAGS = ("novel_species", "novel_genus", "short", "ambiguous", "stop_codon", "exact_match")


@dataclass(frozen=True, kw_only=True)
class IdentifyOptions:
    """How to identify.

    Raises:
        SettingsError: An unknown strand, or a threshold that is no probability.
    """

    threshold: float = DEFAULT_THRESHOLD
    """Probability from which a name is given."""
    strand: str = "both"
    """`both`, or `plus` if all queries are known to be on the library's strand."""
    engine: str = "exact"
    """`exact` or `faiss`."""
    verify: bool = True
    """Whether the candidates are aligned, and the best alignment decides."""

    def __post_init__(self) -> None:
        if self.strand not in STRANDS:
            raise SettingsError(f"strand {self.strand!r} is not one of {', '.join(STRANDS)}")
        if not 0 <= self.threshold <= 1:
            raise SettingsError(f"the threshold is a probability, got {self.threshold}")


@dataclass(frozen=True, kw_only=True)
class Identification:
    """What is believed about one query.

    Attributes:
        id: Verbatim.
        names: Taxon of each rank, T; None where the library knows none.
        probabilities: Of the names, T.
        depth: Number of ranks, from the top, whose names are given.
        new_species: Probability that the species is not in the library.
        new_genus: Probability that the genus is not.
        nearest: Id of the nearest reference.
        similarity: Cosine with the nearest reference.
        agreement: Share of the deepest name given, among the neighbours.
        identity: Of the best alignment, 0 to 1; None if not asked for.
        coverage: Share of the query in it; None if not asked for.
        strand: `+` or `-`, against the library.
        length: Letters after clean-up.
        unknown: Share of letters other than A, C, G, T.
        flags: Of `FLAGS`.
    """

    id: str
    names: list[str | None]
    probabilities: list[float]
    depth: int
    new_species: float
    new_genus: float
    nearest: str
    similarity: float
    agreement: float
    identity: float | None
    coverage: float | None
    strand: str
    length: int
    unknown: float
    flags: list[str]

    def given(self) -> list[tuple[str, str, float]]:
        """Rank, name and probability of the names that are given, from the top."""
        return [
            (rank, name, probability)
            for rank, name, probability in zip(
                RANKS[: self.depth], self.names, self.probabilities, strict=False
            )
            if name is not None
        ]


@dataclass(frozen=True)
class Rejection:
    """Why a record has no identification."""

    id: str
    number: int
    reason: str


@dataclass(frozen=True)
class Oriented:
    """Queries on the library's strand.

    Attributes:
        sequences: Cleaned, Q.
        strands: `+` or `-`, Q.
        neighborhood: What the search found for them.
    """

    sequences: list[str]
    strands: list[str]
    neighborhood: Neighborhood


class Identifier:
    """Identifies records against a library.

    Args:
        library: The references.
        embedder: The model that the library was indexed with.
        options: See `IdentifyOptions`.

    Raises:
        SettingsError: Another model, or an engine that the library was not indexed for.
    """

    def __init__(
        self, library: ReferenceLibrary, embedder: Embedder, options: IdentifyOptions
    ) -> None:
        library.check_model(embedder)
        self.library = library
        self.embedder = embedder
        self.options = options
        self.engine = library.engine(options.engine)
        self.calibration = Calibration.from_json(library.read_calibration())

    def identify(self, records: Sequence[SequenceRecord]) -> list[Identification | Rejection]:
        """Identify some records, in order."""
        sequences = [clean(record.sequence) for record in records]
        reasons = self.find_unusable(records, sequences)
        rows = [row for row in range(len(records)) if row not in reasons]
        identified = iter(
            self._identify([records[r].id for r in rows], [sequences[r] for r in rows])
        )
        return [
            Rejection(record.id, record.number, reasons[row])
            if row in reasons
            else next(identified)
            for row, record in enumerate(records)
        ]

    def find_unusable(
        self, records: Sequence[SequenceRecord], sequences: Sequence[str]
    ) -> dict[int, str]:
        """Return row -> reason for records, with their cleaned letters, that cannot be named."""
        reasons = {}
        for row, (record, text) in enumerate(zip(records, sequences, strict=True)):
            if record.problem:
                reasons[row] = record.problem
            elif reason := self.reason_unusable(record.sequence, text):
                reasons[row] = reason
        readable = [row for row in range(len(sequences)) if row not in reasons]
        # Both strands: which one will be embedded is not decided yet.
        for turn in (str, reverse_complement):
            found = self.embedder.find_invalid([turn(sequences[row]) for row in readable])
            reasons |= {readable[place]: reason for place, reason in found.items()}
            readable = [row for row in readable if row not in reasons]
        return reasons

    def reason_unusable(self, deposited: str, text: str) -> str | None:
        """Say why a sequence, as deposited and cleaned, cannot be named; None if it can."""
        if len(text) > MAX_LENGTH:
            return f"too long for a barcode: more than {MAX_LENGTH} bases"
        reason = reason_unusable(deposited, 1, NO_LIMIT)
        if reason is None and len(text) < self.calibration.min_length:
            least = self.calibration.min_length
            reason = f"too short to identify: {len(text)} bases, at least {least} are needed"
        return reason

    def _identify(self, ids: list[str], sequences: list[str]) -> list[Identification]:
        if not ids:
            return []
        oriented = self._orient(sequences)
        codes, found = self.library.codes, oriented.neighborhood
        aligned = self._align(oriented) if self.options.verify else None
        evidence = gather_evidence(codes, found, aligned, self.calibration.temperature)
        judged = self.calibration.judge(evidence, [len(text) for text in oriented.sequences])
        identical = self.library.find_identical(oriented.sequences)
        depth = judged.depth(self.options.threshold)
        return [
            self._describe(query, ids[query], oriented, judged, aligned, identical[query], depth)
            for query in range(len(ids))
        ]

    def _search(self, sequences: list[str]) -> Neighborhood:
        return self.engine.search(self.embedder.embed(sequences), NUM_NEIGHBORS)

    def _orient(self, sequences: list[str]) -> Oriented:
        """Turn queries to the library's strand; where k-mers do not tell, the nearer one wins."""
        if self.options.strand == "plus":
            return Oriented(sequences, ["+"] * len(sequences), self._search(sequences))
        choices = [self.library.strand.choose(text) for text in sequences]
        turned = [
            reverse_complement(text) if choice == "minus" else text
            for text, choice in zip(sequences, choices, strict=True)
        ]
        strands = ["-" if choice == "minus" else "+" for choice in choices]
        unclear = [query for query, choice in enumerate(choices) if choice == "unclear"]
        both = self._search([*turned, *(reverse_complement(turned[query]) for query in unclear)])
        keep = np.arange(len(turned))
        for place, query in enumerate(unclear, start=len(turned)):
            if both.similarity[place, 0] > both.similarity[query, 0]:
                keep[query] = place
                turned[query], strands[query] = reverse_complement(turned[query]), "-"
        return Oriented(turned, strands, both.select(keep))

    def _align(self, oriented: Oriented) -> AlignedCandidates:
        library = self.library
        return align_neighbors(
            oriented.sequences,
            oriented.neighborhood,
            library.codes[:, SPECIES],
            library.barcodes.__getitem__,
        )

    def _describe(
        self,
        query: int,
        name: str,
        oriented: Oriented,
        judged: Judgement,
        aligned: AlignedCandidates | None,
        identical: int | None,
        depths: NDArray[np.int64],
    ) -> Identification:
        text = oriented.sequences[query]
        unknown = 1 - (len(text) - len(text.translate(WITHOUT_BASES))) / len(text)
        new_species, new_genus = (float(value) for value in judged.novelty[query])
        winners = judged.winners[query].tolist()
        found = oriented.neighborhood
        nearest = int(judged.nearest[query])
        place = int(np.flatnonzero(found.rows[query] == nearest)[0])
        known = [rank for rank in range(int(depths[query])) if winners[rank] >= 0]
        is_present = {
            "novel_species": new_species >= NOVEL_FROM,
            "novel_genus": new_genus >= NOVEL_FROM,
            "short": len(text) < self.calibration.full_length,
            "ambiguous": unknown > AMBIGUOUS_ABOVE,
            "stop_codon": self.library.description["is_coding"] and not has_open_frame(text),
            "exact_match": identical is not None,
        }
        return Identification(
            id=name,
            names=[self.library.taxon(rank, code) for rank, code in enumerate(winners)],
            probabilities=judged.probabilities[query].tolist(),
            depth=int(depths[query]),
            new_species=new_species,
            new_genus=new_genus,
            nearest=self.library.ids[nearest if identical is None else identical],
            similarity=float(found.similarity[query, place]),
            agreement=float(judged.agreement[query, known[-1]]) if known else 0.0,
            identity=None if aligned is None else float(aligned.identity[query, 0]),
            coverage=None if aligned is None else float(aligned.coverage[query, 0]),
            strand=oriented.strands[query],
            length=len(text),
            unknown=unknown,
            flags=[flag for flag in FLAGS if is_present[flag]],
        )
