"""What a Python call takes as sequences: text, lists, tables, records of Biopython, or a file.

In: whatever the caller has. Out: the path of a file, or records with ids: the keys of a dict, the
labels of a pandas Series, the ids of Biopython's records, else the numbers 1, 2, ... Nothing is
dropped: a missing value is a record without letters, which is rejected by name later. Guarded by
tests/barcodemae/calls/test_sequences.py.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from barcodemae.calls.queries import read_queries
from barcodemae.errors import SettingsError
from barcodemae.eval.identify.rereading import kept_for_rereading
from barcodemae.fasta import SequenceRecord
from barcodemae.hub.addresses import local_copy


LETTERS = re.compile(r"[ACGTUNRYSWKMBDHV.?*\s-]+", re.IGNORECASE)  # of a sequence, not of a path
MISSING = ("None", "nan", "<NA>")  # how Python, NumPy and pandas write a missing value


@runtime_checkable
class AnnotatedSequence(Protocol):
    """A sequence with an id, such as Biopython's `SeqRecord`."""

    id: Any
    seq: Any


@runtime_checkable
class Labelled(Protocol):
    """A dict or a pandas Series: labels with values."""

    def items(self) -> Iterable[tuple[Any, Any]]:
        """Return pairs of label and value."""


def source_of(sequences: Any) -> str | list[SequenceRecord]:
    """Turn what a caller gives into the path of a file or into records.

    Args:
        sequences: One sequence as text or as Biopython's `SeqRecord`; a list or another iterable of
            them; a dict or pandas Series of text by id; or a path or an address (https://, s3://).
            Text that holds nothing but letters of DNA is a sequence unless a file has that name;
            other text is a path.

    Raises:
        SettingsError: It is none of these, or holds no sequences.
    """
    if isinstance(sequences, str) and is_sequence(sequences):
        return [SequenceRecord(1, "1", "1", sequences)]
    if isinstance(sequences, str | os.PathLike):
        return local_copy(os.fspath(sequences))
    if isinstance(sequences, AnnotatedSequence):
        sequences = [sequences]
    if isinstance(sequences, Labelled):
        pairs = list(sequences.items())
    elif isinstance(sequences, Iterable) and not isinstance(sequences, bytes):
        pairs = list(map(id_and_letters, sequences))
    else:
        kind = type(sequences).__name__
        raise SettingsError(
            f"sequences must be text, a list, a dict, a Series or a path, not {kind}"
        )
    if not pairs:
        raise SettingsError("there are no sequences")
    return [record_of(number, *pair) for number, pair in enumerate(pairs, start=1)]


def is_sequence(text: str) -> bool:
    """Whether text is a sequence rather than the path of a file."""
    return LETTERS.fullmatch(text) is not None and not (len(text) < 256 and Path(text).exists())


def id_and_letters(value: Any) -> tuple[Any, Any]:
    """Return the id and the letters of one sequence; None for an id that it does not have."""
    return (value.id, value.seq) if isinstance(value, AnnotatedSequence) else (None, value)


def record_of(number: int, label: Any, letters: Any) -> SequenceRecord:
    """Make a record.

    Args:
        number: Number of the record, from 1.
        label: Its id; None to use the number.
        letters: Its letters, or a `SeqRecord`; None or NaN where they are missing.

    Raises:
        SettingsError: The letters are no text.
    """
    name = str(number if label is None else label)
    if isinstance(letters, AnnotatedSequence):
        letters = letters.seq
    text = str(letters)
    if not isinstance(letters, str):
        if text in MISSING:
            text = ""
        elif LETTERS.fullmatch(text) is None:  # no sequence object either, such as Biopython's
            kind = type(letters).__name__
            raise SettingsError(f"record {number} ({name}): a sequence must be text, not {kind}")
    return SequenceRecord(number, name, name, text)


@contextmanager
def readable_twice(
    source: str | list[SequenceRecord], *, list_damage: bool = True
) -> Iterator[Callable[[], Iterator[SequenceRecord]]]:
    """Give a function that begins to read the records anew.

    Args:
        source: Records, or the path of a FASTA or FASTQ file, `-` for stdin.
        list_damage: Whether damage of a packed file is a last record, see `read_records`.
    """
    if isinstance(source, list):
        yield lambda: iter(source)
    elif Path(source).is_file():
        yield lambda: read_queries(source, list_damage=list_damage)
    else:
        with kept_for_rereading(read_queries(source, list_damage=list_damage)) as read:
            yield read
