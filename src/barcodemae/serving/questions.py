"""What a request asks: records and settings, read from its body and its parameters.

In: the body as FASTA, FASTQ or JSON, and the query parameters. Out: a `Question`, or a refusal with
the HTTP status that says whose fault it is. Guarded by tests/barcodemae/serving/test_questions.py.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from barcodemae.errors import BarcodeMAEError, DataError
from barcodemae.eval.identify.findings import parse_thresholds
from barcodemae.eval.identify.formats import FORMATS
from barcodemae.eval.identify.judge.ladder import Mixture
from barcodemae.fasta import SequenceRecord, read_records


BAD_REQUEST, TOO_LARGE = 400, 413
JSON_TYPE = "application/json"
LINE_FORMATS = [name for name, form in FORMATS.items() if form.document is None]
MARKS = (b">", b"@")  # of FASTA and FASTQ
BOM = b"\xef\xbb\xbf"
SHAPE = '{"sequences": {"ID": "ACGT..."}} or {"sequences": ["ACGT...", ...]}'


class RefusedError(Exception):
    """A request that gets no answer.

    Args:
        status: HTTP status.
        reason: What is wrong, in a line.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True)
class Question:
    """What a request asks.

    Attributes:
        records: Records to identify, at least one.
        format: Name of the format of the answer, see `FORMATS`.
        thresholds: Rank -> probability from which a name is given.
        mixture: Expected queries; None to estimate them from the records.
    """

    records: list[SequenceRecord]
    format: str
    thresholds: dict[str, float]
    mixture: Mixture | None


def read_question(
    body: bytes,
    content_type: str,
    max_records: int,
    *,
    output_format: str = "",
    threshold: str = "",
    mixture: str = "",
) -> Question:
    """Read a request.

    Args:
        body: The body.
        content_type: Its media type; everything but JSON is read as FASTA or FASTQ.
        max_records: Largest number of records of a request.
        output_format: Name of a format; empty for JSON Lines as answer to JSON, else TSV.
        threshold: Thresholds as on the command line.
        mixture: Mixture as on the command line.

    Raises:
        RefusedError: The body holds no records or too many, or a parameter is wrong.
    """
    is_json = content_type.partition(";")[0].strip().lower() == JSON_TYPE
    output_format = output_format or ("jsonl" if is_json else "tsv")
    if output_format not in LINE_FORMATS:
        reason = f"format {output_format!r} is not one of {', '.join(LINE_FORMATS)}"
        raise RefusedError(BAD_REQUEST, reason)
    try:
        thresholds = parse_thresholds(threshold)
        expected = Mixture.parse(mixture) if mixture else None
        records = read_json(body) if is_json else read_text(body)
    except BarcodeMAEError as error:
        raise RefusedError(BAD_REQUEST, str(error)) from error
    if len(records) > max_records:
        reason = f"{len(records)} records; a request may hold {max_records}: send several"
        raise RefusedError(TOO_LARGE, reason)
    return Question(records, output_format, thresholds, expected)


def read_text(body: bytes) -> list[SequenceRecord]:
    """Read records from FASTA or FASTQ, as `identify` reads a file of them.

    Raises:
        RefusedError: It is neither; packed files are not unpacked, because a small one may be huge.
    """
    if not body.removeprefix(BOM).lstrip().startswith(MARKS):
        raise RefusedError(
            BAD_REQUEST, "the body is neither FASTA nor FASTQ, nor JSON that says so"
        )
    with TemporaryDirectory(prefix="barcodemae-") as folder:
        path = Path(folder) / "body"
        path.write_bytes(body)
        try:
            return list(read_records(path, list_damage=True))
        except DataError as error:
            raise RefusedError(BAD_REQUEST, f"the body {error.problem}") from error


def read_json(body: bytes) -> list[SequenceRecord]:
    """Read records from JSON: a list of sequences, or an object of ids and sequences.

    Raises:
        RefusedError: It is no JSON, or has another shape.
    """
    try:
        content: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(BAD_REQUEST, f"the body is no JSON: {error}") from error
    sequences = content.get("sequences") if isinstance(content, dict) else None
    if isinstance(sequences, list):
        sequences = {str(number): text for number, text in enumerate(sequences, start=1)}
    if not isinstance(sequences, dict) or not sequences:
        raise RefusedError(BAD_REQUEST, f"expected {SHAPE}")
    if not all(isinstance(text, str) for text in sequences.values()):
        raise RefusedError(BAD_REQUEST, f"every sequence must be a text: {SHAPE}")
    return [
        SequenceRecord(number, name, name, text)
        for number, (name, text) in enumerate(sequences.items(), start=1)
    ]
