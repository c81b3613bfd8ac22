"""Measuring tools of the benchmarks: fair timing, peak memory, matrix-multiply peak, FLOP counts.

Absolute times on a shared machine mean little. So contestants are timed alternately, A B A B ...,
in one process, and their fastest rounds are compared: other load can only slow a round down.
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


SECONDS_BETWEEN_SAMPLES = 0.5  # of the memory of a command


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds(function: Callable[[], object], device: torch.device) -> float:
    """Return the seconds that one call takes."""
    synchronize(device)
    started = time.perf_counter()
    function()
    synchronize(device)
    return time.perf_counter() - started


def time_in_turn(
    contestants: dict[str, Callable[[], object]], device: torch.device, repeats: int
) -> dict[str, float]:
    """Time functions alternately, after one warm-up call of each.

    Args:
        contestants: Name -> function to time.
        device: Device that the functions use.
        repeats: Number of timed rounds.

    Returns:
        Name -> seconds of the fastest round.
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
    """Return a function that computes ten feed-forward products, (N, D) x (D, 4 D) each."""
    tokens = torch.randn(num_tokens, width, device=device, dtype=dtype)
    weight = torch.randn(4 * width, width, device=device, dtype=dtype)

    def multiply() -> None:
        for _ in range(10):
            F.linear(tokens, weight)

    return multiply


def gemm_flop(num_tokens: int, width: int) -> int:
    """Return the FLOP of one call of the function that `gemm` returns."""
    return 10 * 2 * num_tokens * width * 4 * width


def layers_flop(width: int, num_layers: int, num_tokens: int, attended: int | None = None) -> int:
    """Count the FLOP of a forward pass through transformer layers, feed-forward width 4 * width.

    12 width**2 multiply-adds per token for the products with weights, and the two products of
    attention. Padding is not counted.

    Args:
        width: Width of the layers.
        num_layers: Number of layers.
        num_tokens: Number of tokens.
        attended: Number of tokens that each token attends to, None for all of them.
    """
    attended = num_tokens if attended is None else attended
    return num_layers * num_tokens * 2 * (12 * width**2 + 2 * attended * width)


class PeakMemory:
    """Peak memory used inside a `with` block: of the GPU, or of this process on a CPU.

    Attributes:
        bytes: Peak memory in bytes, after the block.
    """

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


def time_command(command: Sequence[str]) -> tuple[float, int]:
    """Run a command, given as its arguments, and measure its time and memory.

    Returns:
        Seconds, and peak memory in bytes, including processes that the command starts.

    Raises:
        SystemExit: The command failed.
    """
    started = time.perf_counter()
    process = psutil.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        # Not often: reading the memory of a process slows it down.
        with suppress(psutil.Error):
            peak = max(peak, memory_of(process))
        with suppress(psutil.TimeoutExpired):
            process.wait(SECONDS_BETWEEN_SAMPLES)
    if process.returncode != 0:
        raise SystemExit(f"failed: {shlex.join(command)}")
    return time.perf_counter() - started, peak


def memory_of(process: psutil.Process) -> int:
    """Return the memory of a process and its children in bytes; shared memory counts once."""
    family = [process, *process.children(recursive=True)]
    return sum(int(member.memory_full_info().pss) for member in family)


def show(rows: list[dict[str, Any]], title: str) -> None:
    """Print records as a table."""
    table = Table(*rows[0], title=title)
    for row in rows:
        cells = [f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values()]
        table.add_row(*cells)
    Console(width=160).print(table)
