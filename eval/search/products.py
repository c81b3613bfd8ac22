"""Fast products of float32 vectors, and a bound on their error.

In: query vectors (Q, D) and reference vectors (R, D). Out: the products of all pairs, (Q, R).
oneDNN computes them where this process has torch, NumPy where it does not. torch takes seconds to
import, the products with a small library milliseconds, so identification without a network (k-mer
counts) does not import it. Guarded by tests/eval/search/test_products.py.

Shapes: R = references, Q = queries, D = vector width.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray


# Arguments of torch.ops.mkldnn._linear_pointwise: activation, its parameters, its variant.
NO_ACTIVATION: tuple[Any, ...] = ("none", [], "")
WORTH_TORCH = 2**26  # numbers in the references from which on importing torch saves time
# Relative error of rounding one factor of a product, by torch's name of the precision.
FACTOR_ROUNDING = {"bf16": 2.0**-8, "tf32": 2.0**-11}


def loaded_torch() -> Any | None:
    """Return torch if this process has imported it."""
    return sys.modules.get("torch")


def import_torch_for(num_numbers: int) -> None:
    """Import torch if the references hold so many numbers that the import saves time.

    Call this before threads or worker processes start: each of them would import it.
    """
    if num_numbers >= WORTH_TORCH:
        import_module("torch")


def dot_products(
    queries: NDArray[np.float32], references: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Compute the products of all pairs of float32 vectors, (Q, D) and (R, D) to (Q, R).

    oneDNN is more than twice as fast as `@` on processors that the library behind `@` is not tuned
    for.
    """
    torch = loaded_torch()
    multiplied: NDArray[np.float32]
    if torch is None or not torch.backends.mkldnn.is_available():
        multiplied = queries @ references.T
    else:
        left, right = torch.from_numpy(queries), torch.from_numpy(references)
        product = torch.ops.mkldnn._linear_pointwise(left, right, None, *NO_ACTIVATION)
        multiplied = product.numpy()
    return multiplied


@contextmanager
def bf16_products() -> Iterator[None]:
    """Let torch round the factors of float32 products to bfloat16 where the processor gains by it.

    The setting holds for the whole process, so nothing else may rely on float32 products meanwhile.
    """
    import torch

    from barcodemae.eval.embed import number_format

    settings: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = settings.fp32_precision
    if number_format.onednn_takes_bfloat16():
        settings.fp32_precision = "bf16"
    try:
        yield
    finally:
        settings.fp32_precision = before


def error_bound(width: int) -> float:
    """Return a bound on the error of a product of unit vectors, at torch's current precision."""
    torch = loaded_torch()
    precision = "" if torch is None else str(torch.backends.mkldnn.matmul.fp32_precision)
    factors = 2 * FACTOR_ROUNDING.get(precision, 0.0)
    # Several times the rounding error of a float32 sum over D terms.
    return factors * (1 + factors) + 4 * float(np.finfo(np.float32).eps) * float(np.sqrt(width))
