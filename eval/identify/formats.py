"""Text formats for identifications: TSV, JSON Lines, and those that other programs take.

In: `Identification`s. Out: one line of text for each; record ids are written unchanged. BIOM is one
document, made of its lines when all are there.
Guarded by tests/eval/identify/test_formats.py.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.exchange import darwin_core, phyloseq
from barcodemae.eval.identify.exchange.biom import biom_document, to_biom_line
from barcodemae.eval.identify.exchange.darwin_core import to_darwin_core
from barcodemae.eval.identify.exchange.phyloseq import to_phyloseq
from barcodemae.eval.identify.exchange.provenance import Provenance
from barcodemae.eval.identify.findings import Identification
from barcodemae.eval.identify.judge.ladder import LADDER
from barcodemae.eval.identify.resumable import Document
from barcodemae.fasta import SequenceRecord
from barcodemae.output.cells import json_line, row_of


UNASSIGNED = "unassigned"
LETTERS = {"phylum": "p", "class": "c", "order": "o", "family": "f", "genus": "g", "species": "s"}
TSV_COLUMNS = (
    "id",
    *(column for rank in RANKS for column in (rank, f"{rank}_probability")),
    *(f"new_{rank}_probability" for rank in reversed(LADDER)),
    "nearest_reference",
    "similarity",
    "agreement",
    "identity",
    "coverage",
    "strand",
    "length",
    "unknown_fraction",
    "flags",
    "bin",
    "bin_agreement",
    "candidates",
    "excluded",
    "evidence",
    "cut_before",
    "cut_after",
    "bases_gained",
    "bases_lost",
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
    cells += [format_number(found.novelty[rank]) for rank in reversed(LADDER)]
    cells += [found.nearest, format_number(found.similarity), format_number(found.agreement)]
    cells += [format_number(found.identity), format_number(found.coverage)]
    placed = found.placed
    cells += [placed.strand, str(placed.length), format_number(placed.unknown)]
    cells += [",".join(found.flags), found.bin or "", format_number(found.bin_agreement)]
    cells += ["|".join(found.candidates), found.excluded or "", format_number(placed.evidence)]
    cells += [str(placed.num_before), str(placed.num_after)]
    cells += [str(placed.num_gained), str(placed.num_lost)]
    return row_of(cells)


def to_jsonl(found: Identification) -> str:
    """Format one JSON object; `lineage` holds only the ranks that are assigned a name."""
    placed = found.placed
    content: dict[str, Any] = {
        "id": found.id,
        "lineage": {
            rank: {"name": name, "probability": round(probability, 4)}
            for rank, name, probability in found.assigned()
        },
        "novelty": {rank: round(found.novelty[rank], 4) for rank in LADDER},
        "new_species": round(found.novelty["species"], 4),
        "new_genus": round(found.novelty["genus"], 4),
        "nearest_reference": found.nearest,
        "agreement": round(found.agreement, 4),
        "strand": placed.strand,
        "length": placed.length,
        "unknown_fraction": round(placed.unknown, 4),
        "flags": found.flags,
        "candidates": found.candidates,
        "evidence": round(placed.evidence, 4),
        "cut_before": placed.num_before,
        "cut_after": placed.num_after,
        "bases_gained": placed.num_gained,
        "bases_lost": placed.num_lost,
    }
    optional = {
        "similarity": found.similarity,
        "identity": found.identity,
        "coverage": found.coverage,
        "bin": found.bin,
        "bin_agreement": found.bin_agreement,
        "excluded": found.excluded,
    }
    for name, value in optional.items():
        if value is not None:
            content[name] = round(value, 4) if isinstance(value, float) else value
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
    return row_of([found.id, ",".join(all_names), found.placed.strand, ",".join(assigned)])


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
        row: Function that also needs the record and where names come from, in place of `line`.
        document: Function that turns all lines into the pieces of a file; None if they are one.
    """

    header: str
    line: Callable[[Identification], str]
    row: Callable[[Identification, SequenceRecord, Provenance], str] | None = None
    document: Document | None = None

    def write(
        self, found: Identification, record: SequenceRecord, provenance: Callable[[], Provenance]
    ) -> str:
        """Format one identification.

        Args:
            found: What was found.
            record: Record that it was found of.
            provenance: Function that says where names come from; called only if that is written.
        """
        return self.line(found) if self.row is None else self.row(found, record, provenance())


FORMATS = {
    "tsv": Format("\t".join(TSV_COLUMNS) + "\n", to_tsv),
    "jsonl": Format("", to_jsonl),
    "sintax": Format("", to_sintax),
    "qiime2": Format("Feature ID\tTaxon\tConfidence\n", to_qiime2),
    "phyloseq": Format(phyloseq.HEADER, to_phyloseq),
    "dwc": Format(darwin_core.HEADER, to_jsonl, row=to_darwin_core),
    "biom": Format("", to_biom_line, document=biom_document),
}
