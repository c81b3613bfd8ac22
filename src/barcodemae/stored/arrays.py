"""Arrays that stay on the disk: mapped into memory, and read where they are looked at.

In: the path of an array. Out: the array. It may be larger than the memory of the machine. It can be
written to, since torch warns about read-only memory, but nothing written reaches the file or other
processes. Guarded by tests/barcodemae/stored/test_arrays.py.
"""

import mmap
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


# Without it, Linux keeps room for changes to every page, and refuses a file larger than its memory.
NO_RESERVE = 0x4000 if sys.platform == "linux" else 0  # Python 3.11 has no name for it


def map_array(path: Path) -> NDArray[Any]:
    """Map a file of NumPy.

    Args:
        path: The file, `.npy`.

    Raises:
        ValueError: It is no array of numbers, or shorter than its header says.
        OSError: It cannot be read.
    """
    return privately(path, np.load(path, mmap_mode="r", allow_pickle=False))


def map_numbers(path: Path, dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """Map a file that holds nothing but the numbers of an array.

    Args:
        path: The file.
        dtype: Type of the numbers.
        shape: Shape of the array.

    Raises:
        ValueError: It is shorter than that.
        OSError: It cannot be read.
    """
    return privately(path, np.memmap(path, dtype, "r", shape=shape))


def privately(path: Path, found: NDArray[Any]) -> NDArray[Any]:
    """Map what a read-only map shows once more, so that it can be written to in this process."""
    if not isinstance(found, np.memmap) or not found.size:
        return found.copy()
    with path.open("rb") as file:
        if sys.platform == "win32":
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        else:
            flags, prot = mmap.MAP_PRIVATE | NO_RESERVE, mmap.PROT_READ | mmap.PROT_WRITE
            content = mmap.mmap(file.fileno(), 0, flags=flags, prot=prot)
    is_c = found.flags.c_contiguous
    return np.ndarray(found.shape, found.dtype, content, found.offset, order="C" if is_c else "F")
