"""Darwin Core: one occurrence per record, with the terms of the DNA-derived data extension.

In: an identification, its record, and where names come from. Out: one TSV row, whose columns are
terms of the Occurrence core and of the extension, to be mapped by name in a publishing tool. What
this program cannot know (place, date, primers, marker) is left to whoever publishes.
Guarded by tests/eval/identify/exchange/test_darwin_core.py, with the lists of terms.
"""

import json

from barcodemae.conventions.letters import clean
from barcodemae.dataset import RANKS
from barcodemae.eval.identify.exchange.provenance import Provenance
from barcodemae.eval.identify.findings import Identification
from barcodemae.eval.identify.judge.ladder import LADDER
from barcodemae.eval.identify.summary import SAMPLE, SIZE
from barcodemae.fasta import SequenceRecord
from barcodemae.output.cells import row_of


NAMED_RANKS = RANKS[:-1]  # the species is the scientific name
OCCURRENCE_TERMS = (
    "occurrenceID",
    "eventID",
    "basisOfRecord",
    "occurrenceStatus",
    "organismQuantity",
    "organismQuantityType",
    "scientificName",
    "taxonRank",
    *NAMED_RANKS,
    "verbatimIdentification",
    "identificationReferences",
    "identificationRemarks",
    "dynamicProperties",
)
DNA_TERMS = ("DNA_sequence", "otu_seq_comp_appr", "otu_db")
COLUMNS = (*OCCURRENCE_TERMS, *DNA_TERMS)
HEADER = "\t".join(COLUMNS) + "\n"
NO_NAME = "incertae sedis"  # a scientific name is required


def to_darwin_core(found: Identification, record: SequenceRecord, provenance: Provenance) -> str:
    """Format one row.

    Args:
        found: What was found.
        record: Record that it was found of.
        provenance: Where names come from.
    """
    assigned = found.assigned()
    given = {rank: name for rank, name, _ in assigned}
    size, sample = SIZE.search(found.id), SAMPLE.search(found.id)
    cells = {
        "occurrenceID": found.id,
        "eventID": sample[1] if sample else "",
        "basisOfRecord": "MaterialSample",
        "occurrenceStatus": "present",
        "organismQuantity": size[1] if size else "",
        "organismQuantityType": "DNA sequence reads" if size else "",
        "scientificName": assigned[-1][1] if assigned else NO_NAME,
        "taxonRank": assigned[-1][0] if assigned else "",
        **{rank: given.get(rank, "") for rank in NAMED_RANKS},
        "verbatimIdentification": "; ".join(name for _, name, _ in assigned),
        "identificationReferences": provenance.library,
        "identificationRemarks": remarks(found),
        "dynamicProperties": json.dumps(properties(found), ensure_ascii=False),
        "DNA_sequence": clean(record.sequence),
        "otu_seq_comp_appr": provenance.method,
        "otu_db": provenance.library,
    }
    return row_of(cells[column] for column in COLUMNS)


def remarks(found: Identification) -> str:
    """Say how certain the names are, for people."""
    words = [f"{rank} {name}: p = {value:.3f}" for rank, name, value in found.assigned()]
    words += [
        f"probability that the library lacks the {rank}: {found.novelty[rank]:.3f}"
        for rank in reversed(LADDER)
        if f"novel_{rank}" in found.flags
    ]
    if found.identity is not None:
        words.append(f"{100 * found.identity:.2f} % identity with {found.nearest}")
    others = [flag for flag in found.flags if not flag.startswith("novel_")]
    return "; ".join(words + ([f"flags: {', '.join(others)}"] if others else []))


def properties(found: Identification) -> dict[str, object]:
    """Return the same for programs, as plain values."""
    return {
        "nameProbability": {rank: round(value, 4) for rank, _, value in found.assigned()},
        "noveltyProbability": {rank: round(found.novelty[rank], 4) for rank in LADDER},
        "identity": None if found.identity is None else round(found.identity, 4),
        "nearestReference": found.nearest,
        "strand": found.placed.strand,
        "flags": found.flags,
    }
