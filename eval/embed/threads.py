"""Work on threads that compute for themselves, so that sums do not depend on how many there are.

In: pieces of work. Out: nothing; each is done once. Guarded by tests/eval/embed/test_threads.py.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch


Item = TypeVar("Item")


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let torch compute on the calling thread alone; sums then do not depend on its helpers."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def work_on_threads(work: Callable[[Item], None], items: Sequence[Item]) -> Iterator[None]:
    """Work on every item, each on one thread, as many at once as torch has threads.

    Yields:
        Once for each item that is done, in order.
    """
    threads = min(torch.get_num_threads(), len(items))
    if threads <= 1:
        with one_thread_each():
            yield from map(work, items)
    else:
        with one_thread_each(), ThreadPoolExecutor(threads) as pool:
            yield from pool.map(work, items)
