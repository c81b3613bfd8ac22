"""The marker of a record, wherever its header names one.

    A1|COI-5P|Mexico                                                         COI-5P
    JF502242.1 Aedes aegypti cytochrome c oxidase subunit I (COI) gene       COI-5P
    AB1 Salix alba ribulose bisphosphate carboxylase (rbcL) gene             rbcL

In: a header. Out: the marker under the name that BOLD has for it. Guarded by
tests/training/data/sources/test_markers.py.
"""

import re


BARCODE = "COI-5P"
_FIELD = re.compile(
    r"COI-5P|COI-3P|COII|COXIII|ITS[12]?|matK|rbcL\w*|16S|12S|18S\w*|28S\w*|CYTB|H3|EF1a\w*|"
    r"trnH-psbA|wingless|COI|CO1|COX1|atp6|ND\d\w*",
    re.IGNORECASE,
)
_SYNONYMS = {"coi": BARCODE, "co1": BARCODE, "cox1": BARCODE, "coi-5p": BARCODE}
# In running text only what cannot be anything else counts.
_IN_TEXT = {
    BARCODE: r"\bCOI(?:-5P)?\b|\bCO1\b|\bCOX ?(?:1|I)\b|cytochrome (?:c )?oxidase "
    r"(?:subunit|polypeptide) ?-?(?:1|I|one)\b",
    "COII": r"\bCOII\b|\bCOX ?(?:2|II)\b|cytochrome (?:c )?oxidase subunit (?:2|II)\b",
    "COI-3P": r"\bCOI-3P\b",
    "CYTB": r"\bcyt ?-?b\b|cytochrome b\b",
    "rbcL": r"\brbcL\w*\b|ribulose[- ]1,5-bisphosphate",
    "matK": r"\bmatK\b|maturase K",
    "ITS": r"\bITS[12]?\b|internal transcribed spacer",
    "16S": r"\b16S\b",
    "12S": r"\b12S\b",
    "18S": r"\b18S\b",
    "28S": r"\b28S\b",
    "EF1a": r"\belongation factor\b|\bEF-?1",
    "H3": r"\bhistone\b",
}
_PATTERNS = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _IN_TEXT.items()}


def marker_of_field(field: str) -> str | None:
    """Return the marker that a field of a header is, or None if it is none."""
    if not _FIELD.fullmatch(field):
        return None
    return _SYNONYMS.get(field.lower(), field)


def marker_in_text(text: str) -> str | None:
    """Return the marker that running text names, the barcode's if it is among several."""
    return next((name for name, pattern in _PATTERNS.items() if pattern.search(text)), None)
