"""Choice of the number format a model computes in: bfloat16 if the device has instructions for it.

In: a device, and the number format that the user wants. Out: one of `NUMBER_FORMATS`. bfloat16
halves the time of a forward pass on such devices, and is slower than float32 on others.
Guarded by tests/eval/embed/test_number_format.py.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from barcodemae.eval.embed.embedder import AUTO, NUMBER_FORMATS, check_dtype


DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in NUMBER_FORMATS}
# Names in `torch.cpu.get_capabilities()`: x86 (4th-generation Xeon, Zen 4 and later), then ARM.
NATIVE_BFLOAT16 = ("amx_bf16", "avx512_bf16", "sve_bf16", "bf16")
AMPERE = (8, 0)  # compute capability of the first NVIDIA generation that multiplies bfloat16


def cpu_capabilities() -> Mapping[str, Any]:
    """Return the instruction sets of this processor; none if this torch cannot tell."""
    found: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return found


def onednn_takes_bfloat16() -> bool:
    """Whether oneDNN, which computes torch's products on a CPU, supports bfloat16 on this one.

    It may support it without native instructions, or not in spite of them (ONEDNN_MAX_CPU_ISA).
    """
    is_available = torch.backends.mkldnn.is_available()
    return is_available and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def computes_bfloat16(device: str) -> bool:
    """Whether a device multiplies bfloat16 numbers natively, not by conversion to float32."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= AMPERE
    has_instructions = any(cpu_capabilities().get(name) for name in NATIVE_BFLOAT16)
    is_refused = torch.backends.mkldnn.is_available() and not onednn_takes_bfloat16()
    return kind == "cpu" and has_instructions and not is_refused


def choose_dtype(wanted: str, device: str) -> str:
    """Choose the number format to compute in.

    Args:
        wanted: One of `DTYPES`, or `auto`: bfloat16 if the device has it, else float32.
        device: Device to compute on, as torch names it.

    Raises:
        SettingsError: The format is unknown.
    """
    check_dtype(wanted)
    if wanted == AUTO:
        return "bfloat16" if computes_bfloat16(device) else "float32"
    return wanted


def set_number_format(model: nn.Module, dtype: torch.dtype) -> None:
    """Convert the weights of a network to a number format, in place.

    Buffers (rotary frequencies, time axes) stay in float32, because rounding them would shift
    positions. So do modules with a true attribute `keeps_float32`.
    """
    if getattr(model, "keeps_float32", False):
        return
    for parameter in model.parameters(recurse=False):
        parameter.data = parameter.data.to(dtype)
    for child in model.children():
        set_number_format(child, dtype)
