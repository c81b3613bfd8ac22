"""The sequences that a command is asked about, whatever kind of file they stand in.

In: the path of a FASTA or FASTQ file, of a table or a Parquet file with a column of barcodes, or
`-`. Out: records in file order, none left out: a row of a table that cannot be read, or is of
another marker, is a record with that problem. Guarded by tests/barcodemae/calls/test_queries.py.
"""

from collections.abc import Iterator

from barcodemae.conventions.other_formats import PARQUET_START, is_table
from barcodemae.fasta import SequenceRecord, opening_of, read_records
from barcodemae.unpacking import STANDARD_INPUT


def read_queries(source: str, *, list_damage: bool = False) -> Iterator[SequenceRecord]:
    """Stream the records of a file.

    Args:
        source: Path of the file, packed or not, or `-` for FASTA or FASTQ on stdin.
        list_damage: Whether damage of a packed FASTA is a last record, see `read_records`.

    Yields:
        Records in file order.

    Raises:
        DataError: As for `read_records`, or a table has no column of barcodes.
    """
    if source != STANDARD_INPUT and holds_rows(opening_of(source)):
        yield from rows_of(source)
    else:
        yield from read_records(source, list_damage=list_damage)


def holds_rows(opening: list[bytes]) -> bool:
    """Whether a file that begins like this holds rows, not FASTA or FASTQ."""
    return bool(opening) and (opening[0].startswith(PARQUET_START) or is_table(opening))


def rows_of(source: str) -> Iterator[SequenceRecord]:
    """Stream the rows of a table as records, numbered from 1; one without an id has its place."""
    # Imported here: most files are FASTA, and need no reader of tables.
    from barcodemae.training.data.sources.recognition import SourceOptions, open_source
    from barcodemae.training.data.sources.source_batches import generated_name

    number = 0
    for batch in open_source(source, SourceOptions()).batches():
        columns = (batch.table[name].to_pylist() for name in ("processid", "dna_barcode"))
        rows = zip(batch.places.tolist(), *columns, strict=True)
        found = [
            (place, name or generated_name(source, place), letters or "", "")
            for place, name, letters in rows
        ]
        found += [(one.place, one.processid, "", one.reason) for one in batch.rejected]
        for _, name, letters, problem in sorted(found):
            number += 1
            yield SequenceRecord(number, name, name, letters, problem)
