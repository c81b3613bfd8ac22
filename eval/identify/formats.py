"""Text formats for identifications: TSV, JSON Lines, the SINTAX table, a QIIME 2 taxonomy.

In: `Identification`s. Out: one line of text for each. Record ids and names are written unchanged,
but for control characters, see `barcodemae.output.cells`.
Guarded by tests/eval/identify/test_formats.py.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.identification import Identification
from barcodemae.output.cells import json_line, row_of


UNASSIGNED = "unassigned"
LETTERS = {"phylum": "p", "class": "c", "order": "o", "family": "f", "genus": "g", "species": "s"}
TSV_COLUMNS = (
    "id",
    *(column for rank in RANKS for column in (rank, f"{rank}_probability")),
    "new_species_probability",
    "new_genus_probability",
    "nearest_reference",
    "similarity",
    "agreement",
    "identity",
    "coverage",
    "strand",
    "length",
    "unknown_fraction",
    "flags",
)


def format_number(value: float | None) -> str:
    """Format a number with four decimals; None and NaN become the empty string."""
    return "" if value is None or math.isnan(value) else f"{value:.4f}"


def to_tsv(found: Identification) -> str:
    """Format one TSV row; the name is left empty at ranks where the library has none."""
    cells = [found.id]
    for rank, (name, probability) in enumerate(zip(found.names, found.probabilities, strict=True)):
        shown = "" if name is None else name
        cells += [UNASSIGNED if rank >= found.depth else shown, format_number(probability)]
    cells += [format_number(found.new_species), format_number(found.new_genus), found.nearest]
    cells += [format_number(found.similarity), format_number(found.agreement)]
    cells += [format_number(found.identity), format_number(found.coverage)]
    cells += [found.strand, str(found.length), format_number(found.unknown)]
    cells += [",".join(found.flags)]
    return row_of(cells)


def to_jsonl(found: Identification) -> str:
    """Format one JSON object; `lineage` holds only the ranks that are assigned a name."""
    content = {
        "id": found.id,
        "lineage": {
            rank: {"name": name, "probability": round(probability, 4)}
            for rank, name, probability in found.assigned()
        },
        "new_species": round(found.new_species, 4),
        "new_genus": round(found.new_genus, 4),
        "nearest_reference": found.nearest,
        "similarity": round(found.similarity, 4),
        "agreement": round(found.agreement, 4),
        "strand": found.strand,
        "length": found.length,
        "unknown_fraction": round(found.unknown, 4),
        "flags": found.flags,
    }
    if found.identity is not None and found.coverage is not None:
        content["identity"] = round(found.identity, 4)
        content["coverage"] = round(found.coverage, 4)
    return json_line(content)


def to_sintax(found: Identification) -> str:
    """Format one line of `vsearch --sintax --tabbedout`: all names, strand, assigned names.

    The subfamily is left out: SINTAX has no letter for it.
    """
    all_names = [
        f"{LETTERS[rank]}:{name}({probability:.2f})"
        for rank, name, probability in zip(RANKS, found.names, found.probabilities, strict=True)
        if rank in LETTERS and name is not None
    ]
    assigned = [f"{LETTERS[rank]}:{name}" for rank, name, _ in found.assigned() if rank in LETTERS]
    return row_of([found.id, ",".join(all_names), found.strand, ",".join(assigned)])


def to_qiime2(found: Identification) -> str:
    """Format one line of a QIIME 2 taxonomy; its confidence is that of the deepest name."""
    assigned = [entry for entry in found.assigned() if entry[0] in LETTERS]
    taxon = "; ".join(f"{LETTERS[rank]}__{name}" for rank, name, _ in assigned) or "Unassigned"
    confidence = assigned[-1][2] if assigned else 1 - max(found.probabilities[:1], default=0.0)
    return row_of([found.id, taxon, format_number(confidence)])


@dataclass(frozen=True)
class Format:
    """A text format of the results.

    Attributes:
        header: First line of the file, or the empty string.
        line: Function that formats one identification, line end included.
    """

    header: str
    line: Callable[[Identification], str]


FORMATS = {
    "tsv": Format("\t".join(TSV_COLUMNS) + "\n", to_tsv),
    "jsonl": Format("", to_jsonl),
    "sintax": Format("", to_sintax),
    "qiime2": Format("Feature ID\tTaxon\tConfidence\n", to_qiime2),
}
