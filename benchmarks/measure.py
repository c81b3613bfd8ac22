"""What the benchmarks share: the machine's matrix-multiply peak, fair timing, FLOP counts.

Absolute times on a shared machine mean little; every benchmark here times its contestants in
turn, A B A B ..., in one process, and compares the fastest rounds: what else runs on the machine
can only slow a round down.
"""

import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psutil
import torch
from rich.console import Console
from rich.table import Table
from torch.nn import functional as F


SECONDS_BETWEEN_LOOKS = 0.5


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds(function: Callable[[], object], device: torch.device) -> float:
    """Time one call."""
    synchronize(device)
    started = time.perf_counter()
    function()
    synchronize(device)
    return time.perf_counter() - started


def time_in_turn(
    contestants: dict[str, Callable[[], object]], device: torch.device, repeats: int
) -> dict[str, float]:
    """Seconds of each contestant's fastest round, called in turn after one warm-up round each.

    Args:
        contestants: Name -> what to time.
        device: Where it runs.
        repeats: Counted rounds.
    """
    for function in contestants.values():
        seconds(function, device)
    rounds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, function in contestants.items():
            rounds[name].append(seconds(function, device))
    return {name: min(values) for name, values in rounds.items()}


def gemm(
    num_tokens: int, width: int, dtype: torch.dtype, device: torch.device
) -> Callable[[], object]:
    """The feed-forward product of a layer, (tokens, width) x (width, 4 width), ten times."""
    tokens = torch.randn(num_tokens, width, device=device, dtype=dtype)
    weight = torch.randn(4 * width, width, device=device, dtype=dtype)

    def multiply() -> None:
        for _ in range(10):
            F.linear(tokens, weight)

    return multiply


def gemm_flop(num_tokens: int, width: int) -> int:
    """FLOP of one call of `gemm`."""
    return 10 * 2 * num_tokens * width * 4 * width


def layers_flop(width: int, num_layers: int, num_tokens: int, attended: int | None = None) -> int:
    """FLOP of a forward pass through transformer layers with a feed-forward width of 4 widths.

    12 width**2 multiply-adds per token for the products with weights, and two products of
    attention; what a barcode's padding costs does not count.
    """
    attended = num_tokens if attended is None else attended
    return num_layers * num_tokens * 2 * (12 * width**2 + 2 * attended * width)


class PeakMemory:
    """The most memory used inside a `with` block, in bytes: of the GPU, or of this process."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.bytes = 0
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        else:
            self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.device.type == "cuda":
            self.bytes = torch.cuda.max_memory_allocated()
            return
        self._done.set()
        self._watch.join()

    def _sample(self) -> None:
        while not self._done.wait(0.01):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.bytes = max(self.bytes, pages * 4096)


def measured(command: Sequence[str]) -> tuple[float, int]:
    """Run a command; return seconds and peak memory in bytes, with that of processes it starts.

    Raises:
        SystemExit: It failed.
    """
    started = time.perf_counter()
    process = psutil.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        # Seldom: looking at the memory of a process holds it up.
        with suppress(psutil.Error):
            peak = max(peak, memory_of(process))
        with suppress(psutil.TimeoutExpired):
            process.wait(SECONDS_BETWEEN_LOOKS)
    if process.returncode != 0:
        raise SystemExit(f"failed: {shlex.join(command)}")
    return time.perf_counter() - started, peak


def memory_of(process: psutil.Process) -> int:
    """Memory of a process and those it started, in bytes; what they share is counted once."""
    family = [process, *process.children(recursive=True)]
    return sum(int(member.memory_full_info().pss) for member in family)


def show(rows: list[dict[str, Any]], title: str) -> None:
    """Print records as a table."""
    table = Table(*rows[0], title=title)
    for row in rows:
        cells = [f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values()]
        table.add_row(*cells)
    Console(width=160).print(table)
