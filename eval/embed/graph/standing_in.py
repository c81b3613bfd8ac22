"""Whether ONNX Runtime can stand in for torch: the same vectors, and a faster start.

In: a model, a device and a number format. Out: yes, where ONNX Runtime is installed, the model is
one that a graph can be made of, and torch would compute in float32 on a CPU. `auto` means float32
for a model with small layers on every processor: bfloat16 would gain less there than the import of
torch costs, and a library has the same vectors wherever it is made. Nothing is imported to find
out. Measured by benchmarks/engines.py.
Guarded by tests/eval/embed/graph/test_standing_in.py.
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from barcodemae.errors import DataError
from barcodemae.eval.embed.embedder import AUTO
from barcodemae.eval.embed.graph.stored_encoder import is_graph_model
from barcodemae.stored.json_objects import read_object
from barcodemae.stored.model_config import layer_weights


PACKAGES = ("onnx", "onnxruntime")
# Device files of drivers on Linux: NVIDIA's, AMD's, and of either in a Windows subsystem.
GPU_FILES = tuple(map(Path, ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")))
SMALL = 1_000_000  # weights in the products of an encoder's layers; the bundled one has 0.3 million
CPU_INFO = Path("/proc/cpuinfo")
# Flags of processors that multiply bfloat16 numbers: x86, then ARM.
BFLOAT16_FLAGS = frozenset(("amx_bf16", "avx512_bf16", "bf16", "svebf16"))


def can_stand_in(model: str | Path, device: str | None, dtype: str) -> bool:
    """Whether ONNX Runtime gives what torch would give, and no later.

    Args:
        model: Model folder; of anything else, such as a name on the Hub, nothing is known.
        device: Device to compute on; None for a GPU if there is one, else the CPU.
        dtype: Number format to compute in, or `auto`.
    """
    is_on_cpu = device == "cpu" or (device is None and not may_have_gpu())
    if not is_on_cpu or dtype not in ("float32", AUTO):
        return False
    config = config_of_graph(Path(model))
    if config is None or not all(find_spec(name) for name in PACKAGES):
        return False
    return dtype == "float32" or layer_weights(config) <= SMALL or not may_compute_bfloat16()


def may_have_gpu() -> bool:
    """Whether torch might find a GPU that it can use."""
    return sys.platform == "win32" or any(path.exists() for path in GPU_FILES)


def may_compute_bfloat16() -> bool:
    """Whether `auto` might choose bfloat16 on this processor; yes, where only torch can tell."""
    try:
        lines = CPU_INFO.read_text().splitlines()
    except OSError:
        return True
    flags = {flag for line in lines for flag in line.partition(":")[2].split()}
    return not flags.isdisjoint(BFLOAT16_FLAGS)


def config_of_graph(folder: Path) -> dict[str, Any] | None:
    """Read the config of the model in a folder; None if no graph can be made of such a model."""
    if not folder.is_dir():
        return None
    try:
        config = read_object(folder / "config.json")
        is_one = is_graph_model(config, read_object(folder / "tokenizer_config.json"))
    except DataError:
        return None
    return config if is_one else None
