"""A BERT layer on a CPU, as fast as its matrix products allow.

oneDNN keeps weights in the order its kernels read them, adds bias and residual and applies GELU
while a product is still in the cache; query, key and value are one product. In: rows of a piece.
Out: rows, equal to those of the stock layer within rounding. Guarded by
tests/eval/embed/cpu/test_encoder.py.

Shapes: B = sequences, L = tokens of each, filled up to one width, N = rows of a piece, D = width,
H = heads; _ = any number.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from barcodemae.eval.embed.cpu.token_pieces import TOKENS_PER_PIECE, split_runs


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

    def heads_of(self, blocks: Sequence[Tensor]) -> Tensor:
        """Query, key and value of rows (N, D) by head, (3 * H, N, head width)."""
        parts = join([self.projections(block) for block in blocks])  # (N, 3 * D)
        by_head: Tensor = parts.unflatten(1, (3 * self.num_heads, -1))
        return by_head.transpose(0, 1)

    def __call__(
        self,
        blocks: Sequence[Tensor],
        heads: Tensor,
        batches: Iterable[tuple[Tensor, Sequence[tuple[int, int]]]],
    ) -> list[Tensor]:
        """Rows (N, D) in, rows out, each by blocks: the rows of one product.

        Args:
            blocks: The rows.
            heads: Query, key and value, (3 * H, _, head width).
            batches: Where among the heads the tokens of a batch are, (B, L), and its runs.
        """
        attended = blocks[0].new_zeros(sum(map(len, blocks)), blocks[0].shape[1])  # (N, D)
        row = 0
        for rows, runs in batches:
            num_tokens = sum(count * length for count, length in runs)
            self.attend(heads, rows, split_runs(attended[row : row + num_tokens], runs))
            row += num_tokens
        pairs = zip(blocks, attended.split(len(blocks[0])), strict=True)
        return [self.transform(*pair) for pair in pairs]

    def attend(self, heads: Tensor, rows: Tensor, attended: Sequence[Tensor]) -> None:
        """Attention of every token to all of its sequence.

        Args:
            heads: Query, key and value, (3 * H, _, head width).
            rows: Where among them tokens are, filled up, (B, L).
            attended: Where the outcome goes, by runs of sequences of equal length, (_, _, D) each.
        """
        chosen = heads.index_select(1, rows.flatten()).unflatten(1, rows.shape)
        query, key, value = chosen.unflatten(0, (3, -1)).flatten(1, 2)  # (H * B, L, head width)
        scores = query.new_empty(len(query), rows.shape[1], rows.shape[1])  # (H * B, L, L)
        scores = torch.baddbmm(scores, query, key.transpose(1, 2), beta=0, alpha=self.scaling)
        counts = [len(run) for run in attended]
        by_run = scores.unflatten(0, (self.num_heads, -1)).split(counts, dim=1)
        for part, run in zip(by_run, attended, strict=True):  # (H, _, L, L)
            part[..., run.shape[1] :] = -torch.inf
        mixed = torch.bmm(softmax(scores), value).unflatten(0, (self.num_heads, -1))
        for part, run in zip(mixed.split(counts, dim=1), attended, strict=True):
            by_head = part[:, :, : run.shape[1]].permute(1, 2, 0, 3)  # (_, _, H, head width)
            run.unflatten(2, (self.num_heads, -1)).copy_(by_head)

    def transform(self, rows: Tensor, attended: Tensor) -> Tensor:
        """What follows attention in a layer, for rows and what they attended to, (_, D)."""
        middle = self.attended_norm(self.attended.added_to(rows, attended))
        normed: Tensor = self.output_norm(self.narrow.added_to(middle, self.widen(middle, GELU)))
        return normed


def join(blocks: Sequence[Tensor]) -> Tensor:
    """Put blocks of rows one below the other, without a copy if there is one block."""
    return blocks[0] if len(blocks) == 1 else torch.cat(list(blocks))


def softmax(scores: Tensor) -> Tensor:
    """Softmax of the last axis; in bf16 by oneDNN, in half the time and rounded as often."""
    if scores.dtype == torch.float32:
        return scores.softmax(dim=-1)
    return scores.to_mkldnn().softmax(dim=-1).to_dense()
