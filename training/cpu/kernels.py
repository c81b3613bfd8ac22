"""Make stock towers train faster on a CPU: cheap dropout, and attention for short sequences.

On a CPU torch draws one 32-bit number per dropped value from a serial generator, and its fused
attention is slower than two plain matrix products at a barcode's length of about 110 tokens. Here
one 64-bit draw serves four values, and attention is the plain kind with that dropout.

The model and its saved folder stay what they are; only a training run on a CPU is changed.
Guarded by tests/training/cpu/test_kernels.py, measured by benchmarks/pretrain.py.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface, eager_mask


ATTENTION = "barcodemae_cpu_training"
DRAWS_PER_WORD = 4  # 16 bits decide about one value, so a rate is exact to 1 / 65536


def quick_dropout(values: Tensor, rate: float) -> Tensor:
    """Zero a share of the values and scale up the others, as `torch.dropout` in training.

    Args:
        values: Any shape, on the CPU.
        rate: Probability of a zero, exact to 1 / 65536.

    Returns:
        The values, each kept with probability 1 - rate and divided by it.
    """
    if rate == 0:
        return values
    num_words = -(-values.numel() // DRAWS_PER_WORD)
    words = torch.empty(num_words, dtype=torch.int64).random_(-(2**63), None)
    bits = words.view(torch.int16)[: values.numel()].view(values.shape)  # uniform 16-bit numbers
    threshold = round(rate * 2**16) - 2**15
    is_kept = (bits >= threshold).to(values.dtype)
    return values * is_kept.mul_(1 / (1 - rate))


class QuickDropout(nn.Dropout):
    """`nn.Dropout` with `quick_dropout` inside."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's own name)
        """Drop values in training, pass them on otherwise."""
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
    """Attention as two matrix products; the signature is transformers'.

    Args:
        module: The attention layer.
        query: (B, H, L, head width); key and value alike.
        key: See `query`.
        value: See `query`.
        attention_mask: Added to the scores, (B, 1, L, L), or None.
        scaling: Factor on the scores; 1 / sqrt(head width) if None.
        dropout: Rate on the attention weights.

    Returns:
        Attended values, (B, L, H, head width), and the weights, (B, H, L, L).
    """
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    # Scaling the queries touches fewer numbers than scaling the scores.
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
    """Change a model in place for training on a CPU; its parameters and their names stay."""
    for module in model.modules():
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, QuickDropout(child.p))
        if isinstance(module, PreTrainedModel):
            module.config._attn_implementation = ATTENTION
