"""Stages of the GPU kit, each a process of its own: python benchmarks/gpu_stages.py STAGE ...

`check` describes the machine and measures what its matrix products reach; `speed` times training,
embedding and the input pipeline; `models` trains the paper's three models. `gpu.py` starts them.

In: the kit's data folder. Out: `measured.json`, written anew with every new number, and the files
of `gpu_models.py`. Guarded by tests/benchmarks/test_gpu_kit.py.
"""

import json
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import torch
import typer


MEASURED = "measured.json"
PACKAGES = (
    *("torch", "transformers", "tokenizers", "accelerate", "safetensors", "numpy", "pyarrow"),
    *("scikit-learn", "triton", "datasets", "umap-learn", "dnaio", "backports.zstd", "msprime"),
)
GEMM_SIZE = 8192
WIDTHS = (768, 384)


@dataclass(frozen=True)
class Kit:
    """What every stage knows.

    Attributes:
        out: Folder of the results.
        data: Folder of the data.
        device: Device to measure.
        seconds: Seconds the stage may take.
        is_dry: Whether this is a rehearsal.
        reference: Checkout of the original code, if there is one.
    """

    out: Path
    data: Path
    device: torch.device
    seconds: float
    is_dry: bool
    reference: Path | None

    @property
    def device_name(self) -> str:
        """Name of the device, for every number; `cpu` in a rehearsal."""
        return torch.cuda.get_device_name() if self.device.type == "cuda" else self.device.type

    def note(self, key: str, value: Any) -> None:
        """Write a measurement to `measured.json`, beside those that are there."""
        file = self.out / MEASURED
        measured = json.loads(file.read_text()) if file.is_file() else {}
        measured[key] = {"device": self.device_name, "measured": value}
        partial = file.with_suffix(".tmp")
        partial.write_text(json.dumps(measured, indent=1) + "\n")
        partial.replace(file)
        typer.echo(f"{key}: {json.dumps(value)[:300]}")


def installed(package: str) -> str:
    """Return the version of a package, or `missing`."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def describe_machine(kit: Kit) -> dict[str, Any]:
    """Describe the machine: device, driver, processor, packages."""
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "cuda": torch.version.cuda,
        "packages": {package: installed(package) for package in PACKAGES},
    }
    if kit.device.type == "cuda":
        properties = torch.cuda.get_device_properties(0)
        facts |= {
            "memory_gib": properties.total_memory / 2**30,
            "capability": list(torch.cuda.get_device_capability()),
            "multiprocessors": properties.multi_processor_count,
            "bf16": torch.cuda.is_bf16_supported(),
        }
        smi = subprocess.run(["nvidia-smi"], capture_output=True, text=True, check=False)
        facts["nvidia_smi"] = smi.stdout.splitlines()
    return facts


def matrix_peaks(kit: Kit) -> Iterator[tuple[str, float]]:
    """Yield number formats and the TFLOP/s that a large square product reaches in them."""
    from measure import time_in_turn

    size = 256 if kit.is_dry else GEMM_SIZE
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        left, right = (torch.randn(size, size, device=kit.device, dtype=dtype) for _ in range(2))
        seconds = time_in_turn({"product": lambda a=left, b=right: a @ b}, kit.device, 10)
        yield str(dtype).removeprefix("torch."), 2 * size**3 / seconds["product"] / 1e12


def copy_rate(kit: Kit) -> float:
    """Measure how fast pinned memory reaches the device, GB/s."""
    from measure import time_in_turn

    host = torch.empty(1 << (16 if kit.is_dry else 28), dtype=torch.uint8)
    if kit.device.type == "cuda":
        host = host.pin_memory()
    copy = {"copy": lambda: host.to(kit.device, non_blocking=True, copy=True)}
    return host.numel() / time_in_turn(copy, kit.device, 5)["copy"] / 1e9


def check(kit: Kit) -> None:
    """Describe the machine and measure its peaks."""
    kit.note("machine", describe_machine(kit))
    kit.note("matrix_teraflops", dict(matrix_peaks(kit)))
    kit.note("pinned_copy_gb_per_second", copy_rate(kit))


def speed(kit: Kit) -> None:
    """Time training and embedding beside the original's ways, then the input pipeline."""
    import embed
    import pretrain

    batch, repeats = (4, 1) if kit.is_dry else (512, 5)
    for width in (48,) if kit.is_dry else WIDTHS:
        case = pretrain.Case(batch=batch, compile=not kit.is_dry)
        rows = pretrain.compare(width, case, repeats, kit.reference, kit.device)
        kit.note(f"training_6-6-{width}", rows)
        with tempfile.TemporaryDirectory() as folder:
            model = embed.make_folder(width, 6, Path(folder) / "encoder")
            sizes = embed.Case(batch=batch)
            rows = embed.compare(model, width, sizes, repeats, kit.reference, kit.device)
        kit.note(f"embedding_6-6-{width}", rows)
    kit.note("input_pipeline", time_input(kit))


def time_input(kit: Kit) -> list[dict[str, Any]]:
    """Measure what share of a training step the input pipeline alone would take."""
    from gpu_models import settings_of

    from barcodemae.training.run.loop import load_batches, train_step
    from barcodemae.training.run.pretrain_run import prepare_pretraining

    counts = (1, 1) if kit.is_dry else (10, 50)
    rows = []
    for workers in (0,) if kit.is_dry else (0, 4):
        with tempfile.TemporaryDirectory() as folder:
            config = settings_of("BarcodeMAE", kit, Path(folder), num_workers=workers)
            run = prepare_pretraining(config)

            def load(batches: list[Any]) -> None:
                batches[0].inputs(kit.device)

            def step(batches: list[Any], run: Any = run) -> None:
                train_step(run, batches, wants_accuracy=False)

            loading, training = (
                seconds_per_batch(work, load_batches(run), counts, kit.device)
                for work in (load, step)
            )
        row = {"workers": workers, "batch": config.batch_size, "loading_seconds": loading}
        rows.append({**row, "step_seconds": training, "share": loading / training})
    return rows


def seconds_per_batch(
    work: Callable[[list[Any]], None],
    batches: Iterator[list[Any]],
    counts: tuple[int, int],
    device: torch.device,
) -> float:
    """Time some work on batches as they are loaded.

    Args:
        work: What is done with the micro-batches of a step.
        batches: The steps.
        counts: Numbers of steps before the clock, and on it.
        device: Device that the work uses.
    """
    from measure import synchronize

    warm_up, timed = counts
    for batch in islice(batches, warm_up):
        work(batch)
    synchronize(device)
    start = time.perf_counter()
    for batch in islice(batches, timed):
        work(batch)
    synchronize(device)
    return (time.perf_counter() - start) / timed


def models(kit: Kit) -> None:
    """Train the paper's three models in equal minutes."""
    from gpu_models import train_models

    train_models(kit)


STAGES = {"check": check, "speed": speed, "models": models}


def main(
    stage: Annotated[str, typer.Argument(help="check, speed or models.")],
    out: Annotated[Path, typer.Option(help="Folder of the results.")],
    data: Annotated[Path | None, typer.Option(help="Folder made by gpu_data.py.")] = None,
    seconds: Annotated[float, typer.Option(help="Seconds the stage may take.")] = 60,
    reference: Annotated[Path | None, typer.Option(help="Checkout of the original code.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="In miniature, on the CPU.")] = False,
) -> None:
    """Run one stage."""
    out.mkdir(parents=True, exist_ok=True)
    if data is None:
        from gpu_data import write_toy_data

        data = write_toy_data(out / "work" / "data")
    if not dry_run and not torch.cuda.is_available():
        raise typer.BadParameter("there is no CUDA device; --dry-run rehearses on the CPU")
    device = torch.device("cpu" if dry_run else "cuda")
    STAGES[stage](Kit(out, data, device, seconds, dry_run, reference))


if __name__ == "__main__":
    typer.run(main)
