"""Answers of the Space: a name with its probability, novelty, and the nearest references.

This is the only file that knows how answers are made: by `barcodemae index` and `identify`.
In: records of a FASTA file. Out: one `Answer` per record, in input order, and the embeddings.
Guarded by tests/space/test_space_answers.py.

Shapes: Q = queries, R = references, D = embedding width.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from numpy.typing import NDArray

from barcodemae.cli import main
from barcodemae.conventions.letters import clean
from barcodemae.dataset import RANKS
from barcodemae.default_model import version_with
from barcodemae.demonstration import DEMONSTRATION
from barcodemae.demonstration.names import resolve_reference
from barcodemae.errors import DataError
from barcodemae.eval.embed.loading import ModelOptions
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.identification import (
    Identification,
    Identifier,
    IdentifyOptions,
    Rejection,
)
from barcodemae.eval.identify.judge.orientation import reverse_complement
from barcodemae.eval.identify.reference.library import DESCRIPTION, ReferenceLibrary
from barcodemae.eval.search.reference_search import ExactSearch, unit_length
from barcodemae.fasta import SequenceRecord


MODEL = os.environ.get("BARCODEMAE_MODEL", "default")
REFERENCES = os.environ.get("BARCODEMAE_REFERENCES", DEMONSTRATION)
NUM_NEAREST = 3


@dataclass(frozen=True)
class Reference:
    """A named barcode.

    Attributes:
        id: Id of the reference.
        taxa: Rank -> taxon, for known ranks only.
    """

    id: str
    taxa: dict[str, str]

    @property
    def lineage(self) -> str:
        """Known taxa from the top down, in one line."""
        return " > ".join(self.taxa[rank] for rank in RANKS if rank in self.taxa)


@dataclass(frozen=True)
class Match:
    """A reference near a query.

    Attributes:
        reference: The reference.
        similarity: Cosine similarity of reference and query.
    """

    reference: Reference
    similarity: float


@dataclass(frozen=True)
class Answer:
    """Answer for one sequence.

    Attributes:
        id: Id of the record, unchanged.
        length_bp: Length of the cleaned sequence, bp.
        found: Result of `barcodemae identify`; None if the sequence cannot be identified.
        matches: Nearest references, nearest first.
        problem: Why the sequence cannot be identified; empty if it can.
    """

    id: str
    length_bp: int
    found: Identification | None = None
    matches: tuple[Match, ...] = ()
    problem: str = ""

    @property
    def looks_new(self) -> bool:
        """Whether its species is probably not among the references."""
        return self.found is not None and any(
            flag.startswith("novel_") for flag in self.found.flags
        )

    @property
    def verdict(self) -> str:
        """Verdict in two words."""
        if self.found is None:
            return "not identified"
        if not self.found.placed.is_barcode:
            return "not a barcode"
        if self.looks_new:  # the highest new rank comes first
            new = next(flag for flag in self.found.flags if flag.startswith("novel_"))
            return new.replace("novel_", "new ")
        is_named = self.found.assigned()[-1:] and self.found.assigned()[-1][0] == RANKS[-1]
        return "known species" if is_named else "uncertain"


class Library:
    """An opened reference library with its model.

    Attributes:
        threshold: Lowest probability at which a name is assigned, 0 to 1.
        references: References in the order of the library, R.
        vectors: Embeddings of the references, of unit length, (R, D).

    Args:
        folder: Folder made by `barcodemae index`.
        model: Model that the library was indexed with.
    """

    def __init__(self, folder: Path, model: str) -> None:
        library = ReferenceLibrary(folder)
        model = version_with(model, library.description["model"]["weights"])
        embedder = ModelOptions(dtype=library.dtype).lightest(model).load(model)
        self.embedder = OffsetEmbedder(embedder, library.description["offsets"])
        options = IdentifyOptions()
        self.identifier = Identifier(library, self.embedder, options)
        self.threshold = options.thresholds[RANKS[-1]]
        self.vectors = library.vectors
        self.search = ExactSearch(library.vectors)
        self.references = [
            Reference(
                library.ids[row],
                {
                    rank: name
                    for place, rank in enumerate(RANKS)
                    if (name := library.taxon(place, int(library.codes[row, place])))
                },
            )
            for row in range(len(library))
        ]

    def identify(
        self, records: Sequence[SequenceRecord]
    ) -> tuple[list[Answer], NDArray[np.float32]]:
        """Identify records.

        Returns:
            Answers in input order, and embeddings (Q, D) of those that are barcodes.
        """
        results = self.identifier.identify(records)
        lengths = [len(clean(record.sequence)) for record in records]
        kept = [
            row
            for row, found in enumerate(results)
            if isinstance(found, Identification) and found.placed.is_barcode
        ]
        vectors = self.embed([records[row] for row in kept], [results[row] for row in kept])
        matches = dict(zip(kept, self.match(vectors), strict=True))
        return [
            Answer(found.id, length, problem=found.reason)
            if isinstance(found, Rejection)
            else Answer(found.id, length, found, matches.get(row, ()))
            for row, (found, length) in enumerate(zip(results, lengths, strict=True))
        ], vectors

    def embed(
        self, records: list[SequenceRecord], found: list[Identification]
    ) -> NDArray[np.float32]:
        """Embed records on the strand on which they were identified, (Q, D), of unit length."""
        if not records:
            return np.empty((0, self.vectors.shape[1]), np.float32)
        sequences = [clean(record.sequence) for record in records]
        turned = [
            reverse_complement(text) if item.placed.strand == "-" else text
            for text, item in zip(sequences, found, strict=True)
        ]
        return unit_length(self.embedder.embed(turned))

    def match(self, vectors: NDArray[np.float32]) -> list[tuple[Match, ...]]:
        """Find the nearest references of every vector (Q, D); ties in the order of the library."""
        if len(vectors) == 0:
            return []
        near = self.search.search(vectors, NUM_NEAREST)
        return [
            tuple(
                Match(self.references[row], float(value))
                for row, value in zip(rows, similarity, strict=True)
                if row >= 0
            )
            for rows, similarity in zip(near.rows.tolist(), near.similarity, strict=True)
        ]


def open_library(model: str = MODEL, references: str | Path = REFERENCES) -> Library:
    """Open a library; references that are not indexed yet are indexed first.

    Args:
        model: Model folder, or `default`.
        references: `demo` for the real barcodes that come with the package, a folder made by
            `barcodemae index`, or anything that command reads, such as FASTA with
            `;tax=p:Arthropoda,...,s:Genus_species;` in the headers.

    Raises:
        DataError: The references cannot be indexed; the reason was written to stderr.
    """
    opening = ModelOptions(dtype="auto").lightest(model)
    place = resolve_reference(references, lambda: opening.load(model), print)
    if (place / DESCRIPTION).is_file():
        return Library(place, model)
    folder = Path(mkdtemp()) / "library"  # in use for as long as the page runs
    if main(["index", str(place), "--output", str(folder), "--model", model]) != 0:
        raise DataError(place, "cannot be indexed, see above")
    return Library(folder, model)
