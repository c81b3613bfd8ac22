"""Let this process keep the memory it frees, for the next tensor of that size.

glibc gives every large block back to the system at once and asks for it anew; the system clears it
page by page, which costs training and identification on a CPU time (docs/log.md). What is kept is
cut into pieces over hours, so a process that runs long gives it back now and then. Other C
libraries are left alone. Guarded by tests/barcodemae/test_cpu_memory.py, measured by
benchmarks/pretrain.py.
"""

import ctypes
import sys
from typing import Any


# Parameters of mallopt(3) in glibc's malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
UNLIMITED = 2**31 - 1
STEP = 64 * 2**20  # bytes asked for at once


def c_function(name: str) -> Any | None:
    """Find a function of glibc; None on other systems or in other C libraries."""
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), name, None)


def reuse_freed_memory() -> bool:
    """Keep freed blocks in the process, which from now on never shrinks by itself.

    Returns:
        Whether the C library could be told.
    """
    mallopt = c_function("mallopt")
    if mallopt is None:
        return False
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, UNLIMITED), (M_TOP_PAD, STEP))
    return all(mallopt(name, value) == 1 for name, value in settings)


def return_freed_memory() -> bool:
    """Give the system back the pages that no block is in.

    Returns:
        Whether the C library could be told.
    """
    malloc_trim = c_function("malloc_trim")
    if malloc_trim is None:
        return False
    malloc_trim(0)
    return True
