"""Held-out queries with known lineages, on every step of the ladder that a library can show.

Held-out queries come from the partitions `val` and `val_unseen` if the data set has them, and from
the references, each left out of the library in its own search. Each is searched for as it is, and
again with its species, its genus, ... left out of the library with all their references. So the
calibration learns what a species, a genus, a family, an order looks like that the library lacks.
Guarded by tests/eval/identify/reference/test_heldout.py.

Shapes: N = held-out barcodes, T = ranks, D = embedding width, K = neighbours,
E = examples (each a held-out barcode with a rank left out).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from barcodemae.dataset import RANKS, read_splits, split_names
from barcodemae.errors import DataError
from barcodemae.eval.embed.embedder import Embedder, PlacedSequence, embed_placed
from barcodemae.eval.identify.judge.judgement import GENUS, SPECIES
from barcodemae.eval.identify.judge.ladder import LADDER, UNKNOWN
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.search.reference_search import (
    ExactSearch,
    Exclusion,
    Neighborhood,
    Task,
    unit_length,
)


NUM_NEIGHBORS = 32
MAX_QUERIES = 3000  # whole barcodes of partitions, and as many references
MAX_HIGHER = 1500  # examples with an order or more left out
MIN_HELD_OUT = 20
MIN_TAXA = 3  # of a rank of which one is left out; if one stayed, all neighbours would agree
NUM_UPPER = LADDER.index("family")  # ranks above the family
LADDER_RANKS = [RANKS.index(name) for name in LADDER]


@dataclass(frozen=True)
class HeldOut:
    """Held-out barcodes with their true lineages.

    Attributes:
        placed: Their letters, placed like queries, N.
        vectors: Their embeddings, of unit length, (N, D).
        truth: Codes of the true taxa, (N, T); -1 for a taxon that the library lacks.
        is_named: Whether the true taxon is known at all, (N, T).
        own_rows: Row of each barcode among the references, (N,); -1 if it is not a reference.
    """

    placed: list[PlacedSequence]
    vectors: NDArray[np.float32]
    truth: NDArray[np.int64]
    is_named: NDArray[np.bool_]
    own_rows: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of barcodes."""
        return len(self.placed)

    def select(self, rows: NDArray[np.int64]) -> "HeldOut":
        """Return the barcodes of some rows."""
        return HeldOut(
            [self.placed[row] for row in rows],
            self.vectors[rows],
            self.truth[rows],
            self.is_named[rows],
            self.own_rows[rows],
        )

    @classmethod
    def concatenate(cls, parts: Sequence["HeldOut"]) -> "HeldOut":
        """Join held-out barcodes of several origins."""
        placed = [sequence for part in parts for sequence in part.placed]
        names = [field.name for field in fields(cls)][1:]
        return cls(placed, *(np.concatenate([getattr(p, name) for p in parts]) for name in names))

    def changed_to(
        self, rows: NDArray[np.int64], placed: list[PlacedSequence], embedder: Embedder
    ) -> "HeldOut":
        """Return the barcodes of some rows with other letters, those that the model can read."""
        letters = [sequence.letters for sequence in placed]
        invalid = embedder.find_invalid(letters) if letters else {}
        kept = [n for n in range(len(placed)) if n not in invalid and placed[n].is_barcode]
        vectors = unit_length(embed_placed(embedder, [placed[n] for n in kept])) if kept else None
        chosen = self.select(rows[kept])
        return HeldOut(
            [placed[n] for n in kept],
            chosen.vectors if vectors is None else vectors,
            chosen.truth,
            chosen.is_named,
            chosen.own_rows,
        )


def held_out_from_splits(
    library: ReferenceLibrary, dataset: Path, splits: Sequence[str], embedder: Embedder
) -> HeldOut | None:
    """Read the barcodes of held-out partitions that have a species and a genus.

    Args:
        library: Library to calibrate, which gives the codes of taxa.
        dataset: Folder of the data set.
        splits: Held-out partitions.
        embedder: Model.

    Returns:
        The barcodes, at most `MAX_QUERIES`; None if the data set has no row of these partitions.
    """
    present = split_names(dataset) if splits else []
    splits = [name for name in splits if name in present]
    if not splits:
        return None
    table = read_splits(dataset, splits, ("processid", "dna_barcode", *RANKS))
    table = table.filter(pa.compute.and_(table["species"].is_valid(), table["genus"].is_valid()))
    chosen = np.random.default_rng(0).permutation(table.num_rows)[:MAX_QUERIES]
    table = table.take(pa.array(np.sort(chosen)))
    names = [table[rank].to_pylist() for rank in RANKS]
    placer = library.placer(embedder)
    placed = list(placer.place([text or "" for text in table["dna_barcode"].to_pylist()]))
    raw = HeldOut(
        placed,
        np.zeros((len(placed), 1), np.float32),
        np.stack([library.codes_of(r, n) for r, n in zip(RANKS, names, strict=True)], axis=1),
        np.array([[name is not None for name in column] for column in names], bool).T,
        np.full(len(placed), -1),
    )
    return raw.changed_to(np.arange(len(placed)), placed, embedder)


def held_out_from_references(library: ReferenceLibrary) -> HeldOut:
    """Draw references that have a species and a genus, to be left out in their own searches."""
    named = np.flatnonzero((library.codes[:, [GENUS, SPECIES]] != UNKNOWN).all(axis=1))
    rows = np.sort(np.random.default_rng(0).permutation(named)[:MAX_QUERIES])
    truth = library.codes[rows].astype(np.int64)
    return HeldOut(
        [library.placed_reference(int(row)) for row in rows],
        np.asarray(library.vectors[rows]),
        truth,
        truth != UNKNOWN,
        rows,
    )


def choose_held_out(
    library: ReferenceLibrary, dataset: Path, splits: Sequence[str], embedder: Embedder
) -> tuple[HeldOut, str]:
    """Choose the held-out barcodes: those of partitions, and references.

    Args:
        library: Library to calibrate.
        dataset: Folder of the data set that the library was made of.
        splits: Held-out partitions.
        embedder: Model.

    Returns:
        The barcodes, and in words where they come from.

    Raises:
        DataError: Too few barcodes have a species and a genus.
    """
    parts = [held_out_from_references(library)]
    origin = "references, left out"
    from_splits = held_out_from_splits(library, dataset, splits, embedder)
    if from_splits is not None and len(from_splits):
        parts.insert(0, from_splits)
        origin = f"{'+'.join(splits)} and {origin}"
    found = HeldOut.concatenate(parts)
    if len(found) < MIN_HELD_OUT:
        raise DataError(
            dataset,
            f"only {len(found)} barcodes with species and genus to calibrate with; "
            f"{MIN_HELD_OUT} are needed",
        )
    return found, origin


@dataclass(frozen=True)
class Examples:
    """Held-out barcodes, each with a rank left out, and the neighbours found for them.

    Attributes:
        held_out: The barcodes, E.
        step: Step of the ladder on which each stands in what is left of the library, (E,).
        neighborhood: Nearest references that are left, (E, K).
    """

    held_out: HeldOut
    step: NDArray[np.int64]
    neighborhood: Neighborhood


class LeaveOutSearch:
    """Searches a library as if it lacked a taxon of the query.

    Args:
        library: Library to search.
    """

    def __init__(self, library: ReferenceLibrary) -> None:
        self.library = library
        self.sizes = [np.bincount(library.codes[:, rank] + 1) for rank in range(len(RANKS))]
        self.num_taxa = [int((size[1:] > 0).sum()) for size in self.sizes]

    def examples(self, held_out: HeldOut) -> list[Examples]:
        """Search for held-out barcodes as they are, and with each rank left out."""
        everywhere = np.arange(len(held_out))
        ranks: list[int | None] = [None]
        tasks = [Task(everywhere, self.excluded(held_out, None))]
        for place, rank in reversed(list(enumerate(LADDER_RANKS))):
            if self.num_taxa[rank] < MIN_TAXA:
                continue  # decoys stand for what is new here
            rows = np.flatnonzero(held_out.truth[:, rank] != UNKNOWN)
            if place < NUM_UPPER:
                rows = np.random.default_rng(place).permutation(rows)[:MAX_HIGHER]
            if len(rows):
                ranks.append(rank)
                tasks.append(Task(np.sort(rows), self.excluded(held_out, rank)))
        search = ExactSearch(self.library.vectors)
        found = search.search_each(held_out.vectors, NUM_NEIGHBORS, tasks)
        return [
            self.as_examples(held_out.select(task.rows), rank, near)
            for rank, task, near in zip(ranks, tasks, found, strict=True)
        ]

    def search(self, held_out: HeldOut) -> Examples:
        """Search for barcodes as they are; none finds itself."""
        search = ExactSearch(self.library.vectors, self.excluded(held_out, None))
        return self.as_examples(held_out, None, search.search(held_out.vectors, NUM_NEIGHBORS))

    def excluded(self, held_out: HeldOut, left_out: int | None) -> Exclusion:
        """Return what tells which references a barcode must not find: itself, and its taxon.

        Args:
            held_out: Barcodes, E.
            left_out: Index of the rank whose true taxon is left out; None for none.
        """
        codes, own = self.library.codes, held_out.own_rows
        rank = SPECIES if left_out is None else left_out
        taxon = np.full(len(held_out), UNUSED) if left_out is None else held_out.truth[:, rank]

        def is_excluded(queries: NDArray[np.int64], block: slice) -> NDArray[np.bool_]:
            rows = np.arange(block.start, block.stop)
            is_of_taxon = codes[block, rank][None] == taxon[queries, None]
            excluded: NDArray[np.bool_] = is_of_taxon | (rows[None] == own[queries, None])
            return excluded  # (queries, references of the block)

        return is_excluded

    def as_examples(self, held_out: HeldOut, left_out: int | None, near: Neighborhood) -> Examples:
        """Say on which step barcodes stand whose neighbours were found."""
        return Examples(held_out, self.step(held_out, left_out), near)

    def step(self, held_out: HeldOut, left_out: int | None) -> NDArray[np.int64]:
        """Count down to which rank of the ladder the rest of the library has each lineage, (E,).

        A rank at which the true taxon is not known counts like the rank above.
        """
        is_own = held_out.own_rows >= 0
        lost = is_own.astype(np.int64)  # references of the taxon that are left out
        if left_out is not None:
            lost = self._count(left_out, held_out.truth)
        reached = np.ones(len(held_out), bool)
        step = np.zeros(len(held_out), np.int64)
        for rank in LADDER_RANKS:
            if left_out is not None and rank >= left_out:
                remains = np.zeros(len(held_out), bool)
            else:
                remains = self._count(rank, held_out.truth) > lost
            reached &= remains | ~held_out.is_named[:, rank]
            step += reached
        return step

    def _count(self, rank: int, truth: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count the references of each barcode's true taxon at a rank, (E,)."""
        taxa = truth[:, rank]
        counted: NDArray[np.int64] = np.where(taxa == UNKNOWN, 0, self.sizes[rank][taxa + 1])
        return counted


UNUSED = -2  # code that no reference has
