"""A BERT layer and the k-mer loss as plain functions that torch.compile makes fast on a CPU.

From the stock layer, torch.compile makes a dozen kernels with slow operations in between: a serial
random generator, sums over tokens that jump through memory, dropout masks of a byte per value. The
functions here compile to few passes over memory: biases, dropout, residuals, normalisation and GELU
are fused, dropout is a hash of index and key that the backward pass computes again, and sums over
tokens are matrix products.

In: tensors, among them the parameters of a stock layer. Out: what the stock layer would compute.
`compile.py` puts the functions into a model. Guarded by tests/training/cpu/test_layers.py, measured
by benchmarks/pretrain.py.

Shapes: B = batch, L = tokens, Q = queries (all L tokens, or the predicted ones), D = width,
H = heads, N = rows of a matrix (B * L or B * Q), K = k-mer classes.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.bert.modeling_bert import BertLayer

from barcodemae.modeling_barcodemae.modeling_barcodemae import IGNORE_INDEX


# Multipliers of a 32-bit hash function (C. Wellons, "Prospecting for hash functions", lowbias32).
MULTIPLIERS = (0x7FEB352D, 0x846CA68B - 2**32)
DROPOUTS_OF_LAYER = 3  # attention weights, attention output, feed-forward output


class Affine(NamedTuple):
    """Weight and bias of a linear layer, (out, in) and (out,), or of a layer norm, (D,) each."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, module: nn.Module) -> Self:
        """Take the parameters of a module."""
        return cls(*(module.get_parameter(name) for name in ("weight", "bias")))


class LayerWeights(NamedTuple):
    """The parameters of a `BertLayer`, in the order in which they are applied.

    Attributes:
        query: Projection of the queries.
        key: Projection of the keys.
        value: Projection of the values.
        attention_output: Projection of the attended values.
        attention_norm: Layer norm after attention.
        intermediate: First, widening layer of the feed-forward block.
        output: Second, narrowing layer of the feed-forward block.
        output_norm: Layer norm after the feed-forward block.
    """

    query: Affine
    key: Affine
    value: Affine
    attention_output: Affine
    attention_norm: Affine
    intermediate: Affine
    output: Affine
    output_norm: Affine

    @classmethod
    def of(cls, layer: BertLayer) -> Self:
        """Take the parameters of a layer."""
        attention = layer.attention
        return cls(
            query=Affine.of(attention.self.query),
            key=Affine.of(attention.self.key),
            value=Affine.of(attention.self.value),
            attention_output=Affine.of(attention.output.dense),
            attention_norm=Affine.of(attention.output.LayerNorm),
            intermediate=Affine.of(layer.intermediate.dense),
            output=Affine.of(layer.output.dense),
            output_norm=Affine.of(layer.output.LayerNorm),
        )


def draw_keys(count: int) -> Tensor:
    """Draw the keys of some dropouts from torch's generator, (2, count, 2), int32.

    The first axis holds the same keys twice, for the forward and the backward pass. With one copy
    the compiler would notice that both need the same mask, and store it at a byte per value.
    """
    return torch.randint(-(2**31), 2**31, (count, 2), dtype=torch.int32).repeat(2, 1, 1)


def keep_mask(shape: torch.Size, rate: float, key: Tensor) -> Tensor:
    """Compute a dropout mask as a hash of each value's index and a key.

    Args:
        shape: Shape of the values, fewer than 2**32 in all.
        rate: Probability that a value is dropped, exact to 2**-32.
        key: Key of this mask, (2,), int32.

    Returns:
        Whether each value is kept, boolean, of the given shape.
    """
    index = torch.arange(shape.numel(), dtype=torch.int32).view(shape)
    bits = index + key[0]
    bits = (bits ^ ((bits >> 16) & 0xFFFF)) * MULTIPLIERS[0]
    bits = bits ^ key[1]
    bits = (bits ^ ((bits >> 15) & 0x1FFFF)) * MULTIPLIERS[1]
    return bits >= int(rate * 2**32) - 2**31


class HashDropout(torch.autograd.Function):
    """Dropout without a stored mask: both passes compute the mask from their copy of the key."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rate: float, keys: Tensor) -> Tensor:
        """Drop values at random; `keys` is (2, 2), one row per pass."""
        ctx.save_for_backward(keys)
        ctx.rate = rate
        return torch.where(keep_mask(values.shape, rate, keys[0]), values * (1 / (1 - rate)), 0.0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """Pass the gradient on where values were kept."""
        (keys,) = ctx.saved_tensors
        is_kept = keep_mask(grad.shape, ctx.rate, keys[1])
        return torch.where(is_kept, grad * (1 / (1 - ctx.rate)), 0.0), None, None


def hash_dropout(values: Tensor, rate: float, keys: Tensor) -> Tensor:
    """Drop values with probability `rate`; `keys` is (2, 2), one row per pass."""
    if rate == 0:
        return values
    dropped: Tensor = HashDropout.apply(values, rate, keys)
    return dropped


def sum_rows(values: Tensor) -> Tensor:
    """Sum rows, (N, D) to (D,), as a product with ones, which accumulates in higher precision."""
    return (values.new_ones(1, values.shape[0]) @ values)[0]


class AddBias(torch.autograd.Function):
    """Add a bias (D,) to rows (N, D), in fp32."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, bias: Tensor) -> Tensor:
        """Add the bias."""
        ctx.dtype = bias.dtype
        return rows.float() + bias.float()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        """Sum the gradient of the bias over the rows."""
        grad = grad.to(ctx.dtype)
        return grad, sum_rows(grad)


class ScaleAndShift(torch.autograd.Function):
    """Multiply rows (N, D) by a weight (D,) and add a bias (D,), in fp32."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Scale and shift the rows."""
        ctx.save_for_backward(rows, weight)
        return rows * weight.float() + bias.float()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sum the gradients of weight and bias over the rows."""
        rows, weight = ctx.saved_tensors
        weight_grad = sum_rows((grad * rows).to(weight.dtype))
        return grad * weight.float(), weight_grad, sum_rows(grad.to(weight.dtype))


def linear(rows: Tensor, affine: Affine) -> Tensor:
    """Apply a linear layer to rows (N, D); the result is fp32, rounded only after fused steps."""
    mapped: Tensor = AddBias.apply(rows @ affine.weight.t(), affine.bias)
    return mapped


def normalise(rows: Tensor, affine: Affine, eps: float) -> Tensor:
    """Apply layer normalisation to rows (N, D), in fp32."""
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
    """The settings of a layer, beside its parameters.

    Attributes:
        num_heads: Number of attention heads.
        attention_dropout: Dropout rate of the attention weights.
        dropout: Dropout rate of the outputs of attention and feed-forward block.
        eps: Epsilon of the layer norms.
    """

    num_heads: int
    attention_dropout: float
    dropout: float
    eps: float

    @classmethod
    def of(cls, layer: BertLayer) -> Self:
        """Take the settings of a layer."""
        return cls(
            num_heads=layer.attention.self.num_attention_heads,
            attention_dropout=layer.attention.self.dropout.p,
            dropout=layer.output.dropout.p,
            eps=layer.output.LayerNorm.eps,
        )


def attend(
    hidden_states: Tensor,
    query_states: Tensor,
    padding: Tensor | None,
    weights: LayerWeights,
    settings: LayerSettings,
    keys: Tensor,
) -> Tensor:
    """Compute the attention of some tokens to all tokens.

    Args:
        hidden_states: Hidden states of all tokens, (B, L, D).
        query_states: Hidden states of the tokens that attend, (B, Q, D).
        padding: Added to the scores, (B, 1, 1, L), or None.
        weights: Parameters of the layer.
        settings: Settings of the layer.
        keys: Keys of the dropout, (2, 2).

    Returns:
        Attended values, (B * Q, D).
    """
    batch, num_tokens, width = hidden_states.shape
    dtype, heads = hidden_states.dtype, settings.num_heads

    # Project queries, keys and values, with one matrix product for what shares its input.
    if query_states is hidden_states:
        all_three = Affine(*(torch.cat(parts) for parts in zip(*weights[:3], strict=True)))
        parts = linear(hidden_states.view(-1, width), all_three).split(width, dim=1)
    else:
        key_and_value = Affine(*(torch.cat(parts) for parts in zip(*weights[1:3], strict=True)))
        parts = linear(hidden_states.view(-1, width), key_and_value).split(width, dim=1)
        parts = (linear(query_states.view(-1, width), weights.query), *parts)
    query = split_heads(parts[0] * (width // heads) ** -0.5, batch, heads, dtype)
    key, value = (split_heads(part, batch, heads, dtype) for part in parts[1:])

    # Score every query against every key, and average the values by the softmax of the scores.
    scores = torch.bmm(query, key.transpose(1, 2)).float()  # (B * H, Q, L)
    scores = scores.view(batch, heads, -1, num_tokens)  # (B, H, Q, L)
    if padding is not None:
        scores = scores + padding
    shares = hash_dropout(scores.softmax(dim=-1), settings.attention_dropout, keys).to(dtype)
    attended = torch.bmm(shares.view(batch * heads, -1, num_tokens), value)  # (B * H, Q, D / H)
    return attended.view(batch, heads, -1, width // heads).transpose(1, 2).reshape(-1, width)


def bert_layer(
    hidden_states: Tensor,
    rows: Tensor | None,
    padding: Tensor | None,
    weights: LayerWeights,
    settings: LayerSettings,
    keys: Tensor,
) -> Tensor:
    """Compute a `BertLayer` with exact GELU.

    Args:
        hidden_states: Hidden states of all tokens, (B, L, D).
        rows: Positions to compute, (B, Q); None for all.
        padding: Added to the attention scores, (B, 1, 1, L), or None.
        weights: Parameters of the layer.
        settings: Settings of the layer.
        keys: Keys of the dropouts from `draw_keys`, (2, 3, 2).

    Returns:
        Hidden states of the computed positions, (B, Q, D).
    """
    # Choose the positions to compute.
    dtype, query_states = hidden_states.dtype, hidden_states
    if rows is not None:
        index = rows.unsqueeze(-1).expand(-1, -1, hidden_states.shape[-1])
        query_states = hidden_states.gather(1, index)  # (B, Q, D)

    # Attention, residual and layer norm.
    attended = attend(hidden_states, query_states, padding, weights, settings, keys[:, 0])
    attended = linear(attended, weights.attention_output)  # (B * Q, D)
    attended = hash_dropout(attended, settings.dropout, keys[:, 1])
    residual = (attended + query_states.view_as(attended).float()).to(dtype).float()
    middle = normalise(residual, weights.attention_norm, settings.eps).to(dtype)  # (B * Q, D)

    # Feed-forward block, residual and layer norm.
    wide = F.gelu(linear(middle, weights.intermediate).to(dtype).float()).to(dtype)
    narrow = hash_dropout(linear(wide, weights.output), settings.dropout, keys[:, 2])
    residual = (narrow + middle.float()).to(dtype).float()
    return normalise(residual, weights.output_norm, settings.eps).to(dtype).view_as(query_states)


def kmer_loss(
    rows: Tensor, classes: Tensor, head: Affine, rate: float, keys: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute the k-mer head and its loss.

    Args:
        rows: Hidden states at the positions to predict, (N, D).
        classes: True classes, `IGNORE_INDEX` for padding, (N,).
        head: Parameters of the head, (K, D) and (K,).
        rate: Dropout rate before the head.
        keys: Keys of the dropout from `draw_keys`, (2, 1, 2).

    Returns:
        loss: Mean cross-entropy.
        logits: Logits of the k-mers, (N, K).
    """
    logits = linear(hash_dropout(rows.float(), rate, keys[:, 0]).to(rows.dtype), head)
    logits = logits.to(rows.dtype)
    return F.cross_entropy(logits.float(), classes, ignore_index=IGNORE_INDEX), logits
