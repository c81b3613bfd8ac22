"""Identification of barcodes: a taxon name and a calibrated probability at every rank.

In: FASTA records. Out: for each an `Identification`, or a `Rejection` with the reason why there is
none. A query is oriented by its k-mers, embedded once, compared with the reference library, and
judged by the library's calibration. Guarded by tests/eval/identify/test_identification.py.

Shapes: Q = queries, K = neighbours, T = ranks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from barcodemae.conventions.letters import clean
from barcodemae.dataset import RANKS
from barcodemae.errors import SettingsError
from barcodemae.eval.embed.embedder import Embedder
from barcodemae.eval.embed.screening import reason_unusable
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


MAX_LENGTH = 5000  # bp; a longer record is not a barcode, and would cost as much as ten
NO_LIMIT = 10**9  # tokens; the embedder itself checks the length, so only the letters count here
WITHOUT_BASES = str.maketrans("", "", "ACGT")
AMBIGUOUS_ABOVE = 0.01  # share of letters other than A, C, G, T
NOVEL_FROM = 0.5  # probability
# Chosen on `val` and `val_unseen`: among the thresholds at which at most one species name in twenty
# is wrong, nearly the one with the most queries right. The curve is printed by
# `benchmarks/identify.py --splits val,val_unseen`.
DEFAULT_THRESHOLD = 0.7
STRANDS = ("both", "plus")
FLAGS = ("novel_species", "novel_genus", "short", "ambiguous", "stop_codon", "exact_match")


@dataclass(frozen=True, kw_only=True)
class IdentifyOptions:
    """Options of an identification run.

    Raises:
        SettingsError: The strand is unknown, or the threshold is not a probability.
    """

    threshold: float = DEFAULT_THRESHOLD
    """Lowest probability at which a name is assigned, 0 to 1."""
    strand: str = "both"
    """`both`, or `plus` if all queries are known to be on the library's strand."""
    engine: str = "exact"
    """Search engine: `exact` or `faiss`."""
    verify: bool = True
    """Whether candidates are aligned with the query, and the best alignment decides."""

    def __post_init__(self) -> None:
        if self.strand not in STRANDS:
            raise SettingsError(f"strand {self.strand!r} is not one of {', '.join(STRANDS)}")
        if not 0 <= self.threshold <= 1:
            raise SettingsError(
                f"the threshold is a probability between 0 and 1, got {self.threshold}"
            )


@dataclass(frozen=True, kw_only=True)
class Identification:
    """The lineage found for one query, with the evidence for it.

    Attributes:
        id: Id of the record, unchanged.
        names: Most probable taxon of each rank, T; None where the library has no name.
        probabilities: Probability that each name is right, T.
        depth: Number of ranks, from the top, that are assigned a name.
        new_species: Probability that the species is not in the library.
        new_genus: Probability that the genus is not in the library.
        nearest: Id of the nearest reference.
        similarity: Cosine similarity to the nearest reference.
        agreement: Weighted share of neighbours that carry the deepest assigned name, 0 to 1.
        identity: Identity of the best alignment, 0 to 1; None without alignments.
        coverage: Share of the query that this alignment covers, 0 to 1; None without alignments.
        strand: `+` if the query was on the library's strand, `-` if it was reverse-complemented.
        length: Length of the cleaned sequence, bp.
        unknown: Share of letters other than A, C, G, T, 0 to 1.
        flags: Flags that apply, in the order of `FLAGS`.
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

    def assigned(self) -> list[tuple[str, str, float]]:
        """Return rank, name and probability of the assigned names, from the top."""
        return [
            (rank, name, probability)
            for rank, name, probability in zip(
                RANKS[: self.depth], self.names, self.probabilities, strict=False
            )
            if name is not None
        ]


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


@dataclass(frozen=True)
class OrientedQueries:
    """Queries on the library's strand.

    Attributes:
        sequences: Cleaned sequences, Q.
        strands: `+`, or `-` for a query that was reverse-complemented, Q.
        neighborhood: Nearest references of each query, (Q, K).
    """

    sequences: list[str]
    strands: list[str]
    neighborhood: Neighborhood


class Identifier:
    """Identifies records against a reference library.

    Args:
        library: Reference library.
        embedder: Model that the library was indexed with.
        options: Threshold, strand, engine, alignments.

    Raises:
        SettingsError: The library was indexed with another model, or not for this engine.
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
        """Identify records; results are in the order of the records."""
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
        """Find the records that cannot be identified.

        Args:
            records: Records as read, Q.
            sequences: Their cleaned sequences, Q.

        Returns:
            Row of each such record -> the reason.
        """
        reasons = {}
        for row, (record, text) in enumerate(zip(records, sequences, strict=True)):
            if record.problem:
                reasons[row] = record.problem
            elif reason := self.reason_unusable(record.sequence, text):
                reasons[row] = reason
        readable = [row for row in range(len(sequences)) if row not in reasons]
        # Test both strands: which of them will be embedded is not decided yet.
        for strand_of in (str, reverse_complement):
            found = self.embedder.find_invalid([strand_of(sequences[row]) for row in readable])
            reasons |= {readable[place]: reason for place, reason in found.items()}
            readable = [row for row in readable if row not in reasons]
        return reasons

    def reason_unusable(self, deposited: str, text: str) -> str | None:
        """Say why a sequence cannot be identified.

        Args:
            deposited: Sequence as it stands in the file.
            text: The same sequence, cleaned.

        Returns:
            The reason, None if the sequence can be identified.
        """
        if len(text) > MAX_LENGTH:
            return f"too long for a barcode: more than {MAX_LENGTH} bases"
        reason = reason_unusable(deposited, 1, NO_LIMIT)
        if reason is None and len(text) < self.calibration.min_length:
            least = self.calibration.min_length
            reason = f"too short to identify: {len(text)} bases, at least {least} are needed"
        return reason

    def _identify(self, ids: list[str], sequences: list[str]) -> list[Identification]:
        """Identify cleaned sequences that can be identified, Q."""
        if not ids:
            return []
        # Orient and search, then align the candidates.
        oriented = self._orient(sequences)
        codes, found = self.library.codes, oriented.neighborhood
        aligned = self._align(oriented) if self.options.verify else None
        # Turn neighbours and alignments into calibrated probabilities.
        evidence = gather_evidence(codes, found, aligned, self.calibration.temperature)
        judged = self.calibration.judge(evidence, [len(text) for text in oriented.sequences])
        identical = self.library.find_identical(oriented.sequences)
        depth = judged.depth(self.options.threshold)
        return [
            self._describe(query, ids[query], oriented, judged, aligned, identical[query], depth)
            for query in range(len(ids))
        ]

    def _search(self, sequences: list[str]) -> Neighborhood:
        """Embed sequences and find their nearest references, (Q, K)."""
        return self.engine.search(self.embedder.embed(sequences), NUM_NEIGHBORS)

    def _orient(self, sequences: list[str]) -> OrientedQueries:
        """Bring queries to the library's strand and find their nearest references.

        Where the k-mers do not tell the strand, both are embedded; the one with the nearer
        reference wins.
        """
        if self.options.strand == "plus":
            return OrientedQueries(sequences, ["+"] * len(sequences), self._search(sequences))
        # Reverse-complement what the k-mers place on the other strand.
        choices = [self.library.strand.choose(text) for text in sequences]
        oriented = [
            reverse_complement(text) if choice == "minus" else text
            for text, choice in zip(sequences, choices, strict=True)
        ]
        strands = ["-" if choice == "minus" else "+" for choice in choices]
        # Search once, with the other strand of every unclear query behind the queries.
        unclear = [query for query, choice in enumerate(choices) if choice == "unclear"]
        both = self._search(
            [*oriented, *(reverse_complement(oriented[query]) for query in unclear)]
        )  # (Q + unclear, K)
        keep = np.arange(len(oriented))  # (Q,)
        for place, query in enumerate(unclear, start=len(oriented)):
            if both.similarity[place, 0] > both.similarity[query, 0]:
                keep[query] = place
                oriented[query], strands[query] = reverse_complement(oriented[query]), "-"
        return OrientedQueries(oriented, strands, both.select(keep))

    def _align(self, oriented: OrientedQueries) -> AlignedCandidates:
        """Align queries with the nearest reference of each neighbouring species."""
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
        record_id: str,
        oriented: OrientedQueries,
        judged: Judgement,
        aligned: AlignedCandidates | None,
        identical: int | None,
        depths: NDArray[np.int64],
    ) -> Identification:
        """Collect what was found about one query.

        Args:
            query: Row of the query.
            record_id: Id of its record.
            oriented: All queries.
            judged: Lineages and probabilities of all queries.
            aligned: Aligned candidates of all queries, None without alignments.
            identical: Row of a reference with exactly this barcode, None if there is none.
            depths: Number of ranks that are assigned a name, (Q,).
        """
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
            id=record_id,
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
