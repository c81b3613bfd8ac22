"""Threads in which torch is single-threaded, so that sums do not depend on the number of threads.

In: a function and items. Out: the function is called once with each item.
Guarded by tests/eval/embed/test_threads.py.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from barcodemae.eval.search.products import loaded_torch


Item = TypeVar("Item")
LIMITS: list[int] = []  # of the blocks under way in which each thread computes alone


def default_threads() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def num_threads() -> int:
    """Number of threads to compute with: torch's if this process has imported it."""
    if LIMITS:
        return 1
    torch = loaded_torch()
    return default_threads() if torch is None else int(torch.get_num_threads())


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let every thread compute alone, torch too if this process has imported it."""
    torch = loaded_torch()
    before = 1 if torch is None else torch.get_num_threads()
    if torch is not None:
        torch.set_num_threads(1)
    LIMITS.append(1)
    try:
        yield
    finally:
        LIMITS.pop()
        if torch is not None:
            torch.set_num_threads(before)


def work_on_threads(work: Callable[[Item], None], items: Sequence[Item]) -> Iterator[None]:
    """Process every item on one thread, as many at a time as there are threads to compute with.

    Args:
        work: Function called with each item.
        items: Items to process.

    Yields:
        None, once for each finished item, in the order of the items.
    """
    threads = min(num_threads(), len(items))
    if threads <= 1:
        with one_thread_each():
            yield from map(work, items)
    else:
        with one_thread_each(), ThreadPoolExecutor(threads) as pool:
            yield from pool.map(work, items)
