"""Threads in which torch is single-threaded, so that sums do not depend on the number of threads.

In: a function and items. Out: the function is called once with each item.
Guarded by tests/eval/embed/test_threads.py.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from barcodemae.eval.search.products import loaded_torch


Item = TypeVar("Item")


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let torch, if this process has imported it, compute on the calling thread alone."""
    torch = loaded_torch()
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def work_on_threads(work: Callable[[Item], None], items: Sequence[Item]) -> Iterator[None]:
    """Process every item on one thread, as many at a time as torch has threads.

    Args:
        work: Function called with each item.
        items: Items to process.

    Yields:
        None, once for each finished item, in the order of the items.
    """
    import torch

    threads = min(torch.get_num_threads(), len(items))
    if threads <= 1:
        with one_thread_each():
            yield from map(work, items)
    else:
        with one_thread_each(), ThreadPoolExecutor(threads) as pool:
            yield from pool.map(work, items)
