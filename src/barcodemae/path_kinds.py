"""What lies at a path, for messages to whoever gave one thing where another was wanted.

In: a path. Out: a noun phrase for the middle of a sentence. Looks at names and first bytes only;
nothing depends on it but words. Guarded by tests/barcodemae/test_path_kinds.py.
"""

from enum import StrEnum
from pathlib import Path

from barcodemae.conventions.other_formats import PARQUET_START
from barcodemae.errors import DataError
from barcodemae.plain_text import open_text


_HEAD_BYTES = 512


class Kind(StrEnum):
    """What a path can be."""

    MISSING = "not there"
    SEQUENCES = "a FASTA or FASTQ file"
    TABLE = "a table"
    PARQUET = "a Parquet file"
    FILE = "a file"
    DATASET = "a prepared data set"
    LIBRARY = "a reference library"
    MODEL = "a model folder"
    FOLDER = "a folder"


RAW_DATA = (Kind.SEQUENCES, Kind.TABLE, Kind.PARQUET)  # what `barcodemae prepare` reads
# A file that only such a folder holds -> what the folder is.
MARKS = {
    "library.json": Kind.LIBRARY,
    "config.json": Kind.MODEL,
    "dataset.json": Kind.DATASET,
    "*.parquet": Kind.DATASET,
}


def kind_of(path: Path | str) -> Kind:
    """Say what lies at a path."""
    path = Path(path)
    if path.is_dir():
        return next((kind for mark, kind in MARKS.items() if any(path.glob(mark))), Kind.FOLDER)
    return kind_of_file(path) if path.exists() else Kind.MISSING


def kind_of_file(path: Path) -> Kind:
    """Say what a file is by its first bytes, unpacked if it is compressed."""
    try:
        with open_text(path) as stream:
            start = stream.peek()[:_HEAD_BYTES].lstrip()
    except DataError:
        return Kind.FILE
    if start.startswith(PARQUET_START):
        return Kind.PARQUET
    if start.startswith((b">", b"@", b";")):
        return Kind.SEQUENCES
    is_text = start and b"\0" not in start
    return Kind.TABLE if is_text and (b"\t" in start or b"," in start) else Kind.FILE
