"""Worker processes that examine records against one library, and are replaced when one dies.

In: what to open, and lists of records. Out: what was found about each, as `Identifier.examine`
gives it. Every worker opens the model and the library once; vectors are mapped, so that all share
one copy in memory. When a worker is killed, its pool is made anew and the records that were in it
are examined again: a question gets its answer, or an error that says why.
Guarded by tests/barcodemae/serving/test_workers.py.
"""

import multiprocessing
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from barcodemae.default_model import version_with
from barcodemae.errors import WorkerError
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.findings import Finding
from barcodemae.eval.identify.identification import Identifier, IdentifyOptions, Rejection
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.identify.stream import single_threaded
from barcodemae.fasta import SequenceRecord


MAX_ATTEMPTS = 3  # at the same records, if every time a worker dies over them


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What a worker opens.

    Attributes:
        library: Folder of the library.
        model: Model that the library was made with: folder, Hub name, `kmer:K` or `default`.
        options: Options of the identification.
        batch_size: Sequences per forward pass.
    """

    library: Path
    model: str
    options: IdentifyOptions
    batch_size: int = 64

    def identifier(self) -> Identifier:
        """Open model and library."""
        library = ReferenceLibrary(self.library)
        model = version_with(self.model, library.description["model"]["weights"])
        embedder = load_embedder(model, batch_size=self.batch_size, dtype=library.dtype)
        return Identifier(
            library, OffsetEmbedder(embedder, library.description["offsets"]), self.options
        )


_mine: Identifier | None = None  # of this worker process
_for_life = ExitStack()  # settings that hold until the process ends


def open_mine(opened: Opened) -> None:
    """Open model and library in a new worker process, which computes on one thread."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    global _mine
    _mine = opened.identifier()
    _for_life.enter_context(single_threaded(_mine.embedder))


def end_with_parent() -> None:
    """End this process when its parent does, however that ends; a pool's workers would stay."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def is_ready() -> bool:
    """Whether this worker process has opened what it needs."""
    return _mine is not None


def examine(records: Sequence[SequenceRecord]) -> list[Finding | Rejection]:
    """Examine records in a worker process."""
    if _mine is None:
        raise RuntimeError("examine runs in processes that open_mine has prepared")
    return _mine.examine(records)


class Workers:
    """A pool of worker processes that heals itself.

    Args:
        opened: What each opens.
        count: Number of processes.
    """

    def __init__(self, opened: Opened, count: int) -> None:
        self.opened, self.count = opened, count
        self.num_replaced = 0
        self._lock = threading.Lock()
        self._pool = self._new_pool()

    def _new_pool(self) -> ProcessPoolExecutor:
        # Not forked: the server has threads, whose locks a fork would copy as they stand.
        pool = ProcessPoolExecutor(
            self.count, multiprocessing.get_context("spawn"), open_mine, (self.opened,)
        )
        for _ in range(self.count):  # each starts a process, which opens the library at once
            pool.submit(is_ready)
        return pool

    def wait_until_ready(self) -> None:
        """Wait until a process can examine records.

        Raises:
            WorkerError: It died over model or library.
        """
        try:
            self._pool.submit(is_ready).result()
        except BrokenProcessPool as error:
            raise WorkerError("a worker process died when it opened the library") from error

    def __call__(self, records: Sequence[SequenceRecord]) -> list[Finding | Rejection]:
        """Examine records; waits for a free process. Safe to call from several threads.

        Raises:
            WorkerError: A process died over these records again and again, or the pool is closed.
        """
        for _ in range(MAX_ATTEMPTS):
            pool = self._pool
            try:
                return pool.submit(examine, records).result()
            except BrokenProcessPool:
                self._replace(pool)
        raise WorkerError(f"a worker process died {MAX_ATTEMPTS} times over the same records")

    def _replace(self, broken: ProcessPoolExecutor) -> None:
        """Make the pool anew, unless another thread has done so."""
        with self._lock:
            if self._pool is broken:
                self._pool = self._new_pool()
                self.num_replaced += 1
                broken.shutdown(wait=False)

    def close(self) -> None:
        """End the processes after what they are at."""
        self._pool.shutdown(cancel_futures=True)
