"""Faster dropout and attention for training stock towers on a CPU.

On a CPU, torch draws one 32-bit number per value that may be dropped, from a serial generator, and
its fused attention is slower than two plain matrix products at the length of a barcode, about 110
tokens. Here one 64-bit number decides about four values, and attention is two matrix products with
that dropout.

In: a model. Out: the same model, changed in place; its parameters and saved folder do not change.
Guarded by tests/training/cpu/test_kernels.py, measured by benchmarks/pretrain.py.

Shapes: B = batch, H = heads, L = tokens.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface, eager_mask


ATTENTION = "barcodemae_cpu_training"
VALUES_PER_WORD = 4  # 16 bits decide about one value, so a rate is exact to 1 / 65536


def quick_dropout(values: Tensor, rate: float) -> Tensor:
    """Zero some of the values at random and scale up the others, like `torch.dropout`.

    Args:
        values: Values of any shape, on the CPU.
        rate: Probability of a zero, exact to 1 / 65536.

    Returns:
        The values, each kept with probability 1 - rate and divided by it.
    """
    if rate == 0:
        return values
    num_words = -(-values.numel() // VALUES_PER_WORD)
    words = torch.empty(num_words, dtype=torch.int64).random_(-(2**63), None)
    bits = words.view(torch.int16)[: values.numel()].view(values.shape)  # uniform 16-bit numbers
    threshold = round(rate * 2**16) - 2**15
    is_kept = (bits >= threshold).to(values.dtype)
    return values * is_kept.mul_(1 / (1 - rate))


class QuickDropout(nn.Dropout):
    """`nn.Dropout` computed by `quick_dropout`."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's own name)
        """Apply dropout in training; return the input unchanged in evaluation."""
        return quick_dropout(input, self.p) if self.training else input


def plain_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Compute attention as two matrix products, in the form that transformers calls.

    Args:
        module: The attention layer, which tells whether dropout is applied.
        query: Queries, (B, H, L, head width).
        key: Keys, (B, H, L, head width).
        value: Values, (B, H, L, head width).
        attention_mask: Added to the scores, (B, 1, L, L), or None.
        scaling: Factor of the scores; None means 1 / sqrt(head width).
        dropout: Dropout rate of the attention weights.

    Returns:
        attended: Attended values, (B, L, H, head width).
        weights: Attention weights, (B, H, L, L).
    """
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    # The queries are scaled and not the scores, because they are fewer numbers.
    scores = torch.matmul(query * scaling, key.transpose(2, 3))  # (B, H, L, L)
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = scores.softmax(dim=-1)
    if module.training:
        weights = quick_dropout(weights, dropout)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


AttentionInterface.register(ATTENTION, plain_attention)
AttentionMaskInterface.register(ATTENTION, eager_mask)


def use_cpu_kernels(model: PreTrainedModel) -> None:
    """Give a model, in place, this file's dropout and attention; its parameters do not change."""
    for module in model.modules():
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, QuickDropout(child.p))
        if isinstance(module, PreTrainedModel):
            module.config._attn_implementation = ATTENTION
