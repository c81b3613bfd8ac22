"""Taxonomy files beside a FASTA file: id, tab, lineage, in the conventions of the field.

    Feature ID<tab>Taxon                                      QIIME 2, RESCRIPt
    A1<tab>k__Animalia; p__Arthropoda; g__Aedes; s__aegypti
    A1<tab>Animalia;Arthropoda;Insecta;Diptera                with or without letters for the ranks
    A1<tab>Animalia(100);Arthropoda(98);                      mothur, without a header
    A1<tab>Animalia,Arthropoda,Insecta,Diptera                PROTAX
    A1<tab>Arthropoda<tab>Insecta<tab>Diptera                 a field for each rank
    id,phylum,class,order,genus                               a column for each rank, by its header

In: a file. Out: id -> rank -> name. Guarded by
tests/training/data/sources/test_taxonomy_files.py.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from barcodemae.dataset import RANKS
from barcodemae.errors import DataError
from barcodemae.training.data.sources.columns import ALIASES, plain_name
from barcodemae.training.data.sources.lineages import Labels, labels_of_columns, read_lineage
from barcodemae.training.data.sources.tables import find_separator
from barcodemae.training.data.sources.text_blocks import TextFile


_HEADERS = ("feature id\t", "#otu id\t", "#otuid\t", "id\t", "seqid\t")
_FEWEST_RANKS = 2  # with a column of their own, by which the header of such a table is known
_FEWEST_SPREAD = 3  # fields of a lineage that stands in a field for each rank
_NUM_SHOWN = 2  # ids of each kind, where none fits


def read_taxonomy(path: Path) -> dict[str, Labels]:
    """Read a taxonomy file.

    Raises:
        DataError: Not such a table, or a line has fewer than two fields.
    """
    lines = _lines(path)
    number, first = next(lines, (1, ""))
    columns = read_columns(first)
    if columns is not None:
        return dict(_rows_by_columns(path, columns, lines))
    if not first.lower().replace('"', "").startswith(_HEADERS):
        if not _is_row(first):
            expected = "'Feature ID<tab>Taxon', or an id and a column for each rank"
            raise DataError(path, f"is no taxonomy: expected {expected}", number)
        lines = chain([(number, first)], lines)
    return dict(_rows_of_lineages(path, lines))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, with their numbers."""
    for block in TextFile(str(path)).blocks():
        for number, line in enumerate(block.text.decode().split("\n"), start=block.first_line):
            if line.strip():
                yield number, line


@dataclass(frozen=True)
class Columns:
    """The columns of a taxonomy that has one for each rank.

    Attributes:
        separator: What separates its fields.
        id: Position of the column of ids.
        labels: Rank, or `dna_bin` -> position of its column.
    """

    separator: str
    id: int
    labels: dict[str, int]


def read_columns(header: str) -> Columns | None:
    """Find the columns of ids and of ranks in a header; None if two ranks do not have columns."""
    separator = find_separator(header)
    fields = next(csv.reader([header], delimiter=separator), [])
    names = [plain_name(name) for name in fields]
    labels = {
        column: names.index(alias)
        for column in (*RANKS, "dna_bin")
        for alias in ALIASES[column]
        if alias in names
    }
    if len(labels.keys() & set(RANKS)) < _FEWEST_RANKS:
        return None
    known = [names.index(alias) for alias in ALIASES["processid"] if alias in names]
    others = [place for place in range(len(names)) if place not in labels.values()]
    return Columns(separator, [*known, *others, 0][0], labels)


def _rows_by_columns(
    path: Path, columns: Columns, lines: Iterable[tuple[int, str]]
) -> Iterator[tuple[str, Labels]]:
    """Yield id and labels of each row."""
    last = max(columns.id, *columns.labels.values())
    for number, line in lines:
        fields = next(csv.reader([line], delimiter=columns.separator))
        if len(fields) <= last:
            raise DataError(path, f"has {len(fields)} fields, fewer than its header", number)
        texts = {column: fields[at].strip() for column, at in columns.labels.items()}
        yield fields[columns.id].strip(), labels_of_columns(texts)


def _rows_of_lineages(path: Path, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[str, Labels]]:
    """Yield id and labels of each line; the lineage is one field or a field for each rank."""
    for number, line in lines:
        if line.startswith("#q2:"):
            continue
        name, *fields = (field.strip().strip('"') for field in line.split("\t"))
        if not fields:
            raise DataError(path, "has no taxon (fields are separated by tabs)", number)
        is_spread = len(fields) >= _FEWEST_SPREAD and not _has_parts(fields[0])
        yield name, read_lineage(";".join(fields) if is_spread else fields[0])


def _is_row(line: str) -> bool:
    _, *fields = line.split("\t")
    return bool(fields) and (len(fields) >= _FEWEST_SPREAD or any(map(_has_parts, fields)))


def _has_parts(lineage: str) -> bool:
    return any(mark in lineage for mark in (";", ",", "__"))


def no_id_fits(path: Path, lineages: dict[str, Labels], source: str, ids: list[str]) -> DataError:
    """Say that a taxonomy is of other records, with ids of both."""
    here = ", ".join(islice(lineages, _NUM_SHOWN)) or "none"
    there = ", ".join(ids[:_NUM_SHOWN])
    problem = (
        f"none of its {len(lineages):,} ids is in {source}: it has {here}, the records {there}"
    )
    return DataError(path, problem)
