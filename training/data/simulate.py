"""Simulation of COI-like barcodes that evolve down a species tree, for demos and tests.

In: numbers of species and barcodes, a seed. Out: the canonical data set of `barcodemae.dataset`,
with BIOSCAN-5M's partitions. msprime simulates the population genetics (species tree, coalescent
within species, substitutions); this file defines how codons evolve and assigns the partitions.
Indels, sequencing errors, ragged ends and wrong labels are deliberately not simulated.
Guarded by tests/training/data/test_simulate.py.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import msprime
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tskit
from numpy.typing import NDArray

from barcodemae.dataset import COLUMNS
from barcodemae.errors import SettingsError
from barcodemae.files import whole_file
from barcodemae.training.data.species_tree import (
    MUTATION_RATE,
    SpeciesTree,
    draw_seed,
    draw_species_tree,
)


MIN_SPECIES = 48  # with fewer species, or fewer barcodes of each, a partition may be empty
MIN_BARCODES_PER_SPECIES = 4
MIN_GENERA = 8  # one is held out, and the others must be enough for a classification

TAXON_SIZE = 6  # species per genus, genera per family, families per order, on average
WITHIN_SPECIES_DISTANCE = 0.005  # expected distance of two barcodes of one species

TRANSITION_BIAS = 4.0  # kappa of the HKY model
STOP_CODONS = (b"TAA", b"TAG")  # invertebrate mitochondrial code (NCBI table 5)

# Roles that the species of a genus get, in this order. A seen species goes to train, val and test,
# an unseen one to val_unseen or test_unseen and to key_unseen. So a genus with an unseen species is
# always in train; and with one seen species in seven, the nearest reference of a query is as
# distant as in real collections.
SPECIES_ROLES = ("seen", "unseen", "pretrain", "pretrain", "unseen", "pretrain", "pretrain")


@dataclass(frozen=True, slots=True)
class CodonPosition:
    """The substitution model of one codon position.

    Attributes:
        frequencies: Equilibrium frequencies of A, C, G and T, counted in 16,539 real arthropod
            barcodes of 658 bp.
        rate: Substitution rate relative to the mean over the barcode.
        shape: Shape of the gamma distribution of rates among sites.
    """

    frequencies: tuple[float, float, float, float]
    rate: float
    shape: float


# The standard 658 bp barcode starts with a third codon position.
CODON_POSITIONS = (
    CodonPosition((0.450, 0.084, 0.026, 0.440), rate=2.60, shape=3.0),  # third
    CodonPosition((0.301, 0.157, 0.267, 0.275), rate=0.33, shape=0.3),  # first
    CodonPosition((0.149, 0.252, 0.164, 0.435), rate=0.07, shape=0.2),  # second
)


def simulate_barcodes(
    num_species: int = 600,
    barcodes_per_species: int = 8,
    *,
    taxon_size: int = TAXON_SIZE,
    length_bp: int = 658,
    seed: int = 0,
) -> pa.Table:
    """Simulate labelled, distinct barcodes with the partitions of BIOSCAN-5M.

    Args:
        num_species: Number of species in the tree, at least `MIN_SPECIES`.
        barcodes_per_species: Number of barcodes drawn per species, at least
            `MIN_BARCODES_PER_SPECIES`; of identical ones the first is kept, so a species may have
            fewer.
        taxon_size: Species per genus, genera per family and families per order, on average; a
            large number makes few large genera.
        length_bp: Length of every barcode in bp.
        seed: Seed of all draws; equal seeds give equal tables.

    Returns:
        A table with the columns `barcodemae.dataset.COLUMNS`, in random row order. As in
        BIOSCAN-5M, rows of `pretrain` have no species name; the subfamily is always unknown.

    Raises:
        SettingsError: There are too few species or barcodes to fill every partition, or the
            barcodes are too short.
    """
    _check_sizes(num_species, barcodes_per_species, taxon_size, length_bp)
    generator = np.random.default_rng(seed)
    tree = draw_species_tree(num_species, taxon_size, generator)
    genealogy = _genealogy(tree.newick, num_species, barcodes_per_species, length_bp, generator)
    sequences = _evolve(genealogy, length_bp, generator)
    species = np.repeat(np.arange(num_species), barcodes_per_species)  # (barcodes,)
    roles = _deal_roles(tree.taxa["genus"], generator)
    rows = list(_rows(tree, roles, species.tolist(), sequences))
    columns: dict[str, list[str | None]] = {name: [row[name] for row in rows] for name in COLUMNS}
    table = pa.table(columns, schema=pa.schema([(name, pa.string()) for name in COLUMNS]))
    return table.take(pa.array(generator.permutation(table.num_rows)))


def write_simulated(
    directory: Path | str,
    num_species: int = 600,
    barcodes_per_species: int = 8,
    *,
    taxon_size: int = TAXON_SIZE,
    length_bp: int = 658,
    seed: int = 0,
) -> Path:
    """Simulate barcodes and write them as a data set that `--data` accepts.

    Args:
        directory: Folder to write `simulated.parquet` to; made if missing.
        num_species: Number of species in the tree.
        barcodes_per_species: Number of barcodes drawn per species.
        taxon_size: Species per genus, genera per family and families per order, on average.
        length_bp: Length of every barcode in bp.
        seed: Seed of all draws.

    Returns:
        The folder.

    Raises:
        SettingsError: The sizes are not possible, see `simulate_barcodes`.
    """
    table = simulate_barcodes(
        num_species,
        barcodes_per_species,
        taxon_size=taxon_size,
        length_bp=length_bp,
        seed=seed,
    )
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with whole_file(directory / "simulated.parquet") as file:
        pq.write_table(table, file)
    return directory


def _check_sizes(
    num_species: int, barcodes_per_species: int, taxon_size: int, length_bp: int
) -> None:
    if num_species < MIN_SPECIES:
        raise SettingsError(f"num_species must be at least {MIN_SPECIES}, got {num_species}")
    if barcodes_per_species < MIN_BARCODES_PER_SPECIES:
        raise SettingsError(
            f"barcodes_per_species must be at least {MIN_BARCODES_PER_SPECIES}, "
            f"got {barcodes_per_species}"
        )
    if not 2 <= taxon_size <= num_species // MIN_GENERA:
        raise SettingsError(
            f"taxon_size must lie between 2 and num_species / {MIN_GENERA}, got {taxon_size}"
        )
    if length_bp < 100:
        raise SettingsError(f"length_bp must be at least 100, got {length_bp}")


def _genealogy(
    newick: str,
    num_species: int,
    barcodes_per_species: int,
    length_bp: int,
    generator: np.random.Generator,
) -> tskit.TreeSequence:
    """Draw the genealogy of all barcodes: maternal lineages, a coalescent within each species."""
    demography = msprime.Demography.from_species_tree(
        newick, initial_size=WITHIN_SPECIES_DISTANCE / (2 * MUTATION_RATE)
    )
    return msprime.sim_ancestry(
        {f"n{species}": barcodes_per_species for species in range(num_species)},
        demography=demography,
        ploidy=1,
        sequence_length=length_bp,
        random_seed=draw_seed(generator),
        record_provenance=False,
    )


def _evolve(
    genealogy: tskit.TreeSequence, length_bp: int, generator: np.random.Generator
) -> list[str]:
    """Simulate substitutions on a genealogy, one codon position after the other.

    Returns:
        One sequence per sample, in the order of the species.
    """
    letters = np.empty((genealogy.num_samples, length_bp), dtype=np.uint8)  # (barcodes, bp)
    for offset, position in enumerate(CODON_POSITIONS):
        sites = np.arange(offset, length_bp, len(CODON_POSITIONS))
        model = msprime.HKY(TRANSITION_BIAS, equilibrium_frequencies=list(position.frequencies))
        # The rate of msprime includes draws that leave the base unchanged; this one does not.
        unchanged = np.asarray(position.frequencies) @ np.diag(model.transition_matrix)
        rates = np.zeros(length_bp)
        rates[sites] = generator.gamma(position.shape, 1 / position.shape, len(sites))
        rates *= MUTATION_RATE * position.rate / (1 - unchanged)
        mutated = msprime.sim_mutations(
            genealogy,
            rate=msprime.RateMap(position=np.arange(length_bp + 1), rate=rates),
            model=model,
            random_seed=draw_seed(generator),
            record_provenance=False,
        )
        ancestor = generator.choice(list(b"ACGT"), size=length_bp, p=position.frequencies)
        alignment = mutated.alignments(reference_sequence=bytes(ancestor.tolist()).decode())
        for row, sequence in enumerate(alignment):
            letters[row, sites] = np.frombuffer(sequence.encode(), dtype=np.uint8)[sites]
    _remove_stop_codons(letters)
    return [row.tobytes().decode() for row in letters]


def _remove_stop_codons(letters: NDArray[np.uint8]) -> None:
    """Replace the stop codons TAA and TAG by CAA and CAG, in place: selection removes them."""
    codons = letters[:, 1 : 1 + (letters.shape[1] - 1) // 3 * 3]
    codons = codons.reshape(len(letters), -1, 3)  # (barcodes, codons, 3), a view
    for stop in STOP_CODONS:
        is_stop = (codons == np.frombuffer(stop, dtype=np.uint8)).all(axis=2)
        codons[is_stop, 0] = ord("C")


def _deal_roles(genera: Sequence[int], generator: np.random.Generator) -> list[str]:
    """Assign a role to each species; genera of one species and the smallest genus are held out."""
    members = defaultdict(list)
    for species in generator.permutation(len(genera)).tolist():
        members[genera[species]].append(species)
    smallest = min(members, key=lambda genus: (len(members[genus]), genus))
    roles = [""] * len(genera)
    unseen = 0
    for genus in sorted(members):
        for number, species in enumerate(members[genus]):
            role = SPECIES_ROLES[number % len(SPECIES_ROLES)]
            if len(members[genus]) == 1 or genus == smallest:
                role = "heldout"
            elif role == "unseen":
                role = ("test_unseen", "val_unseen")[unseen % 2]
                unseen += 1
            roles[species] = role
    return roles


def _split(role: str, number: int) -> str:
    """Choose a partition by the role of a species and the barcode's number within it, from 0."""
    if role == "heldout":
        return "other_heldout"
    if role == "seen":
        return ("train", "test", "val", "train", "train")[number % 5]
    if role in ("val_unseen", "test_unseen"):
        return (role, role, "key_unseen")[number % 3]
    return role


def _rows(
    tree: SpeciesTree, roles: Sequence[str], species: Sequence[int], sequences: Sequence[str]
) -> Iterator[dict[str, str | None]]:
    """Yield one row for the first of each set of identical sequences."""
    known: set[str] = set()
    numbers: defaultdict[int, Iterator[int]] = defaultdict(count)
    for owner, sequence in zip(species, sequences, strict=True):
        if sequence in known:
            continue
        known.add(sequence)
        split = _split(roles[owner], next(numbers[owner]))
        genus = f"Genus{tree.taxa['genus'][owner]:04d}"
        yield {
            "processid": f"SIM{len(known):07d}",
            "phylum": "Simulata",
            "class": "Simulata",
            "order": f"Order{tree.taxa['order'][owner]:02d}",
            "family": f"Family{tree.taxa['family'][owner]:03d}",
            "subfamily": None,
            "genus": genus,
            "species": None if split == "pretrain" else f"{genus} species{owner:05d}",
            "dna_bin": f"SIM:{owner:05d}",
            "dna_barcode": sequence,
            "split": split,
        }
