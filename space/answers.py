"""What the Space answers: the nearest references of a barcode, and whether it looks new.

The one file that knows where answers come from. In: records of a FASTA file. Out: one `Answer` per
record, in input order, and the vectors behind them. Guarded by tests/space/test_space_answers.py.

Shapes: Q = queries, R = references, D = width of the model.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.errors import DataError
from barcodemae.eval.embedder import Embedder, find_invalid
from barcodemae.eval.embedding import load_embedder
from barcodemae.eval.nearest import TIE_DECIMALS, check_finite, unit_rows
from barcodemae.eval.screening import clean
from barcodemae.fasta import SequenceRecord, read_records
from barcodemae.training.source_sequences import read_annotations


MODEL = os.environ.get("BARCODEMAE_MODEL", "default")
REFERENCES = Path(
    os.environ.get("BARCODEMAE_REFERENCES", Path(__file__).with_name("references.fasta"))
)
NUM_NEAREST = 3
EXPECTED_SHARE = 0.95  # of references are more similar to their own species than the threshold
COMPLEMENT = str.maketrans("ACGTRYKMBVDH", "TGCAYRMKVBHD")
MIN_PAIRED = 20  # references that share a species with another; below, no threshold is drawn


@dataclass(frozen=True)
class Reference:
    """A named barcode: its id, and its taxa by rank, known ranks only."""

    id: str
    taxa: dict[str, str]

    @property
    def lineage(self) -> str:
        """Known taxa from the top down."""
        return " > ".join(self.taxa[rank] for rank in RANKS if rank in self.taxa)


@dataclass(frozen=True)
class Match:
    """A reference near a query, and how similar it is (cosine)."""

    reference: Reference
    similarity: float


@dataclass(frozen=True)
class Answer:
    """What is said of one sequence.

    Attributes:
        id: As in the file.
        length_bp: Bases after clean-up.
        strand: `+` as given, `-` if its reverse complement was nearer; that one was compared.
        matches: Nearest references first; empty if the sequence cannot be read.
        looks_new: Less similar than a species' own members are; None if that was not judged.
        problem: Why it cannot be read; empty if it can.
    """

    id: str
    length_bp: int
    strand: str = "+"
    matches: tuple[Match, ...] = ()
    looks_new: bool | None = None
    problem: str = ""


@dataclass(frozen=True)
class Library:
    """A model and the references it embedded.

    Attributes:
        embedder: The model.
        references: In file order.
        vectors: Their unit vectors, (R, D).
        threshold: Below this similarity a barcode looks new; None if the references cannot tell.
    """

    embedder: Embedder
    references: list[Reference]
    vectors: NDArray[np.float64]
    threshold: float | None

    def identify(
        self, records: Sequence[SequenceRecord]
    ) -> tuple[list[Answer], NDArray[np.float64]]:
        """Look up every record.

        Returns:
            Answers in input order, and unit vectors (Q, D) of those that could be read.
        """
        sequences = [clean(record.sequence) for record in records]
        reasons = find_invalid(self.embedder, sequences)
        usable = [row for row in range(len(records)) if row not in reasons]
        strands, vectors = self.embed_nearer_strand([sequences[row] for row in usable])
        rows, similarity = nearest(self.vectors, vectors)
        found = iter(zip(strands, rows, similarity, strict=True))
        return [
            Answer(record.id, len(text), problem=reasons[row])
            if row in reasons
            else self.answer(record.id, len(text), *next(found))
            for row, (record, text) in enumerate(zip(records, sequences, strict=True))
        ], vectors

    def embed_nearer_strand(self, sequences: list[str]) -> tuple[list[str], NDArray[np.float64]]:
        """Embed sequences as given and turned round; keep what is nearer to a reference.

        Returns:
            `+` or `-`, and unit vectors, (Q, D).
        """
        vectors = embed_units(self.embedder, sequences, "query")
        turned = [text.translate(COMPLEMENT)[::-1] for text in sequences]
        invalid = find_invalid(self.embedder, turned)
        rows = [row for row in range(len(turned)) if row not in invalid]
        others = embed_units(self.embedder, [turned[row] for row in rows], "query")
        strands = ["+"] * len(sequences)
        for row, other in zip(rows, others, strict=True):
            if (self.vectors @ other).max() > (self.vectors @ vectors[row]).max():
                strands[row], vectors[row] = "-", other
        return strands, vectors

    def answer(
        self,
        name: str,
        length_bp: int,
        strand: str,
        rows: NDArray[np.int64],
        similarity: NDArray[np.float64],
    ) -> Answer:
        """Put one answer together."""
        matches = tuple(
            Match(self.references[row], float(value))
            for row, value in zip(rows, similarity, strict=True)
        )
        looks_new = None if self.threshold is None else matches[0].similarity < self.threshold
        return Answer(name, length_bp, strand, matches, looks_new)


def embed_units(embedder: Embedder, sequences: list[str], what: str) -> NDArray[np.float64]:
    """Embed sequences as unit vectors, (N, D).

    Raises:
        SettingsError: The model gives NaN.
    """
    if not sequences:
        return np.empty((0, 0))
    vectors = embedder.embed(sequences)
    check_finite(vectors, what)
    return unit_rows(vectors, slice(None))


def nearest(
    references: NDArray[np.float64], queries: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find the nearest references of every query, exactly; ties go to the lowest row.

    Args:
        references: Unit vectors, (R, D).
        queries: Unit vectors, (Q, D).

    Returns:
        Rows and cosines, nearest first, (Q, `NUM_NEAREST`) or fewer columns if R is less.
    """
    if len(queries) == 0:
        return np.empty((0, 0), np.int64), np.empty((0, 0))
    cosines = (queries @ references.T).round(TIE_DECIMALS)  # (Q, R)
    rows = np.argsort(-cosines, axis=1, kind="stable")[:, :NUM_NEAREST]
    return rows, np.take_along_axis(cosines, rows, axis=1)


def find_threshold(references: list[Reference], vectors: NDArray[np.float64]) -> float | None:
    """Draw the line below which a barcode looks new.

    Every reference that shares its species with another is compared with the nearest of those;
    `EXPECTED_SHARE` of these similarities lie above the line.
    """
    species = np.array([reference.taxa.get("species", "") for reference in references])
    own = []
    for row, name in enumerate(species):
        others = np.flatnonzero((species == name) & (np.arange(len(species)) != row))
        if name and len(others):
            own.append(float((vectors[others] @ vectors[row]).max()))
    return float(np.quantile(own, 1 - EXPECTED_SHARE)) if len(own) >= MIN_PAIRED else None


def read_references(path: Path) -> tuple[list[Reference], list[str]]:
    """Read named barcodes: FASTA with `;tax=p:Arthropoda,...,s:Genus_species;` in the headers.

    Returns:
        References and their sequences.

    Raises:
        DataError: Not FASTA, or a record without a name.
    """
    references, sequences = [], []
    for record in read_records(path):
        annotated = read_annotations(record.header)
        taxa = {} if annotated is None else {r: annotated[1][r] for r in RANKS if r in annotated[1]}
        if annotated is None or not taxa:
            raise DataError(path, f"record {record.number} ({record.id}) has no ;tax=...; lineage")
        references.append(Reference(annotated[0], taxa))
        sequences.append(record.sequence)
    return references, sequences


def open_library(model: str = MODEL, path: Path = REFERENCES) -> Library:
    """Open the model and embed the references.

    Raises:
        CheckpointError: The model cannot be opened.
        DataError: The references cannot be read.
    """
    embedder = load_embedder(model)
    references, sequences = read_references(path)
    reasons = find_invalid(embedder, sequences)
    if reasons:
        row = min(reasons)
        raise DataError(path, f"record {row + 1} ({references[row].id}): {reasons[row]}")
    vectors = embed_units(embedder, sequences, "reference")
    return Library(embedder, references, vectors, find_threshold(references, vectors))
