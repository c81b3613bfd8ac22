"""Names of taxa as the field writes them: which texts are names, and of what.

    species  "Spodoptera eridania (Cramer, 1784)"  ->  "Spodoptera eridania"
    species  "Bactrocera cf. dorsalis"             ->  None
    genus    "Spodoptera_9000"                     ->  "Spodoptera"
    genus    "Tephritidae_X"                       ->  None

In: a rank and the text of a label. Out: the name of the taxon, or None where the text says that it
is not known. So one species has one name, with authority, subgenus or subspecies or without, and a
word for nothing is no taxon. Names in which the genus has digits, as simulations make them, follow
no convention and stay as they are. Guarded by tests/barcodemae/conventions/test_taxa.py.
"""

import re


# Words that tables have for nothing, in lower case.
NULL_WORDS = (
    *("", "-", "--", "?", ".", "na", "n/a", "nan", "<na>", "null", "none", "nil"),
    *("no_data", "no data", "not_classified", "not classified", "unassigned", "unknown"),
)
_NO_NAME = re.compile(
    r"(?:.* )?(?:unclassified|unidentified|incertae sedis|metagenome)"
    r"|(?:unclassified|unidentified|uncultured|unassigned|unknown|undetermined|undescribed|unnamed"
    r"|undefined|unresolved|environmental|ambiguous|metagenome|no rank|no hit|not \w+)(?: .*)?"
    r"|(?:kingdom|phylum|class|order|family|subfamily|tribe|genus|species) \S.*"  # MIDORI2
    r"|(?:undef ?)+(?: .*)?"  # CO1Classifier
    r"|BOLD:[A-Z]{3}\d+.*|[a-z]__",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(r".* X+(?: sp\.?)?")  # of coidb and PR2
_TAX_ID = re.compile(r"(?<=[^\W\d]) \d+$")  # of MIDORI2
_INTERIM_WORDS = {
    *("sp", "spp", "spec", "cf", "aff", "nr", "near", "indet", "gen", "nov"),
    *("group", "complex", "agg", "gp", "s.l", "form"),
}
_INTERIM_START = re.compile(r"(?:spp?|cf|aff|nr)[.\d]", re.IGNORECASE)
_EPITHET = re.compile(r"(?:\d{1,2}-)?[^\W\d_A-Z](?:[^\W\d_A-Z]|['\u2019-])+")
CROSS = "\u00d7"  # of hybrids
_GENUS = re.compile(rf"{CROSS}?[A-Z][^\W\d_A-Z-]+(?:-[^\W\d_]+)?")
_CROSSES = (CROSS, "x", "X")
HIGHER_TAXA = frozenset(
    re.findall(
        r"\w+",
        """Arthropoda Annelida Mollusca Nematoda Chordata Cnidaria Echinodermata Platyhelminthes
        Porifera Rotifera Bryozoa Tardigrada Nemertea Insecta Arachnida Malacostraca
        Collembola Copepoda Branchiopoda Ostracoda Diplopoda Chilopoda Gastropoda
        Bivalvia Cephalopoda Polychaeta Clitellata Oligochaeta Actinopterygii Aves
        Mammalia Amphibia Reptilia Diptera Lepidoptera Hymenoptera Coleoptera Hemiptera
        Trichoptera Ephemeroptera Plecoptera Odonata Orthoptera Psocodea Psocoptera
        Thysanoptera Neuroptera Megaloptera Mecoptera Siphonaptera Blattodea Mantodea
        Dermaptera Phasmatodea Strepsiptera Archaeognatha Zygentoma Araneae Opiliones
        Acari Trombidiformes Sarcoptiformes Mesostigmata Ixodida Pseudoscorpiones
        Scorpiones Amphipoda Isopoda Decapoda Entomobryomorpha Poduromorpha Symphypleona
        Calanoida Cyclopoida""",
    )
)
_HIGHER_ENDINGS = ("idae", "inae", "oidea", "aceae", "formes")


def tidy_taxon(rank: str, text: str) -> str | None:
    """Read the label of a taxon.

    Args:
        rank: Its rank, see `barcodemae.dataset.RANKS`.
        text: The label as it stands in the file.

    Returns:
        The name; None if the text is none, or an interim name of a species.
    """
    name = " ".join(text.replace("_", " ").split()).strip("\"' ")
    if is_no_name(name):
        return None
    if rank == "species":
        return _species(name)
    name = _TAX_ID.sub("", name)
    first, _, more = name.partition(" ")
    is_authority = more[:1].isupper() or more[:1] in ("(", "&")
    return first if is_authority and first not in (*_CROSSES, "Candidatus") else name


def is_no_name(name: str) -> bool:
    """Tell whether a label, with spaces for underscores, says that the taxon is not known."""
    is_null = name.lower() in NULL_WORDS or _NO_NAME.fullmatch(name)
    if is_null or _PLACEHOLDER.fullmatch(name):
        return True
    # What a spreadsheet made of no name and an authority.
    first, _, more = name.partition(" ")
    if all(word in NULL_WORDS for word in name.lower().split()):
        return True
    return first.lower() in ("none", "nan", "na", "null") and more[:1] in ("(", "s", "")


def _species(name: str) -> str | None:
    words = name.split()
    if not words[0][:1].isupper() and words[0][:1] != CROSS:
        return name  # an epithet alone, or letters that follow no convention
    if any(letter.isdigit() for letter in words[0]):
        return name if len(words) > 1 else None
    if any(_is_interim(word) for word in words[1:]):
        return None
    if words[0] in _CROSSES or any(word == "x" for word in words[1:]) or CROSS in name:
        return _hybrid(words)
    genus, *rest = words
    if rest and rest[0].startswith("("):  # a subgenus
        rest = rest[1:]
    if not rest or not _EPITHET.fullmatch(rest[0]):
        return None
    return f"{genus} {rest[0]}"


def _is_interim(word: str) -> bool:
    return word.lower().strip(".,") in _INTERIM_WORDS or _INTERIM_START.match(word) is not None


def _hybrid(words: list[str]) -> str:
    """Write a hybrid in one way: the cross, if it is an x, as its sign, between spaces."""
    spaced = " ".join(CROSS if word in _CROSSES else word for word in words)
    return " ".join(spaced.replace(CROSS, f" {CROSS} ").split())


def names_of_organism(text: str) -> dict[str, str]:
    """Read the name of an organism whose rank is not told: `Aedes aegypti`, `Bactrocera sp. 2`.

    Returns:
        Rank -> name, for what the text names: genus and species, a genus, a family or a subfamily
        (by its ending); empty if it is no name.
    """
    name = " ".join(text.replace("_", " ").split())
    words = name.split()
    if not words or is_no_name(name):
        return {}
    first = words[0]
    if first.endswith("idae"):
        return {"family": first}
    if first.endswith("inae") and len(words) == 1:
        return {"subfamily": first}
    is_genus = _GENUS.fullmatch(first) and first not in HIGHER_TAXA
    if not is_genus or first.endswith(_HIGHER_ENDINGS) or len(words) == 1:
        return {}
    species = _species(name)
    if species is not None:
        return {"genus": first, "species": species}
    return {"genus": first} if any(_is_interim(word) for word in words[1:]) else {}


def looks_binomial(text: str) -> bool:
    """Tell whether a text has the form of a species' name."""
    words = text.replace("_", " ").split()
    return len(words) > 1 and all(
        pattern.fullmatch(word) for pattern, word in zip((_GENUS, _EPITHET), words, strict=False)
    )
