"""A random species tree, cut into genera, families and orders, for simulated barcodes.

In: the number of species and the size of taxa. Out: the tree in Newick format, and the taxa of each
species. msprime draws the shape of the tree; node ages and cuts are set here, so that barcodes
differ as much as in nature. Guarded by tests/training/data/test_simulate.py.
"""

from collections import defaultdict
from dataclasses import dataclass
from itertools import count

import msprime
import numpy as np
import tskit


# Substitutions per site and lineage from the present to the crown age of each rank. Chosen by trial
# so that barcodes differ by about 0.5 % within a species, 5-12 % between species of a genus and
# 12-18 % between genera of a family; the root is as deep as the saturation between insect orders
# requires.
SPECIES_DEPTH = 0.03
RANK_DEPTHS = {"genus": 0.08, "family": 0.12, "order": 0.25}
ROOT_DEPTH = 0.45

MUTATION_RATE = 1e-8  # per site and generation; only its product with times matters


@dataclass(frozen=True, slots=True)
class SpeciesTree:
    """A species tree and the taxa that result from cutting it.

    Attributes:
        newick: The tree in Newick format; species `i` is the leaf `n<i>`, branch lengths are in
            generations.
        taxa: Rank, as in `RANK_DEPTHS` -> number of each species' taxon.
    """

    newick: str
    taxa: dict[str, list[int]]


def draw_seed(generator: np.random.Generator) -> int:
    """Draw a seed for msprime, which takes no generator."""
    return int(generator.integers(1, 2**31))


def draw_species_tree(
    num_species: int, taxon_size: int, generator: np.random.Generator
) -> SpeciesTree:
    """Draw a pure-birth tree whose number of lineages follows `RANK_DEPTHS`.

    A coalescent and a pure-birth process give the same distribution of ranked tree shapes (Aldous
    2001), so msprime's coalescent gives the shape. The nodes are then set to their expected ages:
    the logarithm of the number of lineages falls linearly from the depth of one rank to the next.

    Args:
        num_species: Number of leaves.
        taxon_size: Species per genus, genera per family and families per order, on average.
        generator: Source of the random numbers.
    """
    shape = msprime.sim_ancestry(
        num_species, ploidy=1, random_seed=draw_seed(generator), record_provenance=False
    )
    sizes = {}  # rank -> number of taxa
    lineages = num_species
    for rank in RANK_DEPTHS:
        lineages = max(1, round(lineages / taxon_size))
        sizes[rank] = lineages
    merges = np.arange(num_species - 1)
    ages = np.interp(
        -np.log(num_species - merges - 0.5),
        -np.log([num_species, *sizes.values(), 1]),
        [SPECIES_DEPTH, *RANK_DEPTHS.values(), ROOT_DEPTH],
    )
    tables = shape.dump_tables()
    time = tables.nodes.time
    time[num_species:] = np.rint(ages / MUTATION_RATE)  # msprime numbers inner nodes by age
    tables.nodes.time = time
    tree = tables.tree_sequence().first()
    taxa = {rank: _cut(tree, num_species, size) for rank, size in sizes.items()}
    return SpeciesTree(tree.as_newick(precision=0), taxa)


def _cut(tree: tskit.Tree, num_species: int, num_taxa: int) -> list[int]:
    """Cut the tree where it has `num_taxa` lineages; return the number of each species' taxon."""
    last_merged = 2 * num_species - 1 - num_taxa
    numbers: defaultdict[int, int] = defaultdict(count().__next__)
    taxa = []
    for species in range(num_species):
        node = species
        while tskit.NULL < tree.parent(node) <= last_merged:
            node = tree.parent(node)
        taxa.append(numbers[node])
    return taxa
