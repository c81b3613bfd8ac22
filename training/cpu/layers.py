"""A BERT layer and the k-mer loss as plain functions that torch.compile makes fast on a CPU.

It cuts the stock layer into a dozen pieces and leaves slow ones in between: a serial random
generator, sums over tokens that jump through memory, masks of a byte per value. These functions
become few passes over memory: biases, dropout, residuals, normalisation and GELU are fused, dropout
is a hash of place and key that the backward pass computes again, sums over tokens are products.

In: tensors, among them a stock layer's own parameters. Out: what the stock layer would give.
`compile.py` puts them to work. Guarded by tests/training/cpu/test_layers.py, measured by
benchmarks/pretrain.py.

Shapes: B = batch, L = tokens, Q = rows that are computed (L, or the predicted ones), D = width,
H = heads, N = B * L, K = k-mer classes.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.bert.modeling_bert import BertLayer

from barcodemae.modeling_barcodemae.modeling_barcodemae import IGNORE_INDEX


# Multipliers of a 32-bit hash (C. Wellons, "Prospecting for hash functions", lowbias32).
MULTIPLIERS = (0x7FEB352D, 0x846CA68B - 2**32)
DROPOUTS_OF_LAYER = 3  # attention weights, attention output, feed-forward output


class Affine(NamedTuple):
    """Weight and bias of a linear map, (out, in) and (out,), or of a normalisation, (D,) each."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, module: nn.Module) -> Self:
        """The module's own tensors."""
        return cls(*(module.get_parameter(name) for name in ("weight", "bias")))


class LayerWeights(NamedTuple):
    """The parameters of a `BertLayer`."""

    query: Affine
    key: Affine
    value: Affine
    attended: Affine
    attended_norm: Affine
    widen: Affine
    narrow: Affine
    output_norm: Affine

    @classmethod
    def of(cls, layer: BertLayer) -> Self:
        """The layer's own tensors."""
        attention, output = layer.attention, layer.output
        projections = (attention.self.query, attention.self.key, attention.self.value)
        after = (attention.output.dense, attention.output.LayerNorm, layer.intermediate.dense)
        return cls(
            *map(Affine.of, projections),
            *map(Affine.of, after),
            *map(Affine.of, (output.dense, output.LayerNorm)),
        )


def draw_keys(count: int) -> Tensor:
    """Draw the keys of some dropouts from torch's generator, (2, count, 2), int32.

    The first axis holds the same keys twice, for either direction: were it one tensor, the compiler
    would find that both need the same mask and store it at a byte per value.
    """
    return torch.randint(-(2**31), 2**31, (count, 2), dtype=torch.int32).repeat(2, 1, 1)


def keep_mask(shape: torch.Size, rate: float, key: Tensor) -> Tensor:
    """True where a value is kept: a hash of its place and a key (2,); the rate is exact to 2**-32.

    Args:
        shape: Of the values, fewer than 2**32.
        rate: Probability of False.
        key: Of this draw, (2,), int32.
    """
    place = torch.arange(shape.numel(), dtype=torch.int32).view(shape)
    bits = place + key[0]
    bits = (bits ^ ((bits >> 16) & 0xFFFF)) * MULTIPLIERS[0]
    bits = bits ^ key[1]
    bits = (bits ^ ((bits >> 15) & 0x1FFFF)) * MULTIPLIERS[1]
    return bits >= int(rate * 2**32) - 2**31


class HashDropout(torch.autograd.Function):
    """Dropout that stores nothing: both directions compute the mask from their copy of the key."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rate: float, keys: Tensor) -> Tensor:
        """Drop values; `keys` is (2, 2), one row per direction."""
        ctx.save_for_backward(keys)
        ctx.rate = rate
        return torch.where(keep_mask(values.shape, rate, keys[0]), values * (1 / (1 - rate)), 0.0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """Let the gradient through where values were kept."""
        (keys,) = ctx.saved_tensors
        is_kept = keep_mask(grad.shape, ctx.rate, keys[1])
        return torch.where(is_kept, grad * (1 / (1 - ctx.rate)), 0.0), None, None


def hash_dropout(values: Tensor, rate: float, keys: Tensor) -> Tensor:
    """Drop values at `rate`; `keys` is (2, 2)."""
    if rate == 0:
        return values
    dropped: Tensor = HashDropout.apply(values, rate, keys)
    return dropped


def sum_rows(values: Tensor) -> Tensor:
    """Sum (N, D) to (D,), in the values' dtype with wider sums inside: as a product with ones."""
    return (values.new_ones(1, values.shape[0]) @ values)[0]


class AddBias(torch.autograd.Function):
    """Add a bias (D,) to rows (N, D) in fp32."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, bias: Tensor) -> Tensor:
        """Add it."""
        ctx.dtype = bias.dtype
        return rows.float() + bias.float()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient of the bias is the sum over the rows."""
        grad = grad.to(ctx.dtype)
        return grad, sum_rows(grad)


class ScaleAndShift(torch.autograd.Function):
    """Multiply rows (N, D) by a weight (D,) and add a bias (D,), in fp32."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Scale and shift."""
        ctx.save_for_backward(rows, weight)
        return rows * weight.float() + bias.float()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients of weight and bias are sums over the rows."""
        rows, weight = ctx.saved_tensors
        weight_grad = sum_rows((grad * rows).to(weight.dtype))
        return grad * weight.float(), weight_grad, sum_rows(grad.to(weight.dtype))


def linear(rows: Tensor, affine: Affine) -> Tensor:
    """A linear map of rows (N, D); the result is in fp32, to be rounded after what is fused."""
    mapped: Tensor = AddBias.apply(rows @ affine.weight.t(), affine.bias)
    return mapped


def normalise(rows: Tensor, affine: Affine, eps: float) -> Tensor:
    """Layer normalisation of rows (N, D), in fp32."""
    centred = rows - rows.mean(-1, keepdim=True)
    scaled = centred * torch.rsqrt(centred.square().mean(-1, keepdim=True) + eps)
    normalised: Tensor = ScaleAndShift.apply(scaled, *affine)
    return normalised


def split_heads(rows: Tensor, batch: int, num_heads: int, dtype: torch.dtype) -> Tensor:
    """Reorder rows (B * L, D) to (B * H, L, head width)."""
    heads = rows.view(batch, -1, num_heads, rows.shape[-1] // num_heads).transpose(1, 2)
    return heads.to(dtype).reshape(batch * num_heads, -1, heads.shape[-1])


@dataclass(frozen=True)
class LayerSettings:
    """What a layer does besides its parameters.

    Attributes:
        num_heads: Attention heads.
        attention_dropout: Rate on the attention weights.
        dropout: Rate on the outputs of attention and feed-forward.
        eps: Of the normalisations.
    """

    num_heads: int
    attention_dropout: float
    dropout: float
    eps: float

    @classmethod
    def of(cls, layer: BertLayer) -> Self:
        """The layer's own."""
        return cls(
            num_heads=layer.attention.self.num_attention_heads,
            attention_dropout=layer.attention.self.dropout.p,
            dropout=layer.output.dropout.p,
            eps=layer.output.LayerNorm.eps,
        )


def attend(
    hidden_states: Tensor,
    asking: Tensor,
    padding: Tensor | None,
    weights: LayerWeights,
    settings: LayerSettings,
    keys: Tensor,
) -> Tensor:
    """Attention of some rows to all tokens.

    Args:
        hidden_states: (B, L, D).
        asking: The rows that attend, (B, Q, D).
        padding: Added to the scores, (B, 1, 1, L), or None.
        weights: The layer's.
        settings: The layer's.
        keys: Of the dropout, (2, 2).

    Returns:
        Attended values, (B * Q, D).
    """
    batch, num_tokens, width = hidden_states.shape
    dtype, heads = hidden_states.dtype, settings.num_heads
    if asking is hidden_states:
        together = Affine(*(torch.cat(parts) for parts in zip(*weights[:3], strict=True)))
        parts = linear(hidden_states.view(-1, width), together).split(width, dim=1)
    else:
        both = Affine(*(torch.cat(parts) for parts in zip(*weights[1:3], strict=True)))
        parts = linear(hidden_states.view(-1, width), both).split(width, dim=1)
        parts = (linear(asking.view(-1, width), weights.query), *parts)
    query = split_heads(parts[0] * (width // heads) ** -0.5, batch, heads, dtype)
    key, value = (split_heads(part, batch, heads, dtype) for part in parts[1:])
    scores = torch.bmm(query, key.transpose(1, 2)).float()  # (B * H, Q, L)
    scores = scores.view(batch, heads, -1, num_tokens)
    if padding is not None:
        scores = scores + padding
    shares = hash_dropout(scores.softmax(dim=-1), settings.attention_dropout, keys).to(dtype)
    attended = torch.bmm(shares.view(batch * heads, -1, num_tokens), value)
    return attended.view(batch, heads, -1, width // heads).transpose(1, 2).reshape(-1, width)


def bert_layer(
    hidden_states: Tensor,
    rows: Tensor | None,
    padding: Tensor | None,
    weights: LayerWeights,
    settings: LayerSettings,
    keys: Tensor,
) -> Tensor:
    """A `BertLayer` with exact GELU.

    Args:
        hidden_states: (B, L, D).
        rows: Positions to compute, (B, Q); None for all.
        padding: See `attend`.
        weights: Its parameters.
        settings: The rest.
        keys: From `draw_keys`, (2, 3, 2).

    Returns:
        (B, Q, D).
    """
    dtype, asking = hidden_states.dtype, hidden_states
    if rows is not None:
        index = rows.unsqueeze(-1).expand(-1, -1, hidden_states.shape[-1])
        asking = hidden_states.gather(1, index)  # (B, Q, D)
    attended = attend(hidden_states, asking, padding, weights, settings, keys[:, 0])
    attended = hash_dropout(linear(attended, weights.attended), settings.dropout, keys[:, 1])
    added = (attended + asking.view_as(attended).float()).to(dtype).float()
    middle = normalise(added, weights.attended_norm, settings.eps).to(dtype)  # (B * Q, D)
    wide = F.gelu(linear(middle, weights.widen).to(dtype).float()).to(dtype)
    narrow = hash_dropout(linear(wide, weights.narrow), settings.dropout, keys[:, 2])
    added = (narrow + middle.float()).to(dtype).float()
    return normalise(added, weights.output_norm, settings.eps).to(dtype).view_as(asking)


def kmer_loss(
    rows: Tensor, classes: Tensor, head: Affine, rate: float, keys: Tensor
) -> tuple[Tensor, Tensor]:
    """Score rows (N, D) against classes (N,); returns the mean cross-entropy and logits (N, K)."""
    logits = linear(hash_dropout(rows.float(), rate, keys[:, 0]).to(rows.dtype), head)
    logits = logits.to(rows.dtype)
    return F.cross_entropy(logits.float(), classes, ignore_index=IGNORE_INDEX), logits
