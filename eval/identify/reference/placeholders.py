"""Names that name no taxon: `Bactrocera sp.`, `Aedes cf. aegypti`, `unidentified`, `Insecta_X`.

A reference that carries one counts for the ranks that are real. In: a rank and a name. Out: the
name, or None. Guarded by tests/eval/identify/reference/test_placeholders.py.
"""

import re


NULL_WORDS = re.compile(
    r"(unidentified|uncultured|unclassified|unassigned|undetermined|unknown|environmental"
    r"|incertae[ _]sedis|none|null|nan|n/?a|not[ _]available)\b.*",
    re.IGNORECASE,
)
# `_X`, `_XX`, ... is how coidb and PR2 fill ranks that nobody named.
FILLED_UP = re.compile(r".+_X+$")
# sp., spp., cf., aff., nr.: somebody was not sure; sp. 1ABC, BOLD:AAA1234: somebody's own number.
UNSURE = re.compile(
    r"(?:^|[ _])(?:sp|spp|ssp|cf|aff|nr|near|gen|indet)\.?(?:[ _.]|$)|BOLD[:_]?[A-Z]{3}"
)
# Codes in place of an epithet, such as Spodoptera_9000 or Eupithecia BioLep01.
NUMBERED = re.compile(r"[ _](?=[A-Z0-9])[^ _]*\d(?![^ _]*-[a-z])")


def without_placeholder(rank: str, name: str | None) -> str | None:
    """Return a name that names a taxon, else None.

    Args:
        rank: Rank of the name.
        name: Name as the reference gives it, or None.
    """
    if name is None or not name.strip():
        return None
    if NULL_WORDS.fullmatch(name.strip()) or FILLED_UP.fullmatch(name):
        return None
    if rank == "species" and (UNSURE.search(name) or NUMBERED.search(name)):
        return None
    return name
