"""A BERT layer with packed weights, as fast on a CPU as its matrix products allow.

oneDNN keeps the weights in the order its kernels read them, and adds bias and residual and applies
GELU while a product is still in the cache; query, key and value are one product.
In: rows of a piece. Out: rows, equal to those of the stock layer within rounding.
Guarded by tests/eval/embed/cpu/test_encoder.py.

Shapes: B = sequences, L = tokens of each, padded to one width, N = rows of a piece, M = any number
of rows, D = encoder width, H = heads.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from barcodemae.eval.embed.cpu.token_pieces import TOKENS_PER_PIECE, split_runs
from barcodemae.eval.search.products import NO_ACTIVATION


GELU: tuple[Any, ...] = ("gelu", [], "none")


@dataclass(frozen=True)
class PackedLinear:
    """A linear layer whose weight is stored in oneDNN's own order.

    Attributes:
        weight: Packed weight.
        bias: Bias, (out,).
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

    def __call__(self, rows: Tensor, activation: tuple[Any, ...] = NO_ACTIVATION) -> Tensor:
        """Apply the layer and an activation to rows, (M, in) to (M, out)."""
        mapped: Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, self.weight, self.bias, *activation
        )
        return mapped

    def add_to(self, residual: Tensor, rows: Tensor) -> Tensor:
        """Apply the layer to rows (M, in) and add the result to the residual (M, out)."""
        added: Tensor = torch.ops.mkldnn._linear_pointwise.binary(
            rows, residual, self.weight, self.bias, "add"
        )
        return added


class PackedLayer:
    """A `BertLayer` with packed weights.

    Args:
        layer: Stock layer.
    """

    def __init__(self, layer: Any) -> None:
        attention = layer.attention.self
        self.num_heads: int = attention.num_attention_heads
        self.scaling: float = attention.scaling
        self.projections = PackedLinear.of(attention.query, attention.key, attention.value)
        self.attention_output = PackedLinear.of(layer.attention.output.dense)
        self.attention_norm: nn.LayerNorm = layer.attention.output.LayerNorm
        self.intermediate = PackedLinear.of(layer.intermediate.dense)
        self.output = PackedLinear.of(layer.output.dense)
        self.output_norm: nn.LayerNorm = layer.output.LayerNorm

    def project(self, blocks: Sequence[Tensor]) -> Tensor:
        """Compute query, key and value of rows (N, D) by head, (3 * H, N, head width)."""
        projected = concatenate_rows([self.projections(block) for block in blocks])  # (N, 3 * D)
        by_head: Tensor = projected.unflatten(1, (3 * self.num_heads, -1))
        return by_head.transpose(0, 1)

    def __call__(
        self,
        blocks: Sequence[Tensor],
        heads: Tensor,
        batches: Iterable[tuple[Tensor, Sequence[tuple[int, int]]]],
    ) -> list[Tensor]:
        """Apply the layer to the rows of a piece.

        Args:
            blocks: Rows of the piece, (N, D) in all, in blocks of the size of one product.
            heads: Queries, keys and values, (3 * H, M, head width).
            batches: For each attention batch the columns of its tokens in `heads`, (B, L), and its
                runs of sequences of equal length.

        Returns:
            Rows of the piece in the same blocks.
        """
        # Attend within each sequence; padding rows keep zeros.
        attended = blocks[0].new_zeros(sum(map(len, blocks)), blocks[0].shape[1])  # (N, D)
        row = 0
        for rows, runs in batches:
            num_tokens = sum(count * length for count, length in runs)
            self.attend(heads, rows, split_runs(attended[row : row + num_tokens], runs))
            row += num_tokens
        # Transform all rows alike, whichever sequence they belong to.
        pairs = zip(blocks, attended.split(len(blocks[0])), strict=True)
        return [self.transform(*pair) for pair in pairs]

    def attend(self, heads: Tensor, rows: Tensor, attended: Sequence[Tensor]) -> None:
        """Compute the attention of every token to all tokens of its sequence.

        Args:
            heads: Queries, keys and values, (3 * H, M, head width).
            rows: Columns of the tokens in `heads`, padded to one width, (B, L).
            attended: Output, written in place, by runs of sequences of equal length: (sequences,
                tokens of each, D).
        """
        chosen = heads.index_select(1, rows.flatten()).unflatten(1, rows.shape)
        query, key, value = chosen.unflatten(0, (3, -1)).flatten(1, 2)  # (H * B, L, head width)
        scores = query.new_empty(len(query), rows.shape[1], rows.shape[1])  # (H * B, L, L)
        scores = torch.baddbmm(scores, query, key.transpose(1, 2), beta=0, alpha=self.scaling)
        # Mask the padding of each run.
        counts = [len(run) for run in attended]
        by_run = scores.unflatten(0, (self.num_heads, -1)).split(counts, dim=1)
        for part, run in zip(by_run, attended, strict=True):  # (H, sequences, L, L)
            part[..., run.shape[1] :] = -torch.inf
        # Mix the values, and bring the heads of each token together again.
        mixed = torch.bmm(softmax(scores), value).unflatten(0, (self.num_heads, -1))
        for part, run in zip(mixed.split(counts, dim=1), attended, strict=True):
            by_token = part[:, :, : run.shape[1]].permute(1, 2, 0, 3)  # (.., H, head width)
            run.unflatten(2, (self.num_heads, -1)).copy_(by_token)

    def transform(self, rows: Tensor, attended: Tensor) -> Tensor:
        """Apply what follows attention in the layer: projection, residuals, feed-forward, norms.

        Args:
            rows: Input of the layer, (M, D).
            attended: Output of attention for these rows, (M, D).

        Returns:
            Output of the layer, (M, D).
        """
        middle = self.attention_norm(self.attention_output.add_to(rows, attended))
        widened = self.intermediate(middle, GELU)
        normed: Tensor = self.output_norm(self.output.add_to(middle, widened))
        return normed


def concatenate_rows(blocks: Sequence[Tensor]) -> Tensor:
    """Concatenate blocks of rows; a single block is not copied."""
    return blocks[0] if len(blocks) == 1 else torch.cat(list(blocks))


def softmax(scores: Tensor) -> Tensor:
    """Apply softmax along the last axis; in bf16 by oneDNN: as exact, in half the time."""
    if scores.dtype == torch.float32:
        return scores.softmax(dim=-1)
    return scores.to_mkldnn().softmax(dim=-1).to_dense()
