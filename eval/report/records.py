"""Result records: one measured number with everything needed to trust or repeat it.

In and out: a JSON file that is a list of records. Tables, cards and plots are compiled from these
files and from nothing else, and all of them read the files here. Guarded by
tests/eval/report/test_records.py.
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
        model: Display name of the model or baseline.
        dataset: Name of the data set (its folder's name).
        probe: `1nn`, `zsc`, `linear`, `finetune`, `mask-study`, ...
        metric: `accuracy`, `balanced_accuracy`, `macro_f1`, `ami`, `harmonic_mean`.
        value: In percent.
        low: Lower end of the 95 % interval, percent; None if there is none.
        high: Upper end.
        architecture: `encoder-decoder`, `encoder-only`, `causal`, `k-mer counts`,
            `alignment search`.
        weights: Fingerprint of the weights, or `kmer:6` and the like.
        revision: Hub revision, if one was asked for.
        dataset_hash: Fingerprint of the data set's files.
        protocol: Every choice that changes the number (splits, rank, n_neighbors, ...).
        seed: Random seed of the probe; None where nothing is random.
        training_seed: Seed the weights were trained with, where models are trained several times.
        counts: Numbers of references, queries, dropped rows, ...
        seconds: Wall time of the probe, embedding included.
        command: The command that gives this record.
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
SHOWN_LETTERS = 60  # of a wrong value, in a message


def is_text(value: Any) -> bool:
    """Whether a value is text."""
    return isinstance(value, str)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number; true and false are none."""
    is_some = isinstance(value, int | float) and not isinstance(value, bool)
    return is_some and abs(value) <= sys.float_info.max


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number."""
    return isinstance(value, int) and is_number(value)


def is_finite(value: Any) -> bool:
    """Whether a value holds neither NaN nor infinity, at any depth."""
    if isinstance(value, dict):
        return all(map(is_finite, value.values()))
    if isinstance(value, list):
        return all(map(is_finite, value))
    return not isinstance(value, float) or is_number(value)


def is_object(value: Any) -> bool:
    """Whether a value is an object of finite values."""
    return isinstance(value, dict) and is_finite(value)


Check = tuple[Callable[[Any], bool], str]  # whether a value is right, and what is


def or_null(check: Check) -> Check:
    """The same check, but for a field that may be null."""
    is_right, words = check
    return lambda value: value is None or is_right(value), f"{words} or null"


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
    """Write records as a JSON list, as text."""
    return json.dumps([asdict(record) for record in records], indent=1, allow_nan=False)


def write_records(path: Path | str, records: Iterable[ResultRecord]) -> None:
    """Write records as a JSON list; the file appears whole or not at all."""
    write_text(path, records_to_json(records) + "\n")


def read_records(path: Path | str) -> list[ResultRecord]:
    """Read records; unknown fields of later versions are ignored.

    Raises:
        DataError: Not a JSON list of records; names the entry and the field.
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
    """Check one entry of a results file.

    Raises:
        DataError: Not an object, a required field is missing, or one is not what it should be.
    """
    if not isinstance(entry, dict):
        raise DataError(path, f"record {number} is not an object")
    missing = [name for name in REQUIRED_FIELDS if name not in entry]
    if missing:
        raise DataError(path, f"record {number} lacks {', '.join(missing)}")
    given = {name: entry[name] for name in CHECKS if name in entry}
    for name, value in given.items():
        is_right, words = CHECKS[name]
        if not is_right(value):
            shown = json.dumps(value)[:SHOWN_LETTERS]
            raise DataError(path, f"record {number}: {name} {shown} is not {words}")
    return ResultRecord(**given)


def read_all_records(paths: Sequence[Path | str]) -> list[ResultRecord]:
    """Read several results files, in the order given."""
    return [record for path in paths for record in read_records(path)]
