"""Choose references: many orders, and in each some close relatives.

In: `Barcode`s. Out: those that become references. Nothing is drawn at random: the taxa with most
species come first, and barcodes are taken in the order of a digest of their accession numbers.
Guarded by tests/barcodemae/demonstration/test_choosing.py.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter

from barcodemae.demonstration.making.candidates import NAMED_RANKS, Barcode


CLASS, ORDER, FAMILY, GENUS, SPECIES = (
    NAMED_RANKS.index(rank) for rank in ("class", "order", "family", "genus", "species")
)


@dataclass(frozen=True)
class Share:
    """How many taxa, the richest first, and barcodes of a class become references.

    Attributes:
        families: Of each order.
        genera: Of each family.
        species: Of each genus.
        barcodes: Of each species.
    """

    families: int
    genera: int
    species: int
    barcodes: int


# Few families of insects have accession numbers in the data set, so each gives more genera.
SHARES = {
    "Insecta": Share(families=8, genera=12, species=4, barcodes=3),
    "Branchiopoda": Share(families=5, genera=3, species=3, barcodes=2),
    "Mammalia": Share(families=1, genera=2, species=3, barcodes=2),
    "Aves": Share(families=1, genera=2, species=2, barcodes=2),
    "Amphibia": Share(families=4, genera=3, species=3, barcodes=2),
}


def choose_references(barcodes: Iterable[Barcode]) -> list[Barcode]:
    """Choose references, in the order of their lineages.

    Args:
        barcodes: What there is to choose from; classes without a share are passed over.
    """
    of_class = dict(richest(barcodes, CLASS))
    chosen = [
        barcode for name, share in SHARES.items() for barcode in draw(of_class.get(name, []), share)
    ]
    return sorted(chosen, key=lambda barcode: (barcode.lineage, barcode.accession))


def draw(barcodes: list[Barcode], share: Share) -> list[Barcode]:
    """Draw the share of a class: of the richest taxa at every rank, a few barcodes a species."""
    limits = {ORDER: None, FAMILY: share.families, GENUS: share.genera, SPECIES: share.species}
    groups = [barcodes]
    for rank, count in limits.items():
        groups = [taxon for group in groups for _, taxon in richest(group, rank, count)]
    return [
        barcode
        for of_species in groups
        for barcode in sorted(of_species, key=attrgetter("order_of_draw"))[: share.barcodes]
    ]


def richest(
    barcodes: Iterable[Barcode], rank: int, count: int | None = None
) -> Iterator[tuple[str, list[Barcode]]]:
    """Yield taxa with their barcodes, those with most species and then most barcodes first.

    Args:
        barcodes: What the taxa are made of.
        rank: Position in `NAMED_RANKS`.
        count: Number of taxa; default: all.
    """
    taxa: dict[str, list[Barcode]] = defaultdict(list)
    for barcode in barcodes:
        taxa[barcode.lineage[rank]].append(barcode)

    def poorness(taxon: tuple[str, list[Barcode]]) -> tuple[int, int, str]:
        name, members = taxon
        return -len({barcode.lineage[SPECIES] for barcode in members}), -len(members), name

    yield from sorted(taxa.items(), key=poorness)[:count]
