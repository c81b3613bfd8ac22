"""Lineages as headers and taxonomy files write them, with letters for the ranks or by position.

    p:Arthropoda,c:Insecta,g:Aedes,s:Aedes_aegypti          SINTAX
    k__Animalia; p__Arthropoda; c__Insecta; s__aegypti      QIIME 2, RESCRIPt, UNITE
    root_1;Eukaryota_2759;Arthropoda_6656;Insecta_50557     MIDORI2
    Root;Eukaryota;Metazoa;Arthropoda;Insecta               RDP classifier, CO1Classifier
    Animalia;Arthropoda;Insecta;Diptera;                    DADA2, mothur, CRABS
    Animalia,Arthropoda,Insecta,Diptera                     PROTAX, BOLD 5

In: the parts of a lineage. Out: rank -> name. Guarded by
tests/training/data/sources/test_lineages.py.
"""

import re

from barcodemae.conventions.taxa import looks_binomial, tidy_taxon
from barcodemae.dataset import RANKS


RANK_OF_LETTER = {
    **{"p": "phylum", "c": "class", "o": "order", "f": "family", "sf": "subfamily"},
    **{"g": "genus", "s": "species"},
}
Labels = dict[str, str]
_LETTER_PARTS = re.compile(r"\s*(?:sk|sf|st|[a-z])(?:__|:)", re.IGNORECASE)
_SUPPORT = re.compile(r"\(\d+(?:\.\d+)?\)$")  # of mothur
_TAX_ID = re.compile(r"_\d+$")
# What may stand above the phylum.
_ABOVE_PHYLUM = frozenset(
    re.findall(
        r"\w+",
        """root cellularorganisms cellular_organisms eukaryota eukaryotae eukarya opisthokonta
        animalia metazoa fungi plantae viridiplantae chromista protozoa protista
        bacteria archaea prokaryota life""",
    )
)
_KNOWN_PHYLA = frozenset(
    re.findall(
        r"\w+",
        """arthropoda annelida mollusca nematoda chordata cnidaria echinodermata platyhelminthes
        porifera rotifera bryozoa tardigrada nemertea""",
    )
)
_RANKS_WITHOUT_SUBFAMILY = tuple(rank for rank in RANKS if rank != "subfamily")


def lineage_labels(parts: list[str], separator: str) -> Labels:
    """Read `p:Arthropoda` or `p__Arthropoda` parts; ranks without a column are passed over.

    A species given by its epithet alone gets its genus in front.
    """
    labels: Labels = {}
    for part in parts:
        letter, mark, name = part.strip().partition(separator)
        rank = RANK_OF_LETTER.get(letter.lower())
        if mark and rank and (tidy := tidy_taxon(rank, _SUPPORT.sub("", name))):
            labels[rank] = tidy
    return _with_full_species(labels)


def labels_of_columns(texts: Labels) -> Labels:
    """Read names that stand in a column for each rank; a BIN beside them stays as it is."""
    found = {
        column: tidy
        for column, text in texts.items()
        if (tidy := tidy_taxon(column, text) if column in RANKS else text)
    }
    return _with_full_species(found)


def _with_full_species(labels: Labels) -> Labels:
    species, genus = labels.get("species", ""), labels.get("genus")
    if species and " " not in species and species.islower():
        labels.pop("species")
        if genus:
            full = tidy_taxon("species", f"{genus} {species}")
            labels |= {"species": full} if full else {}
    return labels


def has_rank_letters(parts: list[str]) -> bool:
    """Tell whether the parts of a lineage carry letters for their ranks."""
    filled = [part for part in parts if part.strip()]
    return bool(filled) and all(_LETTER_PARTS.match(part) for part in filled)


def positional_labels(parts: list[str]) -> Labels:
    """Read a lineage in which the place of a name tells its rank.

    Names above the phylum are passed over; after them come phylum, class, order, family, genus and
    species, with a subfamily (and tribe, and subspecies) in its place if there are as many parts.
    """
    names = [_SUPPORT.sub("", part.strip()) for part in parts]
    while names and not names[-1]:
        names.pop()
    above = 0
    while above < len(names) and _bare(names[above]) in _ABOVE_PHYLUM:
        above += 1
    if above == 0 and len(names) > len(_RANKS_WITHOUT_SUBFAMILY):
        above = 0 if _bare(names[0]) in _KNOWN_PHYLA else 1
    names = names[above:]
    found = {
        rank: tidy
        for rank, name in zip(_ranks_of(names), names, strict=False)
        if rank and (tidy := tidy_taxon(rank, name))
    }
    return _with_full_species(found)


def _ranks_of(names: list[str]) -> tuple[str, ...]:
    if len(names) == 9:  # BOLD 5: with tribe and subspecies
        return (*RANKS[:5], "", *RANKS[5:], "")
    if len(names) == 8:
        is_with_tribe = looks_binomial(names[7]) and not looks_binomial(names[6])
        return (*RANKS[:5], "", *RANKS[5:]) if is_with_tribe else (*RANKS, "")
    has_subfamily = len(names) == len(RANKS) and not looks_binomial(names[5])
    return RANKS if has_subfamily else _RANKS_WITHOUT_SUBFAMILY


def is_positional(parts: list[str]) -> bool:
    """Tell whether parts are a lineage without letters: it begins at a root or a phylum."""
    if len([part for part in parts if part.strip()]) < 4:
        return False
    first = _bare(parts[0])
    return first in _ABOVE_PHYLUM or first in _KNOWN_PHYLA


def _bare(name: str) -> str:
    return _TAX_ID.sub("", name.strip()).replace(" ", "_").lower()


def read_lineage(text: str) -> Labels:
    """Read a lineage whose parts are separated by `;`, `,` or `|`, whatever its convention."""
    separator = next((mark for mark in (";", ",", "|") if mark in text), ";")
    parts = text.split(separator)
    if has_rank_letters(parts):
        return lineage_labels(parts, "__" if "__" in text else ":")
    return positional_labels(parts)


assert set(RANK_OF_LETTER.values()) == set(RANKS)
