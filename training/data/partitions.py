"""Divide a data set that comes without partitions, after the pattern of BIOSCAN-5M.

In: species, genus and BIN of each row. Out: a partition for each row:

    other_heldout   every species of some genera, for novelty
    key/val/test_unseen   some species of genera that are otherwise seen, a third each of every
                    such species; none shares a BIN with another species
    train, val, test      the other labelled species
    pretrain        rows without species or genus, and a share of the seen species

Draws depend on the seed, the names and the barcodes only, not on the order of the rows, so that
adding rows moves few others. Guarded by tests/training/data/test_partitions.py.
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
    """How partitions are made. Shares are of species or barcodes, 0 to 1.

    Raises:
        SettingsError: A share that is none.
    """

    seed: int = 0
    unseen_species: float = 0.1
    """Share of the species of seen genera that become unseen."""
    heldout_genera: float = 0.03
    """Share of the genera that are held out whole."""
    test: float = 0.1
    """Share of a seen species' barcodes for test."""
    val: float = 0.05
    """Share of a seen species' barcodes for validation."""
    min_evaluated: int = 8
    """Fewest barcodes of a seen species that takes part in test and validation."""
    pretrain: float | None = None
    """Share of a seen species' other barcodes for pre-training. None: none of them where at least
    half of the rows lack a label and serve for that, as in BIOSCAN-5M; otherwise half."""

    def __post_init__(self) -> None:
        for name in ("unseen_species", "heldout_genera", "test", "val", "pretrain"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                raise SettingsError(f"{name} is a share from 0 to 1, got {share}")
        if self.test + self.val > 0.8:
            raise SettingsError("test and val together may not exceed 0.8")


@dataclass(frozen=True)
class LabelledRows:
    """What partitions are made from. Arrays have shape (N,), -1 where a label is unknown.

    Attributes:
        species: Number of the species.
        genus: Number of the genus.
        bins: Number of the BIN.
        keys: A random-looking number that depends on the barcode only.
        species_names: Names by number.
        genus_names: Names by number.
    """

    species: NDArray[np.int32]
    genus: NDArray[np.int32]
    bins: NDArray[np.int32]
    keys: NDArray[np.uint64]
    species_names: Sequence[str]
    genus_names: Sequence[str]


def _draw(seed: int, kind: str, names: Sequence[str]) -> NDArray[np.float64]:
    """A number from 0 to 1 for each name, the same for the same seed and name."""
    drawn = [blake2b(f"{seed}\0{kind}\0{name}".encode(), digest_size=8).digest() for name in names]
    return np.frombuffer(b"".join(drawn), dtype=">u8").astype(np.float64) / 2.0**64


def make_partitions(rows: LabelledRows, plan: PartitionPlan) -> NDArray[np.uint8]:
    """Draw the partitions.

    Returns:
        For each row the position of its partition in `SPLITS`, shape (N,).
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
    """Shuffle the rows of each species: place of each row, and the size of each species."""
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
    """Partition of each row if its species is seen; the last of a species is always in train."""
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
    """Decide which species are held out and which unseen, shape (number of species,) each."""
    species, genus, bins = (values[labelled] for values in (rows.species, rows.genus, rows.bins))
    num_species = int(species.max()) + 1
    present, first_rows, sizes = np.unique(species, return_index=True, return_counts=True)
    genus_of = np.full(num_species, -1)
    genus_of[present] = genus[first_rows]
    is_genus_heldout = _draw(plan.seed, "genus", rows.genus_names) < plan.heldout_genera
    is_heldout = (genus_of >= 0) & is_genus_heldout[genus_of]
    luck = _draw(plan.seed, "species", rows.species_names[:num_species])
    is_unseen = (luck < plan.unseen_species) & ~is_heldout
    is_unseen[present[sizes < len(UNSEEN_SPLITS)]] = False  # one barcode for each third
    is_unseen[_sharing(species, bins)] = False
    is_unseen[_sharing(species, genus, by_second=False)] = False
    return is_heldout, is_unseen & ~_would_empty_genus(is_unseen, genus_of, present, luck)


def _sharing(
    species: NDArray[np.int32], other: NDArray[np.int32], *, by_second: bool = True
) -> NDArray[np.int64]:
    """Species that share a BIN with another, or (by_second=False) stand in several genera."""
    pairs = np.unique(np.stack([species, other])[:, other >= 0], axis=1)
    counted = pairs[1] if by_second else pairs[0]
    values, counts = np.unique(counted, return_counts=True)
    return np.unique(pairs[0][np.isin(counted, values[counts > 1])])


def _would_empty_genus(
    is_unseen: NDArray[np.bool_],
    genus_of: NDArray[np.int64],
    present: NDArray[np.int32],
    luck: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Of each genus all of whose species were drawn, mark the one to give back."""
    num_genera = int(genus_of.max()) + 1
    num_seen = np.bincount(genus_of[present[~is_unseen[present]]], minlength=num_genera)
    drawn = present[is_unseen[present]]
    drawn = drawn[np.argsort(luck[drawn])[::-1]]
    emptied = drawn[num_seen[genus_of[drawn]] == 0]
    _, firsts = np.unique(genus_of[emptied], return_index=True)
    given_back = np.zeros(len(is_unseen), dtype=np.bool_)
    given_back[emptied[firsts]] = True
    return given_back
