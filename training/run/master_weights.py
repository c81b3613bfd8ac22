"""AdamW for a bfloat16 model, with fp32 master weights.

A bf16 number has 8 bits of precision, so a small update would be lost in a bf16 weight. Here the
model computes with bf16 weights, while every optimiser step updates fp32 master weights, which are
then rounded into the model. This saves the casts that autocast makes in every forward pass.

In: parameters of a model. Out: an optimiser of them.
Guarded by tests/training/run/test_master_weights.py.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class MasterWeightAdamW(torch.optim.AdamW):
    """AdamW on fp32 master copies of half-precision parameters.

    Args:
        params: Parameters of the model, of any floating-point dtype.
        **kwargs: Passed on to `torch.optim.AdamW`.

    Attributes:
        weights: The parameters of the model.
        masters: Their fp32 master copies, in the same order.
    """

    def __init__(self, params: Iterable[Tensor], **kwargs: Any) -> None:
        self.weights = list(params)
        self.masters = [weight.detach().to(torch.float32, copy=True) for weight in self.weights]
        super().__init__(self.masters, **kwargs)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update the master weights with the model's gradients and round them into the model."""
        for weight, master in zip(self.weights, self.masters, strict=True):
            master.grad = None if weight.grad is None else weight.grad.to(torch.float32)
        super().step(closure)
        torch._foreach_copy_(self.weights, self.masters)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of the model and of the master weights."""
        for tensor in (*self.weights, *self.masters):
            tensor.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return the state of AdamW and the master weights, both needed for an exact resume."""
        return {**super().state_dict(), "masters": self.masters}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of AdamW, the master weights and, rounded from them, the model."""
        state_dict = dict(state_dict)
        torch._foreach_copy_(self.masters, state_dict.pop("masters"))
        torch._foreach_copy_(self.weights, self.masters)
        super().load_state_dict(state_dict)
