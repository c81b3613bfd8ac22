"""Run a BERT encoder on a CPU as fast as its matrix products allow.

oneDNN keeps weights in the order its kernels read them, adds bias and residual and applies GELU
while a product is still in the cache; query, key and value are one product; a large batch is taken
in pieces that fit into the cache. The stock model, which transformers runs, is left as it is, and
what this gives equals its output within rounding.

In: a model from `AutoModel`. Out: the same last hidden states, for rows without padding.
Guarded by tests/eval/test_cpu_encoder.py, measured by benchmarks/embed.py.

Shapes: B = batch, L = tokens, D = width, H = heads, N = B * L.
"""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn


TOKENS_PER_PIECE = 2048  # at width 768 the widest tensor of a piece then takes 12 MB
EXACT_GELU = "gelu"
# Arguments of torch.ops.mkldnn._linear_pointwise: what follows a product, and which kind of it.
NOTHING: tuple[Any, ...] = ("none", [], "")
GELU: tuple[Any, ...] = ("gelu", [], "none")


@dataclass(frozen=True)
class PackedLinear:
    """A linear map whose weight is in oneDNN's own order.

    Attributes:
        weight: Packed.
        bias: (out,).
    """

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, *parts: nn.Module) -> Self:
        """Pack linear layers that read the same input as one."""
        weight, bias = (
            torch.cat([part.get_parameter(name).detach() for part in parts])
            for name in ("weight", "bias")
        )
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), TOKENS_PER_PIECE)
        return cls(packed, bias)

    def __call__(self, rows: Tensor, then: tuple[Any, ...] = NOTHING) -> Tensor:
        """Map rows (N, in) to (N, out)."""
        mapped: Tensor = torch.ops.mkldnn._linear_pointwise(rows, self.weight, self.bias, *then)
        return mapped

    def added_to(self, residual: Tensor, rows: Tensor) -> Tensor:
        """Map rows and add the residual (N, out)."""
        added: Tensor = torch.ops.mkldnn._linear_pointwise.binary(
            rows, residual, self.weight, self.bias, "add"
        )
        return added


class PackedLayer:
    """A `BertLayer` with packed weights.

    Args:
        layer: The stock layer.
    """

    def __init__(self, layer: Any) -> None:
        attention = layer.attention.self
        self.num_heads: int = attention.num_attention_heads
        self.scaling: float = attention.scaling
        self.projections = PackedLinear.of(attention.query, attention.key, attention.value)
        self.attended = PackedLinear.of(layer.attention.output.dense)
        self.attended_norm: nn.LayerNorm = layer.attention.output.LayerNorm
        self.widen = PackedLinear.of(layer.intermediate.dense)
        self.narrow = PackedLinear.of(layer.output.dense)
        self.output_norm: nn.LayerNorm = layer.output.LayerNorm

    def __call__(self, rows: Tensor, batch: int) -> Tensor:
        """Rows (N, D) in, rows out."""
        middle = self.attended_norm(self.attended.added_to(rows, self.attend(rows, batch)))
        normed: Tensor = self.output_norm(self.narrow.added_to(middle, self.widen(middle, GELU)))
        return normed

    def attend(self, rows: Tensor, batch: int) -> Tensor:
        """Attention of every token to all of its row, (N, D)."""
        parts = self.projections(rows).view(batch, -1, 3, self.num_heads, self.head_width(rows))
        # Copied in this order first: a product copies a turned view of `parts` far more slowly.
        query, key, value = parts.permute(2, 0, 3, 1, 4).contiguous()  # (B, H, L, head width)
        scores = (query * self.scaling) @ key.transpose(2, 3)  # (B, H, L, L)
        attended: Tensor = scores.softmax(dim=-1) @ value
        return attended.transpose(1, 2).reshape(rows.shape)

    def head_width(self, rows: Tensor) -> int:
        """Width of one head."""
        return rows.shape[-1] // self.num_heads


class CpuEncoder:
    """A BERT encoder with packed weights.

    Args:
        bert: The stock encoder, in fp32 or bfloat16, on the CPU, in evaluation mode.
    """

    def __init__(self, bert: Any) -> None:
        self.embeddings = bert.embeddings
        self.layers = [PackedLayer(layer) for layer in bert.encoder.layer]

    def __call__(self, input_ids: Tensor, position_ids: Tensor) -> Tensor:
        """Token ids without padding and their positions (B, L) to last hidden states (B, L, D)."""
        rows = max(1, TOKENS_PER_PIECE // input_ids.shape[1])
        pieces = zip(input_ids.split(rows), position_ids.split(rows), strict=True)
        return torch.cat([self.encode(*piece) for piece in pieces])

    def encode(self, input_ids: Tensor, position_ids: Tensor) -> Tensor:
        """Encode a piece."""
        embedded: Tensor = self.embeddings(input_ids=input_ids, position_ids=position_ids)
        rows = embedded.flatten(0, 1)
        for layer in self.layers:
            rows = layer(rows, len(input_ids))
        return rows.view_as(embedded)


def bert_inside(model: Any) -> Any | None:
    """Return the stock BERT encoder that a model is or holds, or None."""
    if model.config.model_type == "bert":
        return model
    inner: Any = getattr(model, "encoder", None)
    is_ours = model.config.model_type == "barcodemae" and inner is not None
    return inner if is_ours and inner.config.model_type == "bert" else None


def can_pack(bert: Any) -> bool:
    """Whether `CpuEncoder` computes what this encoder does, on this machine."""
    parameter = next(bert.parameters())
    is_supported = parameter.dtype == torch.float32 or (
        parameter.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )
    return bool(
        parameter.device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and is_supported
        and bert.config.hidden_act == EXACT_GELU
        and not bert.config.is_decoder
    )


def pack(model: Any) -> CpuEncoder | None:
    """Pack the encoder of a model, or return None where that would gain or fit nothing."""
    bert = bert_inside(model)
    if bert is None or not can_pack(bert):
        return None
    with torch.inference_mode():
        return CpuEncoder(bert)
