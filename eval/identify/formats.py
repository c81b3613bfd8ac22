"""Identifications as text: TSV, JSON lines, SINTAX's table, QIIME 2's taxonomy.

In: `Identification`s. Out: lines. Ids are written as they came. Guarded by
tests/eval/test_identification_formats.py.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.identification import Identification


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


def number(value: float | None) -> str:
    """Write a number with four decimals, nothing for one that is not there."""
    return "" if value is None or math.isnan(value) else f"{value:.4f}"


def to_tsv(found: Identification) -> str:
    """Write one line; a rank that the library does not know stays empty."""
    cells = [found.id]
    for rank, (name, probability) in enumerate(zip(found.names, found.probabilities, strict=True)):
        shown = "" if name is None else name
        cells += [UNASSIGNED if rank >= found.depth else shown, number(probability)]
    cells += [number(found.new_species), number(found.new_genus), found.nearest]
    cells += [number(found.similarity), number(found.agreement)]
    cells += [number(found.identity), number(found.coverage)]
    cells += [found.strand, str(found.length), number(found.unknown), ",".join(found.flags)]
    return "\t".join(cells) + "\n"


def to_jsonl(found: Identification) -> str:
    """Write one object; names that are not given are left out of `lineage`."""
    content = {
        "id": found.id,
        "lineage": {
            rank: {"name": name, "probability": round(probability, 4)}
            for rank, name, probability in found.given()
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
    return json.dumps(content, ensure_ascii=False) + "\n"


def to_sintax(found: Identification) -> str:
    """Write one line as `vsearch --sintax --tabbedout`: all names, strand, names that are given.

    Subfamily has no letter there and is left out.
    """
    every = [
        f"{LETTERS[rank]}:{name}({probability:.2f})"
        for rank, name, probability in zip(RANKS, found.names, found.probabilities, strict=True)
        if rank in LETTERS and name is not None
    ]
    given = [f"{LETTERS[rank]}:{name}" for rank, name, _ in found.given() if rank in LETTERS]
    return "\t".join([found.id, ",".join(every), found.strand, ",".join(given)]) + "\n"


def to_qiime2(found: Identification) -> str:
    """Write one line of a QIIME 2 taxonomy: the confidence is that of the deepest name."""
    given = [entry for entry in found.given() if entry[0] in LETTERS]
    taxon = "; ".join(f"{LETTERS[rank]}__{name}" for rank, name, _ in given) or "Unassigned"
    confidence = given[-1][2] if given else 1 - max(found.probabilities[:1], default=0.0)
    return f"{found.id}\t{taxon}\t{number(confidence)}\n"


@dataclass(frozen=True)
class Format:
    """A text format: what comes first, and one line per identification."""

    header: str
    line: Callable[[Identification], str]


FORMATS = {
    "tsv": Format("\t".join(TSV_COLUMNS) + "\n", to_tsv),
    "jsonl": Format("", to_jsonl),
    "sintax": Format("", to_sintax),
    "qiime2": Format("Feature ID\tTaxon\tConfidence\n", to_qiime2),
}
