"""Held-out queries with known lineages, in the three situations that a library will meet.

Held-out queries come from the partitions `val` and `val_unseen` if the data set has them, else they
are references, each left out of the library in its own search. The three situations: the library
has the species; it has only the genus (a species of `val_unseen`, or leave-species-out); it has not
even the genus (leave-genus-out). They are weighted by a stated mixture, so that probabilities do
not depend on the sizes of the partitions.
Guarded by tests/eval/identify/reference/test_heldout.py.

Shapes: N = held-out barcodes, T = ranks, D = embedding width,
E = examples (each a held-out barcode in a situation).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from barcodemae.conventions.letters import clean
from barcodemae.dataset import RANKS, read_splits, split_names
from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.embed.embedder import Embedder
from barcodemae.eval.identify.judge.evidence import UNKNOWN
from barcodemae.eval.identify.judge.judgement import GENUS, SPECIES
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.search.reference_search import ExactSearch, Neighborhood


NUM_NEIGHBORS = 32
MAX_QUERIES = 3000  # whole barcodes
MIN_NATURAL = 200  # held-out queries of new species; with fewer, leave-species-out adds some
MIN_HELD_OUT = 20
SITUATIONS = ("known", "new_species", "new_genus")
UNUSED = -2  # code that no reference has


@dataclass(frozen=True)
class Mixture:
    """Expected shares of the situations among the queries; only their ratios matter.

    Attributes:
        known: Share of queries whose species is in the library.
        new_species: Share of queries whose genus is in the library, but not their species.
        new_genus: Share of queries whose genus is not in the library.

    Raises:
        SettingsError: A share is not above zero.
    """

    known: float = 65.0
    new_species: float = 30.0
    new_genus: float = 5.0

    def __post_init__(self) -> None:
        if min(self.shares()) <= 0:
            raise SettingsError(f"a mixture needs three shares above zero, got {self.shares()}")

    def shares(self) -> list[float]:
        """Return the shares in the order of `SITUATIONS`."""
        return [self.known, self.new_species, self.new_genus]

    @classmethod
    def parse(cls, text: str) -> "Mixture":
        """Parse a mixture such as `65,30,5`.

        Raises:
            SettingsError: The text is not three numbers above zero.
        """
        try:
            known, new_species, new_genus = (float(part) for part in text.split(","))
        except ValueError as error:
            raise SettingsError(
                f"a mixture is three numbers such as 65,30,5; got {text}"
            ) from error
        return cls(known, new_species, new_genus)


@dataclass(frozen=True)
class HeldOut:
    """Held-out barcodes with their true lineages.

    Attributes:
        sequences: Cleaned sequences, N.
        truth: Codes of the true taxa, (N, T); -1 for a taxon that the library lacks.
        is_named: Whether the true taxon is known at all, (N, T).
        own_rows: Row of each barcode among the references, (N,); -1 if it is not a reference.
        origin: Partitions that the barcodes come from, for the record.
    """

    sequences: list[str]
    truth: NDArray[np.int64]
    is_named: NDArray[np.bool_]
    own_rows: NDArray[np.int64]
    origin: str

    def select(self, rows: NDArray[np.int64]) -> "HeldOut":
        """Return the barcodes of some rows."""
        return HeldOut(
            [self.sequences[row] for row in rows],
            self.truth[rows],
            self.is_named[rows],
            self.own_rows[rows],
            self.origin,
        )


@dataclass(frozen=True)
class Examples:
    """Held-out barcodes, each in a situation, with the neighbours found for them.

    Attributes:
        barcode_rows: Row of each example's barcode among the held-out ones, (E,).
        situation: Index of each example's situation in `SITUATIONS`, (E,).
        neighborhood: Nearest references that the situation allows, (E, K).
    """

    barcode_rows: NDArray[np.int64]
    situation: NDArray[np.int64]
    neighborhood: Neighborhood

    def weights(self, mixture: Mixture) -> NDArray[np.float64]:
        """Return weights that give every situation its share of the mixture, (E,)."""
        counts = np.bincount(self.situation, minlength=len(SITUATIONS))  # (3,)
        per_example = np.array(mixture.shares()) / np.maximum(counts, 1)
        weights: NDArray[np.float64] = per_example[self.situation]
        return weights


def held_out_from_splits(
    library: ReferenceLibrary, dataset: Path, splits: Sequence[str]
) -> HeldOut | None:
    """Read the barcodes of held-out partitions that have a species and a genus.

    Args:
        library: Library to calibrate, which gives the codes of taxa.
        dataset: Folder of the data set.
        splits: Held-out partitions.

    Returns:
        The barcodes, None if the data set has no row of these partitions.
    """
    present = split_names(dataset)
    splits = [name for name in splits if name in present]
    if not splits:
        return None
    table = read_splits(dataset, splits, ("processid", "dna_barcode", *RANKS))
    table = table.filter(pa.compute.and_(table["species"].is_valid(), table["genus"].is_valid()))
    names = [table[rank].to_pylist() for rank in RANKS]
    return HeldOut(
        [clean(text or "") for text in table["dna_barcode"].to_pylist()],
        np.stack([library.codes_of(r, n) for r, n in zip(RANKS, names, strict=True)], axis=1),
        np.array([[name is not None for name in column] for column in names]).T,
        np.full(table.num_rows, -1),
        "+".join(splits),
    )


def held_out_from_references(library: ReferenceLibrary, generator: np.random.Generator) -> HeldOut:
    """Draw references that have a species and a genus, to be left out in their own searches."""
    named = np.flatnonzero((library.codes[:, [GENUS, SPECIES]] != UNKNOWN).all(axis=1))
    rows = np.sort(generator.permutation(named)[:MAX_QUERIES])
    truth = library.codes[rows].astype(np.int64)
    return HeldOut(
        [library.barcodes[int(row)] for row in rows],
        truth,
        truth != UNKNOWN,
        rows,
        "references, left out",
    )


def choose_held_out(
    library: ReferenceLibrary, dataset: Path, splits: Sequence[str], embedder: Embedder
) -> HeldOut:
    """Choose the held-out barcodes: from partitions, else from the references.

    Args:
        library: Library to calibrate.
        dataset: Folder of the data set that the library was made of.
        splits: Held-out partitions.
        embedder: Model, which must be able to read the barcodes.

    Raises:
        DataError: Too few barcodes have a species and a genus.
    """
    generator = np.random.default_rng(0)
    found = held_out_from_splits(library, dataset, splits)
    if found is None or len(found.sequences) < MIN_HELD_OUT:
        found = held_out_from_references(library, generator)
    invalid = embedder.find_invalid(found.sequences)
    rows = np.array([row for row in range(len(found.sequences)) if row not in invalid], np.int64)
    if len(rows) < MIN_HELD_OUT:
        raise DataError(
            dataset,
            f"only {len(rows)} barcodes with species and genus to calibrate with; "
            f"{MIN_HELD_OUT} are needed",
        )
    return found.select(np.sort(generator.permutation(rows)[:MAX_QUERIES]))


class LeaveOutSearch:
    """Searches a library as if it lacked the species or the genus of the query.

    Args:
        library: Library to search.
        held_out: Held-out barcodes to search for.
    """

    def __init__(self, library: ReferenceLibrary, held_out: HeldOut) -> None:
        self.library = library
        self.held_out = held_out
        self.counts = [np.bincount(library.codes[:, r] + 1) for r in range(len(RANKS))]

    def search(
        self, vectors: NDArray[np.float32], barcode_rows: NDArray[np.int64], left_out: int | None
    ) -> Examples:
        """Search for held-out barcodes; no barcode finds itself or what is left out for it.

        Args:
            vectors: Embeddings of the barcodes, (E, D).
            barcode_rows: Rows of the barcodes among the held-out ones, (E,).
            left_out: Rank whose true taxon is left out: `SPECIES`, `GENUS`, or None for neither.
        """
        truth = self.held_out.truth[barcode_rows]  # (E, T)
        own = self.held_out.own_rows[barcode_rows]  # (E,)
        codes = self.library.codes
        # Find the code of the taxon that each query must not find.
        taxon_out = np.full(len(barcode_rows), UNUSED) if left_out is None else truth[:, left_out]
        taxon_out = np.where(taxon_out == UNKNOWN, UNUSED, taxon_out)  # (E,)
        rank = SPECIES if left_out is None else left_out

        def excluded(queries: NDArray[np.int64], block: slice) -> NDArray[np.bool_]:
            rows = np.arange(block.start, block.stop)
            is_of_taxon = codes[block, rank][None] == taxon_out[queries, None]
            excluded: NDArray[np.bool_] = is_of_taxon | (rows[None] == own[queries, None])
            return excluded  # (queries, references of the block)

        found = ExactSearch(self.library.vectors, excluded).search(vectors, NUM_NEIGHBORS)
        return Examples(barcode_rows, self.situation(truth, own, left_out), found)

    def situation(
        self, truth: NDArray[np.int64], own: NDArray[np.int64], left_out: int | None
    ) -> NDArray[np.int64]:
        """Find the situation of each example by what remains of its lineage in the library.

        Args:
            truth: Codes of the true taxa, (E, T).
            own: Row of each barcode among the references, (E,); -1 if it is not a reference.
            left_out: Rank whose true taxon is left out, None for neither.

        Returns:
            Index of each example's situation in `SITUATIONS`, (E,).
        """
        species_left = self._count(SPECIES, truth) - (own >= 0)  # (E,), other references of it
        genus_left = self._count(GENUS, truth) - (own >= 0)
        if left_out == SPECIES:
            genus_left = self._count(GENUS, truth) - self._count(SPECIES, truth)
        if left_out is not None:
            species_left = np.zeros_like(species_left)
        if left_out == GENUS:
            genus_left = np.zeros_like(genus_left)
        return np.where(species_left > 0, 0, np.where(genus_left > 0, 1, 2))

    def _count(self, rank: int, truth: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count the references of each example's true taxon at a rank, (E,)."""
        taxa = truth[:, rank]
        counted: NDArray[np.int64] = np.where(taxa == UNKNOWN, 0, self.counts[rank][taxa + 1])
        return counted

    def examples(self, vectors: NDArray[np.float32]) -> Examples:
        """Search for all held-out barcodes in every situation that the calibration needs.

        Args:
            vectors: Embeddings of the held-out barcodes, (N, D).
        """
        # As they are: known species, and new species if the partitions have some.
        every = np.arange(len(vectors))
        natural = self.search(vectors, every, None)
        parts = [natural]
        new_species = every[natural.situation == SITUATIONS.index("new_species")]
        if len(new_species) < MIN_NATURAL:
            parts.append(self.search(vectors, every, SPECIES))
            new_species = every
        # Barcodes of species that the model never saw represent new genera, if there are enough.
        parts.append(self.search(vectors[new_species], new_species, GENUS))
        return Examples(
            np.concatenate([part.barcode_rows for part in parts]),
            np.concatenate([part.situation for part in parts]),
            Neighborhood(
                np.concatenate([part.neighborhood.rows for part in parts]),
                np.concatenate([part.neighborhood.similarity for part in parts]),
            ),
        )
