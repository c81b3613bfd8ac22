"""Fast products of float32 vectors, and how far off they can be.

In: queries (Q, D) and references (R, D). Out: (Q, R). By oneDNN where torch is in the process: on
processors for which NumPy's library was not written, that is more than twice as fast. But to import
torch takes seconds, and a product with a small library milliseconds: who has no network, as with
k-mer counts, gets products from NumPy. Guarded by tests/eval/search/test_products.py.

Shapes: R = references, Q = queries, D = width.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray


NO_POST_OPERATION: tuple[Any, ...] = ("none", [], "")
WORTH_TORCH = 2**26  # numbers in the references; products with so many pay for its import
# Most that rounding a factor of a product changes it, by torch's name of the precision.
FACTOR_ROUNDING = {"bf16": 2.0**-8, "tf32": 2.0**-11}


def loaded_torch() -> Any | None:
    """Give torch if this process has it."""
    return sys.modules.get("torch")


def get_ready(num_numbers: int) -> None:
    """Import torch if there are so many references that it pays, before threads or copies start."""
    if num_numbers >= WORTH_TORCH:
        import_module("torch")


def products(queries: NDArray[np.float32], references: NDArray[np.float32]) -> NDArray[np.float32]:
    """Multiply vectors (Q, D) and (R, D) to (Q, R)."""
    torch = loaded_torch()
    multiplied: NDArray[np.float32]
    if torch is None or not torch.backends.mkldnn.is_available():
        multiplied = queries @ references.T
    else:
        left, right = torch.from_numpy(queries), torch.from_numpy(references)
        with torch.inference_mode():
            multiplied = torch.ops.mkldnn._linear_pointwise(
                left, right, None, *NO_POST_OPERATION
            ).numpy()
    return multiplied


def precision_settings() -> Any:
    """Where torch keeps how precise float32 products are."""
    torch = import_module("torch")
    return torch.backends.mkldnn.matmul


@contextmanager
def coarse_products() -> Iterator[None]:
    """Let torch round the factors of float32 products to bfloat16, where that is less work.

    For the whole process: not while anything is computed that float32 products are part of.
    """
    torch, settings = import_module("torch"), precision_settings()
    before = settings.fp32_precision
    if torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        settings.fp32_precision = "bf16"
    try:
        yield
    finally:
        settings.fp32_precision = before


def largest_error(width: int) -> float:
    """Most that a product of unit vectors is off, at the precision torch is set to."""
    precision = "none" if loaded_torch() is None else precision_settings().fp32_precision
    factors = 2 * FACTOR_ROUNDING.get(precision, 0.0)
    # Several times the rounding error of a float32 sum of D products of unit vectors.
    return factors * (1 + factors) + 4 * float(np.finfo(np.float32).eps) * float(np.sqrt(width))
