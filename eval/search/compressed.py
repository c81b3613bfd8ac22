"""Vectors in half precision or int8 for the first look of an exact search: the answers stay.

In: references of unit length in float32, (R, D). Out: a half or a quarter of the bytes, and the
largest distance between a vector and what its short form stands for. That distance bounds the error
of every product: for a query q of unit length, a reference r and its short form s,
|q.r - q.s| <= |q| |r - s| = |r - s| (Cauchy and Schwarz). `reference_search.py` takes every
reference as a candidate that may be among the nearest given this error, and ranks the candidates by
the vectors in full precision, which stay on disk. So only these rows of them are read, and what is
found is what a search without short forms finds.
Guarded by tests/eval/search/test_compressed.py.

Shapes: R = references, D = embedding width.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from barcodemae.errors import SettingsError
from barcodemae.eval.search.nearest import blocks_of
from barcodemae.eval.search.products import loaded_torch
from barcodemae.stored.arrays import map_array


FULL, HALF, BYTE = VECTOR_FORMATS = ("float32", "float16", "int8")
VALUES_FILE, SCALES_FILE = "scanned.npy", "scales.npy"
ROWS_PER_BLOCK = 16_384
MAX_BYTE = 127
ROUNDING = 1 + 1e-6  # covers the rounding of the distance itself, and a query's length near 1


@dataclass(frozen=True)
class CompressedVectors:
    """Short forms of vectors.

    Attributes:
        values: The short forms, float16 or int8, (R, D); possibly memory-mapped.
        scales: Factors of int8 values, float32, (R,); None of float16.
        error: Largest distance between a vector and its short form.
    """

    values: NDArray[Any]
    scales: NDArray[np.float32] | None
    error: float

    def block(self, rows: slice) -> NDArray[np.float32]:
        """Return what some short forms stand for, (rows, D): the same bits on every machine."""
        return expand(self.values[rows], None if self.scales is None else self.scales[rows])


def expand(values: NDArray[Any], scales: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Turn short forms (rows, D) with their factors (rows,) into float32."""
    torch = loaded_torch()
    wide: NDArray[np.float32] = (
        values.astype(np.float32)
        if torch is None
        else torch.from_numpy(np.ascontiguousarray(values)).float().numpy()
    )
    return wide if scales is None else np.multiply(wide, scales[:, None], out=wide)


def shorten(
    vectors: NDArray[np.float32], form: str
) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
    """Turn vectors (rows, D) into short forms (rows, D) and, of int8, factors (rows,)."""
    if form == HALF:
        return vectors.astype(np.float16), None
    largest = np.abs(vectors).max(axis=1)
    scales = (np.where(largest == 0, 1, largest) / MAX_BYTE).astype(np.float32)
    return np.rint(vectors / scales[:, None]).clip(-MAX_BYTE, MAX_BYTE).astype(np.int8), scales


def check_format(form: str) -> None:
    """Check the name of a format of vectors.

    Raises:
        SettingsError: There is no such format.
    """
    if form not in VECTOR_FORMATS:
        raise SettingsError(f"vectors {form!r} are not one of {', '.join(VECTOR_FORMATS)}")


def write_compressed(vectors: NDArray[np.float32], folder: Path, form: str) -> float:
    """Write the short forms of vectors, block by block.

    Args:
        vectors: Vectors of unit length, (R, D); possibly memory-mapped.
        folder: Folder to write into.
        form: `float16` or `int8`.

    Returns:
        Largest distance between a vector and its short form.
    """
    kind = {HALF: np.float16, BYTE: np.int8}[form]
    values = open_memmap(folder / VALUES_FILE, "w+", kind, vectors.shape)
    factors = np.ones(len(vectors), np.float32)
    error = 0.0
    for rows in blocks_of(len(vectors), ROWS_PER_BLOCK):
        exact = np.asarray(vectors[rows])
        short, scales = shorten(exact, form)
        values[rows] = short
        if scales is not None:
            factors[rows] = scales
        lost = exact.astype(np.float64) - expand(short, scales)
        error = max(error, float(np.sqrt(np.einsum("nd,nd->n", lost, lost)).max()))
    values.flush()
    if form == BYTE:
        np.save(folder / SCALES_FILE, factors, allow_pickle=False)
    return error * ROUNDING


def open_compressed(folder: Path, form: str, error: float) -> CompressedVectors:
    """Map the short forms that `write_compressed` wrote.

    Raises:
        ValueError: They are of another format.
    """
    values = map_array(folder / VALUES_FILE)
    if values.dtype != form:
        raise ValueError(f"{VALUES_FILE} is {values.dtype}, not {form}")
    scales = np.load(folder / SCALES_FILE, allow_pickle=False) if form == BYTE else None
    if scales is not None and scales.shape != values.shape[:1]:
        raise ValueError(f"{SCALES_FILE} has {scales.shape} numbers, not {values.shape[:1]}")
    return CompressedVectors(values, scales, error)
