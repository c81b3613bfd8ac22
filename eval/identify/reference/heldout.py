"""Queries whose answer is known and withheld, in the situations that a library will meet.

Held-out queries are the partitions `val` and `val_unseen` where the data set has them, else
references that are asked about as if they were not in the library. Three situations are made: the
species is there; only its genus is (a species of `val_unseen`, or leave-species-out); not even the
genus (leave-genus-out). They are weighted as a stated mixture, so a probability means the same
whatever the partitions' sizes are. Guarded by tests/eval/test_heldout.py.

Shapes: N = held-out barcodes, T = ranks, E = examples (barcodes in situations).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from barcodemae.dataset import RANKS, open_dataset, read_splits
from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.embed.embedder import Embedder
from barcodemae.eval.embed.screening import clean
from barcodemae.eval.identify.judge.evidence import UNKNOWN
from barcodemae.eval.identify.judge.judgement import GENUS, SPECIES
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.search.reference_search import ExactSearch, Neighborhood


NUM_NEIGHBORS = 32
MAX_QUERIES = 3000  # whole barcodes
MIN_NATURAL = 200  # queries of new species; below, leave-species-out adds some
MIN_HELD_OUT = 20
SITUATIONS = ("known", "new_species", "new_genus")
UNUSED = -2  # a code that no reference has


@dataclass(frozen=True)
class Mixture:
    """Share of each situation among the queries that are expected, in percent.

    Raises:
        SettingsError: Not three shares above zero.
    """

    known: float = 65.0
    new_species: float = 30.0
    new_genus: float = 5.0

    def __post_init__(self) -> None:
        if min(self.shares()) <= 0:
            raise SettingsError(f"a mixture needs three shares above zero, got {self.shares()}")

    def shares(self) -> list[float]:
        """In the order of `SITUATIONS`."""
        return [self.known, self.new_species, self.new_genus]

    @classmethod
    def parse(cls, text: str) -> "Mixture":
        """Read `65,30,5`.

        Raises:
            SettingsError: Not three numbers above zero.
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
    """Barcodes with their true lineage.

    Attributes:
        sequences: Cleaned, N.
        truth: Codes of the true taxa, (N, T); -1 for a taxon that the library lacks.
        is_named: Whether the true taxon is known at all, (N, T).
        own_rows: Row among the references, (N,); -1 for barcodes that are none.
        origin: Which partitions they are of.
    """

    sequences: list[str]
    truth: NDArray[np.int64]
    is_named: NDArray[np.bool_]
    own_rows: NDArray[np.int64]
    origin: str

    def select(self, rows: NDArray[np.int64]) -> "HeldOut":
        """Keep some barcodes."""
        return HeldOut(
            [self.sequences[row] for row in rows],
            self.truth[rows],
            self.is_named[rows],
            self.own_rows[rows],
            self.origin,
        )


@dataclass(frozen=True)
class Examples:
    """Held-out barcodes in situations: what was found and what is true.

    Attributes:
        which: Held-out barcode, (E,).
        situation: Position in `SITUATIONS`, (E,).
        neighborhood: What the search found.
    """

    which: NDArray[np.int64]
    situation: NDArray[np.int64]
    neighborhood: Neighborhood

    def weights(self, mixture: Mixture) -> NDArray[np.float64]:
        """Weights that give every situation its share, (E,)."""
        counts = np.bincount(self.situation, minlength=len(SITUATIONS))
        per_example = np.array(mixture.shares()) / np.maximum(counts, 1)
        weights: NDArray[np.float64] = per_example[self.situation]
        return weights


def held_out_of_splits(
    library: ReferenceLibrary, dataset: Path, splits: Sequence[str]
) -> HeldOut | None:
    """Read held-out partitions; None if the data set has no row of them."""
    present = open_dataset(dataset).to_table(columns=["split"])["split"].unique().to_pylist()
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


def held_out_of_references(library: ReferenceLibrary, generator: np.random.Generator) -> HeldOut:
    """Draw references with species and genus, to ask about as if they were not there."""
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


def draw_held_out(
    library: ReferenceLibrary, dataset: Path, splits: Sequence[str], embedder: Embedder
) -> HeldOut:
    """Choose the held-out barcodes.

    Raises:
        DataError: Too few have species and genus.
    """
    generator = np.random.default_rng(0)
    found = held_out_of_splits(library, dataset, splits)
    if found is None or len(found.sequences) < MIN_HELD_OUT:
        found = held_out_of_references(library, generator)
    invalid = embedder.find_invalid(found.sequences)
    rows = np.array([row for row in range(len(found.sequences)) if row not in invalid], np.int64)
    if len(rows) < MIN_HELD_OUT:
        raise DataError(
            dataset,
            f"only {len(rows)} barcodes with species and genus to calibrate with; "
            f"{MIN_HELD_OUT} are needed",
        )
    return found.select(np.sort(generator.permutation(rows)[:MAX_QUERIES]))


class Situations:
    """Searches for held-out barcodes while their species or genus is taken out of the library."""

    def __init__(self, library: ReferenceLibrary, held_out: HeldOut) -> None:
        self.library = library
        self.held_out = held_out
        self.counts = [np.bincount(library.codes[:, r] + 1) for r in range(len(RANKS))]

    def search(
        self, vectors: NDArray[np.float32], which: NDArray[np.int64], left_out: int | None
    ) -> Examples:
        """Search for some held-out barcodes.

        Args:
            vectors: Their embeddings.
            which: Their places among the held-out ones.
            left_out: Rank whose true taxon is taken out: `SPECIES`, `GENUS` or None.
        """
        truth, own = self.held_out.truth[which], self.held_out.own_rows[which]
        codes = self.library.codes
        out = np.full(len(which), UNUSED) if left_out is None else truth[:, left_out]
        out = np.where(out == UNKNOWN, UNUSED, out)
        rank = SPECIES if left_out is None else left_out

        def excluded(queries: NDArray[np.int64], block: slice) -> NDArray[np.bool_]:
            rows = np.arange(block.start, block.stop)
            of_taxon = codes[block, rank][None] == out[queries, None]
            excluded: NDArray[np.bool_] = of_taxon | (rows[None] == own[queries, None])
            return excluded

        found = ExactSearch(self.library.vectors, excluded).search(vectors, NUM_NEIGHBORS)
        return Examples(which, self.situation(truth, own, left_out), found)

    def situation(
        self, truth: NDArray[np.int64], own: NDArray[np.int64], left_out: int | None
    ) -> NDArray[np.int64]:
        """Say what of each barcode's lineage is left in the library, (E,)."""
        species_left = self._count(SPECIES, truth) - (own >= 0)
        genus_left = self._count(GENUS, truth) - (own >= 0)
        if left_out == SPECIES:
            genus_left = self._count(GENUS, truth) - self._count(SPECIES, truth)
        if left_out is not None:
            species_left = np.zeros_like(species_left)
        if left_out == GENUS:
            genus_left = np.zeros_like(genus_left)
        return np.where(species_left > 0, 0, np.where(genus_left > 0, 1, 2))

    def _count(self, rank: int, truth: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number of references of the true taxon."""
        taxa = truth[:, rank]
        counted: NDArray[np.int64] = np.where(taxa == UNKNOWN, 0, self.counts[rank][taxa + 1])
        return counted

    def examples(self, vectors: NDArray[np.float32]) -> Examples:
        """Search in every situation that is wanted, for all held-out barcodes."""
        every = np.arange(len(vectors))
        natural = self.search(vectors, every, None)
        parts = [natural]
        foreign = every[natural.situation == SITUATIONS.index("new_species")]
        if len(foreign) < MIN_NATURAL:
            parts.append(self.search(vectors, every, SPECIES))
            foreign = every
        # Barcodes of species that the model never saw stand for new genera, where there are some.
        parts.append(self.search(vectors[foreign], foreign, GENUS))
        return Examples(
            np.concatenate([part.which for part in parts]),
            np.concatenate([part.situation for part in parts]),
            Neighborhood(
                np.concatenate([part.neighborhood.rows for part in parts]),
                np.concatenate([part.neighborhood.similarity for part in parts]),
            ),
        )
