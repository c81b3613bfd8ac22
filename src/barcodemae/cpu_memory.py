"""Reuse of freed memory: the process keeps large blocks instead of returning them to the system.

By default glibc returns every large block to the system at once and requests a new one for the next
tensor. The system clears new blocks page by page, which slows training and identification on a CPU
(docs/log.md). Kept memory becomes fragmented over hours, so a long-running process returns it from
time to time. With other C libraries nothing is changed.

In: nothing. Out: whether the C library could be set.
Guarded by tests/barcodemae/test_cpu_memory.py, measured by benchmarks/pretrain.py.
"""

import ctypes
import sys
from typing import Any


# Parameters of mallopt(3) in glibc's malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
UNLIMITED = 2**31 - 1
STEP = 64 * 2**20  # bytes by which the heap grows at a time


def c_function(name: str) -> Any | None:
    """Find a function of glibc; None on other systems or in other C libraries."""
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), name, None)


def reuse_freed_memory() -> bool:
    """Keep freed blocks in the process, which then never shrinks by itself.

    Returns:
        Whether the C library accepted the setting.
    """
    mallopt = c_function("mallopt")
    if mallopt is None:
        return False
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, UNLIMITED), (M_TOP_PAD, STEP))
    return all(mallopt(name, value) == 1 for name, value in settings)


def return_freed_memory() -> bool:
    """Return unused pages to the system.

    Returns:
        Whether the C library has this function.
    """
    malloc_trim = c_function("malloc_trim")
    if malloc_trim is None:
        return False
    malloc_trim(0)
    return True
