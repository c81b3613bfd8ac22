"""Workers as actors of Ray: on this machine, or on all machines of a cluster.

In: the address of a cluster, and a function that opens what a worker needs. Out: a `Crew`. Each
worker is a process with one core, or one GPU, of its own. Ray is asked for processes, for carrying
bytes and for the news that one died; it restarts nothing, since `crew.py` does.
Guarded by tests/barcodemae/distributed/test_ray_crew.py.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from barcodemae import __version__
from barcodemae.distributed.crew import Crew, HireCrew, Make, Report
from barcodemae.distributed.shards import Shard
from barcodemae.errors import BarcodeMAEError, SettingsError, WorkerError, first_line
from barcodemae.eval.embed.threads import one_thread_each


LOCAL = "local"
STORE_BYTES = 256 << 20  # of shards under way between processes, on this machine alone


class Desk:
    """What runs in the process of a worker.

    Args:
        version: Version of the package that the driver has.
    """

    def __init__(self, version: str) -> None:
        self.version = version
        self.work: Callable[[Any], Any] | None = None
        self.for_life = ExitStack()

    def open(self, make: Make) -> tuple[str, Any]:
        """Open what the worker needs; `error` and why, if the user can mend it."""
        if self.version != __version__:
            return "error", f"a worker has barcodemae {__version__}, not {self.version}"
        try:
            self.work = make()
        except BarcodeMAEError as error:
            return "error", str(error)
        # It has one core; threads on the others would take those of its neighbours.
        self.for_life.enter_context(one_thread_each())
        return "ready", None

    def do(self, load: Any) -> tuple[str, Any]:
        """Compute a shard."""
        if self.work is None:
            raise RuntimeError("a worker computes only after it has opened what it needs")
        try:
            return "done", self.work(load)
        except BarcodeMAEError as error:
            return "error", str(error)


def import_ray() -> Any:
    """Import Ray.

    Raises:
        SettingsError: It is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise SettingsError(
            "--ray needs Ray: pip install 'barcodemae[ray]', on every machine of the cluster"
        ) from error
    return ray


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to a cluster, or begin one on this machine; yield Ray.

    Args:
        address: `local`, `auto`, or HOST:PORT of the cluster.

    Raises:
        SettingsError: Ray is not installed, or nothing answers there.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
    ray = import_ray()
    own = {"object_store_memory": STORE_BYTES, "include_dashboard": False}
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            **(own if address == LOCAL else {}),
        )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        why = first_line(error)
        raise SettingsError(f"no Ray cluster can be reached at {address!r}: {why}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


class RayCrew:
    """Workers on a cluster of Ray.

    Args:
        ray: Ray, connected.
        make: Function that opens what a worker needs, called once by each.
        size: Number of workers; 0 for one on every core, or GPU, of the cluster.
        on_gpu: Whether each worker has a GPU.

    Raises:
        SettingsError: The cluster has nothing to compute on.
    """

    def __init__(self, ray: Any, make: Make, *, size: int = 0, on_gpu: bool = False) -> None:
        self.ray = ray
        kind = "GPU" if on_gpu else "CPU"
        self.size = size or int(ray.cluster_resources().get(kind, 0))
        if self.size < 1:
            raise SettingsError(f"the Ray cluster has no {kind} to compute on")
        self.make = ray.put(make)
        self.actor = ray.remote(Desk).options(
            num_cpus=0 if on_gpu else 1,
            num_gpus=1 if on_gpu else 0,
            scheduling_strategy="SPREAD",
        )
        self.desks: dict[int, Any] = {}
        self.pending: dict[Any, int] = {}  # reference of what is awaited -> worker
        self.num_hired = 0

    def hire(self) -> int:
        """Begin a worker."""
        self.num_hired += 1
        desk = self.actor.remote(__version__)
        self.desks[self.num_hired] = desk
        self.pending[desk.open.remote(self.make)] = self.num_hired
        return self.num_hired

    def hand(self, worker: int, shard: Shard) -> None:
        """Give a worker a shard."""
        self.pending[self.desks[worker].do.remote(shard.load)] = worker

    def dismiss(self, worker: int) -> None:
        """End a worker."""
        self.ray.kill(self.desks.pop(worker))

    def wait(self) -> Report:
        """Wait until a worker reports."""
        (ready,), _ = self.ray.wait(list(self.pending), num_returns=1)
        worker = self.pending.pop(ready)
        errors = self.ray.exceptions
        try:
            outcome, value = self.ray.get(ready)
        except (errors.RayActorError, errors.ObjectLostError, errors.NodeDiedError):
            self.desks.pop(worker)
            return Report(worker, is_lost=True)
        if outcome == "error":
            return Report(worker, error=WorkerError(value))
        return Report(worker, value)

    def close(self) -> None:
        """End all workers."""
        for worker in list(self.desks):
            self.dismiss(worker)


@contextmanager
def ray_crews(address: str, *, size: int = 0, on_gpu: bool = False) -> Iterator[HireCrew]:
    """Give a function that hires a crew on a cluster, while the block runs.

    Args:
        address: See `connected`.
        size: Number of workers; 0 for one on every core, or GPU, of the cluster.
        on_gpu: Whether each worker has a GPU.

    Raises:
        SettingsError: As for `connected`.
    """
    with connected(address) as ray:

        @contextmanager
        def hire(make: Make) -> Iterator[Crew]:
            crew = RayCrew(ray, make, size=size, on_gpu=on_gpu)
            try:
                yield crew
            finally:
                crew.close()

        yield hire
