"""The content of `library.json`: every entry that is used has a type, and every number a range.

In: the object in the file, and the arrays that lie beside it. Out: nothing, or one line on the
first entry that is missing, of another type or out of its range, or that the arrays contradict.
Entries that are not known here are left alone. Guarded by
tests/eval/identify/reference/test_description.py.
"""

from pathlib import Path
from typing import Any

from barcodemae.dataset import RANKS
from barcodemae.errors import DataError
from barcodemae.eval.search.compressed import VECTOR_FORMATS
from barcodemae.stored.json_objects import check_number


MAX_OFFSETS = 64  # reading offsets beyond the length of a k-mer repeat each other
MAX_REFERENCES = 10**11
MAX_DIMENSIONS = 10**6
MAX_SITES = 10**5
MAX_ERROR = 2.0  # of a vector's short form; the distance of opposite vectors
MAX_EVIDENCE = 100.0  # nats
COUNTS = {  # entry -> range
    "references": (1, MAX_REFERENCES),
    "references_reversed": (0, MAX_REFERENCES),
    "placeholder_names": (0, MAX_REFERENCES),
    "dimensions": (1, MAX_DIMENSIONS),
    "offsets": (1, MAX_OFFSETS),
    "frame": (0, MAX_SITES),
}
MODEL_TEXTS = ("name", "weights", "dtype")


def check_description(path: Path, description: dict[str, Any]) -> None:
    """Check types and ranges of all entries that are used.

    Args:
        path: File that they stand in, for the message.
        description: Its content.

    Raises:
        DataError: An entry is missing, of another type, or out of its range.
    """
    for name, (least, most) in COUNTS.items():
        check_number(path, name, description.get(name), least, most)
    evidence = description.get("min_evidence")
    check_number(path, "min_evidence", evidence, -MAX_EVIDENCE, MAX_EVIDENCE, whole=False)
    model = entry(path, description, "model", dict)
    for name in MODEL_TEXTS:
        entry(path, model, name, str)
    taxa = entry(path, description, "taxa", dict)
    for rank in RANKS:
        check_number(path, f"taxa.{rank}", taxa.get(rank), 0, MAX_REFERENCES)
    entry(path, description, "engine", str)
    if "scanned" in description:
        scanned = entry(path, description, "scanned", dict)
        if scanned.get("format") not in VECTOR_FORMATS[1:]:
            raise DataError(path, f"scanned.format is {scanned.get('format')!r:.40}")
        check_number(path, "scanned.error", scanned.get("error"), 0, MAX_ERROR, whole=False)
    entry(path, description, "is_coding", bool)


def entry(path: Path, content: dict[str, Any], name: str, kind: type) -> Any:
    """Return an entry of the type that it must have.

    Raises:
        DataError: It is missing or of another type.
    """
    value = content.get(name)
    if not isinstance(value, kind):
        shown = "missing" if name not in content else f"not {value!r:.40}"
        raise DataError(path, f"{name} must be {KINDS[kind]}, {shown}")
    return value


KINDS: dict[type, str] = {dict: "an object", str: "text", bool: "true or false"}


def check_arrays(folder: Path, description: dict[str, Any], vectors: Any, hashes: Any) -> None:
    """Check that the arrays of a library are those that its description describes.

    Args:
        folder: Folder of the library.
        description: Content of `library.json`.
        vectors: Embeddings, to be (R, D).
        hashes: Hashes of the barcodes, to be (R,).

    Raises:
        DataError: Their shapes or number formats are others.
    """
    rows, width = description["references"], description["dimensions"]
    for name, array, shape, kind in (
        ("vectors", vectors, (rows, width), "float32"),
        ("hashes", hashes, (rows,), "uint64"),
    ):
        if array.shape != shape or array.dtype != kind:
            raise DataError(
                folder,
                f"is a damaged library: its {name} are {array.dtype} {array.shape}, not {kind} "
                f"{shape}; copy it again, or make it again with barcodemae index",
            )
