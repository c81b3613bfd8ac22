"""Records that can be read twice, even where they come from a pipe.

In: records of a file, or of stdin. Out: a function that begins to read them anew. Those of a pipe
are kept in a temporary file while they are read for the first time.
Guarded by tests/eval/identify/test_rereading.py.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from tempfile import TemporaryDirectory

from barcodemae.fasta import SequenceRecord


@contextmanager
def kept_for_rereading(
    records: Iterator[SequenceRecord],
) -> Iterator[Callable[[], Iterator[SequenceRecord]]]:
    """Keep records that can be read only once; the first call writes them down.

    Args:
        records: Records of a pipe.

    Yields:
        Function that begins to read them; each call but the last must read to the end.
    """
    with TemporaryDirectory(prefix="barcodemae-") as name:
        kept = Path(name) / "records.jsonl"

        def read() -> Iterator[SequenceRecord]:
            if kept.exists():
                with kept.open() as stream:
                    for line in stream:
                        yield SequenceRecord(*json.loads(line))
                return
            with kept.open("w") as stream:
                for record in records:
                    stream.write(json.dumps(astuple(record)) + "\n")
                    yield record

        yield read
