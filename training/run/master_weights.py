"""AdamW for a bfloat16 model: the optimiser keeps exact fp32 copies of the weights.

A bf16 number has 8 bits of mantissa, so a small update would vanish in a bf16 weight. Here the
model computes with bf16 weights, while every step happens on fp32 masters, which are then
rounded back into the model. Saves the casts that autocast makes in every forward pass.
Guarded by tests/training/run/test_master_weights.py.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class MasterWeightAdamW(torch.optim.AdamW):
    """AdamW over fp32 masters of half-precision parameters.

    Args:
        params: The model's parameters, any floating dtype.
        **kwargs: As for `torch.optim.AdamW`.
    """

    def __init__(self, params: Iterable[Tensor], **kwargs: Any) -> None:
        self.weights = list(params)
        self.masters = [weight.detach().to(torch.float32, copy=True) for weight in self.weights]
        super().__init__(self.masters, **kwargs)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update the masters with the model's gradients and round them into the model."""
        for weight, master in zip(self.weights, self.masters, strict=True):
            master.grad = None if weight.grad is None else weight.grad.to(torch.float32)
        super().step(closure)
        torch._foreach_copy_(self.weights, self.masters)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of the model and of the masters."""
        for tensor in (*self.weights, *self.masters):
            tensor.grad = None

    def state_dict(self) -> dict[str, Any]:
        """AdamW's state and the masters, without which a resumed run would differ."""
        return {**super().state_dict(), "masters": self.masters}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore AdamW's state, the masters and, rounded from them, the model."""
        state_dict = dict(state_dict)
        torch._foreach_copy_(self.masters, state_dict.pop("masters"))
        torch._foreach_copy_(self.weights, self.masters)
        super().load_state_dict(state_dict)
