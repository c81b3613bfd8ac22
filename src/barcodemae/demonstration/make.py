"""Make the demonstration set anew: references.fasta.gz and queries.fasta.

    python -m barcodemae.demonstration.make DATA --out FOLDER

DATA is a prepared data set with the column `record_id`; the README beside this file says which one
the shipped set comes from. The same data give the same files. Guarded by
tests/barcodemae/demonstration/test_make.py.
"""

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer

from barcodemae.demonstration.candidates import NAMED_RANKS, Barcode, read_candidates
from barcodemae.demonstration.choosing_queries import choose_queries
from barcodemae.demonstration.choosing_references import choose_references
from barcodemae.demonstration.decoys import make_decoys
from barcodemae.demonstration.queries import KNOWN_SPECIES, NOT_COI, QUERIES, REFERENCES
from barcodemae.eval.identify.judge.orientation import reverse_complement
from barcodemae.exit_codes import run_app


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


def make(data: Path, out: Path) -> None:
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


def main(
    data: Path = typer.Argument(help="A prepared data set with the column `record_id`."),
    *,
    out: Path = typer.Option(..., "--out", "-o", help="Folder for the two files."),
) -> None:
    """Choose references and queries among the barcodes of a data set."""
    make(data, out)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    raise SystemExit(run_app(app))
