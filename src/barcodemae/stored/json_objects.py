"""Read a JSON file that somebody else may have written, without trusting it.

In: a file. Out: the object in it, or one line on why there is none: no such file, not UTF-8, not
JSON, nested too deeply, a list where an object was wanted, or a number such as NaN that JSON does
not have. `number` then takes single numbers out of it, each with its type and range. Guarded by
tests/barcodemae/stored/test_json_objects.py.
"""

import json
from pathlib import Path
from typing import Any

from barcodemae.errors import DataError


MAX_BYTES = 1 << 28  # a config that names a million classes has 40 MB


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        DataError: The file is missing, too large, or holds no JSON object.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(path, f"is larger than {MAX_BYTES >> 20} MiB: not a file of settings")
        content = json.loads(path.read_bytes(), parse_constant=_refuse)
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise DataError(path, "is nested too deeply") from error
    except ValueError as error:
        raise DataError(path, f"is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise DataError(path, "holds no JSON object")
    return content


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def check_number(
    path: Path, name: str, value: Any, least: float, most: float, *, whole: bool = True
) -> None:
    """Check type and range of a number.

    Args:
        path: File that it stands in, for the message.
        name: Its name, for the message.
        value: The value, of whatever type.
        least: Smallest value allowed, a finite number.
        most: Largest value allowed, a finite number.
        whole: Whether it must be a whole number.

    Raises:
        DataError: It is no number, not whole, or out of range.
    """
    kinds = (int,) if whole else (int, float)
    is_number = isinstance(value, kinds) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:
        kind = "a whole number" if whole else "a number"
        shown = repr(value)[:40]
        raise DataError(path, f"{name} must be {kind} from {least} to {most}, not {shown}")
