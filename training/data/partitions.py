"""Partitions like those of BIOSCAN-5M, for a data set that comes without any.

In: species, genus and BIN of each row. Out: a partition for each row:

    other_heldout         all species of some genera, to test for novelty
    key/val/test_unseen   some species of genera of which other species are seen; a third of each
                          such species' barcodes goes to each of the three partitions, and none of
                          these species shares a BIN with another
    train, val, test      the other labelled species
    pretrain              rows without species or genus, and a fraction of the seen species' rows

Draws depend on the seed, the names and the barcodes only, not on the order of the rows, so that
adding rows moves few others. Guarded by tests/training/data/test_partitions.py.

Shapes: N = rows, S = species.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import SPLITS
from barcodemae.errors import SettingsError


UNSEEN_SPLITS = ("key_unseen", "val_unseen", "test_unseen")
_CODE = {name: code for code, name in enumerate(SPLITS)}


@dataclass(frozen=True, kw_only=True)
class PartitionPlan:
    """Sizes of the partitions, as fractions from 0 to 1.

    Raises:
        SettingsError: A fraction is out of range.
    """

    seed: int = 0
    """Seed of all draws."""
    unseen_species: float = 0.1
    """Fraction of the species of seen genera that are unseen in training."""
    heldout_genera: float = 0.03
    """Fraction of the genera that are held out completely."""
    test: float = 0.1
    """Fraction of a seen species' barcodes for the partition `test`."""
    val: float = 0.05
    """Fraction of a seen species' barcodes for the partition `val`."""
    min_evaluated: int = 8
    """Number of barcodes that a seen species needs to have any in `test` and `val`."""
    pretrain: float | None = None
    """Fraction of a seen species' other barcodes for pre-training. None means 0 if at least half of
    the rows lack a label and serve for pre-training, as in BIOSCAN-5M, and otherwise 0.5."""

    def __post_init__(self) -> None:
        for name in ("unseen_species", "heldout_genera", "test", "val", "pretrain"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                raise SettingsError(f"{name} must lie between 0 and 1, got {share}")
        if self.test + self.val > 0.8:
            raise SettingsError(
                f"test and val must not exceed 0.8 together, got {self.test} and {self.val}"
            )


@dataclass(frozen=True)
class LabelledRows:
    """The labels from which partitions are drawn, as numbers; -1 for an unknown label.

    Attributes:
        species: Number of each row's species, (N,).
        genus: Number of each row's genus, (N,).
        bins: Number of each row's BIN, (N,).
        keys: Pseudo-random number of each row that depends on its barcode only, (N,).
        species_names: Names of the species, in the order of their numbers.
        genus_names: Names of the genera, in the order of their numbers.
    """

    species: NDArray[np.int32]
    genus: NDArray[np.int32]
    bins: NDArray[np.int32]
    keys: NDArray[np.uint64]
    species_names: Sequence[str]
    genus_names: Sequence[str]


def _draw(seed: int, kind: str, names: Sequence[str]) -> NDArray[np.float64]:
    """Draw a number from 0 to 1 for each name, as a function of seed, kind and name."""
    drawn = [blake2b(f"{seed}\0{kind}\0{name}".encode(), digest_size=8).digest() for name in names]
    return np.frombuffer(b"".join(drawn), dtype=">u8").astype(np.float64) / 2.0**64


def make_partitions(rows: LabelledRows, plan: PartitionPlan) -> NDArray[np.uint8]:
    """Draw the partitions.

    Args:
        rows: Labels of the rows.
        plan: Sizes of the partitions.

    Returns:
        Index in `SPLITS` of each row's partition, (N,).
    """
    is_labelled = (rows.species >= 0) & (rows.genus >= 0)
    codes = np.full(len(rows.species), _CODE["pretrain"], dtype=np.uint8)
    labelled = np.flatnonzero(is_labelled)
    if not labelled.size:
        return codes
    species = rows.species[labelled]
    is_heldout, is_unseen = _draw_species(rows, labelled, plan)
    places, sizes = _places_in_species(species, rows.keys[labelled], plan.seed)
    share = plan.pretrain
    if share is None:
        share = 0.0 if 2 * len(labelled) <= len(codes) else 0.5
    drawn = _divide_seen(places, sizes[species], plan, share)
    unseen_codes = np.array([_CODE[name] for name in UNSEEN_SPLITS], dtype=np.uint8)
    drawn = np.where(is_unseen[species], unseen_codes[places % len(unseen_codes)], drawn)
    codes[labelled] = np.where(is_heldout[species], _CODE["other_heldout"], drawn)
    return codes


def _places_in_species(
    species: NDArray[np.int32], keys: NDArray[np.uint64], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Shuffle the rows of each species.

    Returns:
        places: Index of each row within its shuffled species, (labelled rows,).
        sizes: Number of rows of each species, (S,).
    """
    mixed = (keys ^ np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
    order = np.lexsort((mixed, species))
    sizes = np.bincount(species)
    starts = np.cumsum(sizes) - sizes
    places = np.empty(len(species), dtype=np.int64)
    places[order] = np.arange(len(species)) - starts[species[order]]
    return places, sizes


def _divide_seen(
    places: NDArray[np.int64], sizes: NDArray[np.int64], plan: PartitionPlan, pretrain: float
) -> NDArray[np.uint8]:
    """Divide the rows of seen species; the last row of a species is always in `train`."""
    is_evaluated = sizes >= plan.min_evaluated
    num_test = np.where(is_evaluated, np.rint(sizes * plan.test), 0)
    num_val = np.where(is_evaluated, np.rint(sizes * plan.val), 0)
    num_pretrain = np.floor((sizes - num_test - num_val) * pretrain)
    bounds = np.stack([num_test, num_test + num_val, num_test + num_val + num_pretrain])
    bounds = np.minimum(bounds, sizes - 1)
    names = ("test", "val", "pretrain", "train")
    codes = np.array([_CODE[name] for name in names], dtype=np.uint8)
    drawn: NDArray[np.uint8] = codes[(places >= bounds).sum(axis=0)]
    return drawn


def _draw_species(
    rows: LabelledRows, labelled: NDArray[np.int64], plan: PartitionPlan
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Draw which species are held out and which are unseen, (S,) each."""
    species, genus, bins = (values[labelled] for values in (rows.species, rows.genus, rows.bins))
    num_species = int(species.max()) + 1
    present, first_rows, sizes = np.unique(species, return_index=True, return_counts=True)
    genus_of = np.full(num_species, -1)
    genus_of[present] = genus[first_rows]
    is_genus_heldout = _draw(plan.seed, "genus", rows.genus_names) < plan.heldout_genera
    is_heldout = (genus_of >= 0) & is_genus_heldout[genus_of]
    draws = _draw(plan.seed, "species", rows.species_names[:num_species])
    is_unseen = (draws < plan.unseen_species) & ~is_heldout
    is_unseen[present[sizes < len(UNSEEN_SPLITS)]] = False  # one barcode for each third
    is_unseen[_sharing(species, bins)] = False
    is_unseen[_sharing(species, genus, by_second=False)] = False
    return is_heldout, is_unseen & ~_would_empty_genus(is_unseen, genus_of, present, draws)


def _sharing(
    species: NDArray[np.int32], other: NDArray[np.int32], *, by_second: bool = True
) -> NDArray[np.int64]:
    """Find species whose label is ambiguous.

    Args:
        species: Number of each row's species.
        other: Number of each row's BIN or genus.
        by_second: Whether to find the species that share a number in `other` with another species
            (a BIN), or those that have several numbers (genera).

    Returns:
        Numbers of these species.
    """
    pairs = np.unique(np.stack([species, other])[:, other >= 0], axis=1)
    counted = pairs[1] if by_second else pairs[0]
    values, counts = np.unique(counted, return_counts=True)
    return np.unique(pairs[0][np.isin(counted, values[counts > 1])])


def _would_empty_genus(
    is_unseen: NDArray[np.bool_],
    genus_of: NDArray[np.int64],
    present: NDArray[np.int32],
    draws: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Mark in each genus without a seen species the unseen one with the highest draw, (S,)."""
    num_genera = int(genus_of.max()) + 1
    num_seen = np.bincount(genus_of[present[~is_unseen[present]]], minlength=num_genera)
    drawn = present[is_unseen[present]]
    drawn = drawn[np.argsort(draws[drawn])[::-1]]
    emptied = drawn[num_seen[genus_of[drawn]] == 0]
    _, firsts = np.unique(genus_of[emptied], return_index=True)
    is_last = np.zeros(len(is_unseen), dtype=np.bool_)
    is_last[emptied[firsts]] = True
    return is_last
