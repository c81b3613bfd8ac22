"""The demonstration set as files: references, queries of known truth, decoys.

In: a data set. Out: references.fasta.gz and queries.fasta as `barcodes.py` describes them; the same
data give the same files. Guarded by tests/barcodemae/demonstration/test_making.py.
"""

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

from barcodemae.demonstration import QUERIES, REFERENCES
from barcodemae.demonstration.barcodes import KNOWN_SPECIES, NOT_COI
from barcodemae.demonstration.making.candidates import NAMED_RANKS, Barcode, read_candidates
from barcodemae.demonstration.making.decoys import make_decoys
from barcodemae.demonstration.making.queries import choose_queries
from barcodemae.demonstration.making.references import choose_references
from barcodemae.eval.identify.judge.orientation import reverse_complement


def annotate(barcode: Barcode) -> str:
    """Write a lineage as SINTAX does."""
    taxa = zip(NAMED_RANKS, barcode.lineage, strict=True)
    return "tax=" + ",".join(f"{rank[0]}:{name.replace(' ', '_')}" for rank, name in taxa)


def reference_records(references: Sequence[Barcode]) -> Iterator[str]:
    """Yield references as FASTA."""
    for barcode in references:
        yield f">{barcode.accession};{annotate(barcode)};\n{barcode.letters}\n"


def query_records(queries: dict[str, list[Barcode]]) -> Iterator[str]:
    """Yield queries as FASTA, then decoys; the last query of a known species is turned round."""
    turned = queries[KNOWN_SPECIES][-1]
    for truth, barcodes in queries.items():
        for barcode in barcodes:
            letters = reverse_complement(barcode.letters) if barcode is turned else barcode.letters
            strand = "-" if barcode is turned else "+"
            yield (
                f">{barcode.accession} ;{annotate(barcode)};truth={truth};strand={strand};"
                f"partition={barcode.split};\n{letters}\n"
            )
    sources = [barcode.letters for barcode in queries[KNOWN_SPECIES][:3]]
    for name, letters in make_decoys(sources).items():
        yield f">{name} ;truth={NOT_COI};\n{letters}\n"


def write_set(data: Path, out: Path) -> None:
    """Write both files into a folder.

    Raises:
        DataError: The data set cannot be read or has nothing to choose from.
        SettingsError: It has too few barcodes of some class.
    """
    barcodes = read_candidates(data)
    references = choose_references(barcodes)
    queries = choose_queries(barcodes, references)
    out.mkdir(parents=True, exist_ok=True)
    text = "".join(reference_records(references)).encode()
    (out / REFERENCES.name).write_bytes(gzip.compress(text, mtime=0))
    (out / QUERIES.name).write_text("".join(query_records(queries)))
