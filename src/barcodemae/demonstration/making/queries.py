"""Choose queries whose truth is known: of which the references hold the species, genus or family.

In: `Barcode`s and the references chosen among them. Out: queries by their truth. No model is asked.
A label that the letters contradict is no truth, and a species that stands among the references
under another name is no new one; such barcodes are passed over. Guarded by
tests/barcodemae/demonstration/test_choosing.py.
"""

from collections import Counter
from collections.abc import Sequence

from barcodemae.demonstration.barcodes import KNOWN_SPECIES, NEW_GENUS, NEW_SPECIES
from barcodemae.demonstration.making.candidates import NAMED_RANKS, Barcode
from barcodemae.demonstration.making.references import CLASS, FAMILY, GENUS, SHARES, SPECIES
from barcodemae.errors import SettingsError
from barcodemae.eval.identify.judge.alignment import align


COUNTS = {KNOWN_SPECIES: 3, NEW_SPECIES: 2, NEW_GENUS: 2}  # queries of each class
# Identities, over at least half of a barcode, that speak of a wrong label: too unlike its own
# species, too like another genus. Species are not held to any: new ones may be close.
LEAST_WITHIN_SPECIES = 0.90
MOST_BETWEEN_GENERA = 0.97
LEAST_COVERAGE = 0.5


class Holdings:
    """What the references hold.

    Args:
        references: The chosen references.
    """

    def __init__(self, references: Sequence[Barcode]) -> None:
        self.references = references
        self.taxa = [
            {barcode.lineage[rank] for barcode in references} for rank in range(len(NAMED_RANKS))
        ]
        self.epithets = {epithet_in_family(barcode) for barcode in references}
        self.accessions = {barcode.accession for barcode in references}

    def truth(self, barcode: Barcode) -> str | None:
        """Say what the references hold of a barcode; None of themselves and where it is unclear."""
        has_family, has_genus, has_species = (
            barcode.lineage[rank] in self.taxa[rank] for rank in (FAMILY, GENUS, SPECIES)
        )
        if barcode.accession in self.accessions or not has_family:
            return None
        if has_species:
            return KNOWN_SPECIES
        if epithet_in_family(barcode) in self.epithets:
            return None
        return NEW_SPECIES if has_genus else NEW_GENUS

    def identity(self, barcode: Barcode, rank: int) -> float:
        """Return the highest identity with a reference of the same taxon, 0 to 1."""
        relatives = [one for one in self.references if one.lineage[rank] == barcode.lineage[rank]]
        found = [align(barcode.letters, one.letters) for one in relatives]
        return max((one.identity for one in found if one.coverage >= LEAST_COVERAGE), default=0.0)

    def contradicts(self, barcode: Barcode, truth: str) -> bool:
        """Whether the letters of a barcode speak against its truth."""
        if truth == KNOWN_SPECIES:
            return self.identity(barcode, SPECIES) < LEAST_WITHIN_SPECIES
        return truth == NEW_GENUS and self.identity(barcode, FAMILY) > MOST_BETWEEN_GENERA


def epithet_in_family(barcode: Barcode) -> tuple[str, str]:
    """Return the family and the epithet without its ending.

    They stay when a species is moved to another genus (Rana nigromaculata, Pelophylax
    nigromaculatus).
    """
    epithet = barcode.lineage[SPECIES].partition(" ")[2]
    return barcode.lineage[FAMILY], epithet.rstrip("aeimsu")


def choose_queries(
    barcodes: Sequence[Barcode], references: Sequence[Barcode]
) -> dict[str, list[Barcode]]:
    """Choose queries of every class and truth, of different families where there are enough.

    Barcodes that the bundled model was not trained on come first, then the order of draw decides.

    Args:
        barcodes: What there is to choose from.
        references: None of them becomes a query.

    Returns:
        Barcodes by their truth.

    Raises:
        SettingsError: A class has too few.
    """
    holdings = Holdings(references)
    chosen: dict[str, list[Barcode]] = {truth: [] for truth in COUNTS}
    for name in SHARES:
        of_class = [barcode for barcode in barcodes if barcode.lineage[CLASS] == name]
        for truth, count in COUNTS.items():
            fitting = [barcode for barcode in of_class if holdings.truth(barcode) == truth]
            found = spread(fitting, truth, holdings, count)
            if len(found) < count:
                raise SettingsError(f"{name}: only {len(found)} of {count} queries ({truth})")
            chosen[truth] += found
    return chosen


def spread(
    barcodes: Sequence[Barcode], truth: str, holdings: Holdings, count: int
) -> list[Barcode]:
    """Take up to `count` barcodes, each of the families and then genera taken least so far."""
    left, chosen = list(barcodes), list[Barcode]()
    uses: Counter[str] = Counter()

    def preference(barcode: Barcode) -> tuple[int, int, bool, str]:
        family, genus = barcode.lineage[FAMILY], barcode.lineage[GENUS]
        return uses[family], uses[genus], barcode.was_trained_on, barcode.order_of_draw

    while left and len(chosen) < count:
        best = min(left, key=preference)
        left.remove(best)
        if not holdings.contradicts(best, truth):
            chosen.append(best)
            uses.update(best.lineage[FAMILY : GENUS + 1])
    return chosen
