"""Taxonomy files beside a FASTA file: id, tab, lineage, in the conventions of the field.

    Feature ID<tab>Taxon                                      QIIME 2, RESCRIPt
    A1<tab>k__Animalia; p__Arthropoda; g__Aedes; s__aegypti
    A1<tab>Animalia;Arthropoda;Insecta;Diptera                with or without letters for the ranks
    A1<tab>Animalia(100);Arthropoda(98);                      mothur, without a header
    A1<tab>Animalia,Arthropoda,Insecta,Diptera                PROTAX

In: a file. Out: id -> rank -> name. Guarded by
tests/training/data/sources/test_taxonomy_files.py.
"""

from itertools import islice
from pathlib import Path

from barcodemae.errors import DataError
from barcodemae.training.data.sources.lineages import Labels, read_lineage
from barcodemae.training.data.sources.text_blocks import TextFile


_HEADERS = ("feature id\t", "#otu id\t", "#otuid\t", "id\t", "seqid\t")
_NUM_SHOWN = 2  # ids of each kind, where none fits


def read_taxonomy(path: Path) -> dict[str, Labels]:
    """Read a taxonomy file.

    Raises:
        DataError: Not such a table, or a line has fewer than two fields.
    """
    lineages: dict[str, Labels] = {}
    for block in TextFile(str(path)).blocks():
        for number, line in enumerate(block.text.decode().split("\n"), start=block.first_line):
            if number == 1 and line.lower().replace('"', "").startswith(_HEADERS):
                continue
            if number == 1 and not _is_row(line):
                problem = "is no QIIME 2 taxonomy, nor like one: expected 'Feature ID<tab>Taxon'"
                raise DataError(path, problem, 1)
            if not line.strip() or line.startswith("#q2:"):
                continue
            fields = line.split("\t")
            if len(fields) < 2:
                raise DataError(path, "has no taxon (fields are separated by tabs)", number)
            lineages[fields[0].strip().strip('"')] = read_lineage(fields[1].strip().strip('"'))
    return lineages


def _is_row(line: str) -> bool:
    _, tab, lineage = line.partition("\t")
    return bool(tab) and any(mark in lineage for mark in (";", ",", "__"))


def no_id_fits(path: Path, lineages: dict[str, Labels], source: str, ids: list[str]) -> DataError:
    """Say that a taxonomy is of other records, with ids of both."""
    here = ", ".join(islice(lineages, _NUM_SHOWN)) or "none"
    there = ", ".join(ids[:_NUM_SHOWN])
    problem = (
        f"none of its {len(lineages):,} ids is in {source}: it has {here}, the records {there}"
    )
    return DataError(path, problem)
