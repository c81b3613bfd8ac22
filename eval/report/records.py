"""Result records: measured numbers, each with what is needed to trust and to repeat it.

In and out: a JSON file with a list of records. All tables, cards and plots are compiled from such
files alone, and read them here. Guarded by tests/eval/report/test_records.py.
"""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from barcodemae import __version__
from barcodemae.errors import DataError
from barcodemae.files import write_text


@dataclass(frozen=True, kw_only=True)
class ResultRecord:
    """One measured number.

    Attributes:
        model: Name of the model or baseline in tables.
        dataset: Name of the data set, which is that of its folder.
        probe: `1nn`, `zsc`, `linear`, `finetune`, `mask-study`, ...
        metric: `accuracy`, `balanced_accuracy`, `macro_f1`, `ami`, `harmonic_mean`, ...
        value: Measured value, mostly in percent.
        low: Lower end of the 95 % interval; None if there is none.
        high: Upper end of the 95 % interval; None if there is none.
        architecture: `encoder-decoder`, `encoder-only`, `causal`, `k-mer counts`,
            `alignment search`.
        weights: Fingerprint of the weights; without weights e.g. `kmer:6`.
        revision: Hub revision of the model, if one was given.
        dataset_hash: Fingerprint of the data set's files.
        protocol: All choices that change the value (splits, rank, number of neighbours, ...).
        seed: Random seed of the probe; None if nothing is random.
        training_seed: Seed of the training of the weights, if it was repeated.
        counts: Numbers of references, queries, left-out rows, ...
        seconds: Wall-clock time of the probe including embedding, s.
        command: Command that measures this record.
        version: Version of this package.
    """

    model: str
    dataset: str
    probe: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    architecture: str = ""
    weights: str = ""
    revision: str | None = None
    dataset_hash: str = ""
    protocol: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    training_seed: int | None = None
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    command: str = ""
    version: str = __version__


REQUIRED_FIELDS = ("model", "dataset", "probe", "metric", "value")
SHOWN_LETTERS = 60  # of an invalid value, in a message


def is_text(value: Any) -> bool:
    """Whether a value is text."""
    return isinstance(value, str)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number; booleans are not."""
    is_numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return is_numeric and abs(value) <= sys.float_info.max


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number."""
    return isinstance(value, int) and is_number(value)


def is_finite(value: Any) -> bool:
    """Whether a value contains neither NaN nor infinity, at any depth."""
    if isinstance(value, dict):
        return all(map(is_finite, value.values()))
    if isinstance(value, list):
        return all(map(is_finite, value))
    return not isinstance(value, float) or is_number(value)


def is_object(value: Any) -> bool:
    """Whether a value is an object of finite values."""
    return isinstance(value, dict) and is_finite(value)


Check = tuple[Callable[[Any], bool], str]  # test of a value, and a description of valid ones


def or_null(check: Check) -> Check:
    """Return the check for a field that may also be null."""
    is_valid, description = check
    return lambda value: value is None or is_valid(value), f"{description} or null"


TEXT: Check = (is_text, "text")
NUMBER: Check = (is_number, "a finite number")
WHOLE: Check = (is_whole, "a whole number")
OBJECT: Check = (is_object, "an object of finite values")
CHECKS: dict[str, Check] = {
    **dict.fromkeys(("model", "dataset", "probe", "metric"), TEXT),
    **dict.fromkeys(("architecture", "weights", "dataset_hash", "command", "version"), TEXT),
    **dict.fromkeys(("value", "seconds"), NUMBER),
    **dict.fromkeys(("low", "high"), or_null(NUMBER)),
    **dict.fromkeys(("seed", "training_seed"), or_null(WHOLE)),
    **dict.fromkeys(("protocol", "counts"), OBJECT),
    "revision": or_null(TEXT),
}


def records_to_json(records: Iterable[ResultRecord]) -> str:
    """Format records as a JSON list."""
    return json.dumps([asdict(record) for record in records], indent=1, allow_nan=False)


def write_records(path: Path | str, records: Iterable[ResultRecord]) -> None:
    """Write records as a JSON list; the file appears whole or not at all."""
    write_text(path, records_to_json(records) + "\n")


def read_records(path: Path | str) -> list[ResultRecord]:
    """Read the records of a results file; unknown fields of later versions are ignored.

    Raises:
        DataError: The file is not a JSON list of records; the message names entry and field.
    """
    try:
        entries = json.loads(Path(path).read_text())
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(path, f"is not JSON: {error}") from error
    if not isinstance(entries, list):
        raise DataError(path, "is not a list of result records")
    return [parse_record(path, number, entry) for number, entry in enumerate(entries, start=1)]


def parse_record(path: Path | str, number: int, entry: Any) -> ResultRecord:
    """Check one entry of a results file and return it as a record.

    Args:
        path: File of the entry, for messages.
        number: Number of the entry, from 1, for messages.
        entry: Content of the entry.

    Raises:
        DataError: The entry is not an object, lacks a required field, or has an invalid one.
    """
    if not isinstance(entry, dict):
        raise DataError(path, f"record {number} is not an object")
    missing = [name for name in REQUIRED_FIELDS if name not in entry]
    if missing:
        raise DataError(path, f"record {number} lacks {', '.join(missing)}")
    given = {name: entry[name] for name in CHECKS if name in entry}
    for name, value in given.items():
        is_valid, description = CHECKS[name]
        if not is_valid(value):
            shown = json.dumps(value)[:SHOWN_LETTERS]
            raise DataError(path, f"record {number}: {name} {shown} is not {description}")
    return ResultRecord(**given)


def read_all_records(paths: Sequence[Path | str]) -> list[ResultRecord]:
    """Read the records of several results files, in the order of the files."""
    return [record for path in paths for record in read_records(path)]
