"""Run a BERT encoder on a CPU as fast as its matrix products allow.

oneDNN keeps weights in the order its kernels read them, adds bias and residual and applies GELU
while a product is still in the cache; query, key and value are one product. Sequences of any length
stand one after the other in a piece that fits into the cache: only attention and the mean know
where one ends. The stock model, which transformers runs, is left as it is, and what this gives
equals its output within rounding.

oneDNN adds up in an order that depends on how many rows a product in bf16 has, and on the number of
threads; each new number of rows also costs it some milliseconds. So all products in bf16 have the
same number of rows, and threads take a piece each: a vector is the same, bit by bit, whatever else
is embedded with it.

In: a model from `AutoModel`, token ids without padding. Out: the mean of the last hidden states of
each sequence. Guarded by tests/eval/test_cpu_encoder.py, measured by benchmarks/embed.py.

Shapes: B = sequences of equal length, L = tokens of each, N = tokens of a piece and the rows that
fill up its last product, D = width, H = heads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from barcodemae import masked_mean


TOKENS_PER_PIECE = 2048  # at width 768 the widest tensor of a piece then takes 9 MB
# The rows of a piece are a multiple of this. Few, because a barcode alone pays for all of them. In
# bf16 no product has more: half as many take a sixth longer, and twice as many, widened for GELU,
# leave the second-level cache. In fp32 a product takes a whole piece, since its sums do not depend
# on the multiple.
ROW_STEP = {torch.float32: 128, torch.bfloat16: 256}
EXACT_GELU = "gelu"
# Arguments of torch.ops.mkldnn._linear_pointwise: what follows a product, and which kind of it.
NOTHING: tuple[Any, ...] = ("none", [], "")
GELU: tuple[Any, ...] = ("gelu", [], "none")


@dataclass(frozen=True)
class Piece:
    """Sequences one after the other, without padding.

    Attributes:
        input_ids: Of all tokens.
        position_ids: Of all tokens.
        groups: How many sequences of which length, in this order: (B, L) of each.
    """

    input_ids: Tensor
    position_ids: Tensor
    groups: list[tuple[int, int]]

    @classmethod
    def of(cls, tokens: Sequence[Sequence[int]], leads: NDArray[np.int64]) -> Self:
        """Lay sequences one after the other; those of equal length are best neighbours.

        Args:
            tokens: Ids of each sequence.
            leads: Positions before the first token of each.
        """
        places = [np.arange(lead, lead + len(row)) for row, lead in zip(tokens, leads, strict=True)]
        return cls(
            torch.tensor([token for row in tokens for token in row]),
            torch.from_numpy(np.concatenate(places)),
            [(len(list(same)), length) for length, same in groupby(map(len, tokens))],
        )

    @property
    def num_tokens(self) -> int:
        """Tokens of all sequences."""
        return len(self.input_ids)

    def split(self, rows: Tensor) -> list[Tensor]:
        """Part what there is of every token, (N, _), by groups: (B, L, _) of each."""
        counts = [count * length for count, length in self.groups]
        parts = rows[: self.num_tokens].split(counts)
        return [part.unflatten(0, group) for part, group in zip(parts, self.groups, strict=True)]


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

    def __call__(self, blocks: Sequence[Tensor], piece: Piece) -> list[Tensor]:
        """Rows (N, D) in, rows out, each by blocks: the rows of one product."""
        parts = join([self.projections(block) for block in blocks])  # (N, 3 * D)
        attended = parts.new_empty(len(parts), blocks[0].shape[1])  # (N, D)
        attended[piece.num_tokens :] = 0
        for taken, given in zip(piece.split(parts), piece.split(attended), strict=True):
            self.attend(taken, given)
        pairs = zip(blocks, attended.split(len(blocks[0])), strict=True)
        return [self.transform(*pair) for pair in pairs]

    def attend(self, parts: Tensor, attended: Tensor) -> None:
        """Attention of every token to all of its sequence, (B, L, 3 * D) into (B, L, D)."""
        parts = parts.unflatten(2, (3, self.num_heads, -1))  # (B, L, 3, H, head width)
        # Copied in this order first: a product copies a turned view of `parts` far more slowly.
        parts = parts.permute(2, 0, 3, 1, 4).contiguous().flatten(1, 2)
        query, key, value = parts  # (B * H, L, head width)
        scores = query.new_empty(len(query), query.shape[1], query.shape[1])  # (B * H, L, L)
        scores = torch.baddbmm(scores, query, key.transpose(1, 2), beta=0, alpha=self.scaling)
        mixed = torch.bmm(softmax(scores), value).unflatten(0, (-1, self.num_heads))
        attended.unflatten(2, (self.num_heads, -1)).copy_(mixed.transpose(1, 2))

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


class CpuEncoder:
    """A BERT encoder with packed weights.

    Args:
        bert: The stock encoder, in fp32 or bfloat16, on the CPU, in evaluation mode.
    """

    def __init__(self, bert: Any) -> None:
        embeddings = bert.embeddings
        word, kind = embeddings.word_embeddings.weight, embeddings.token_type_embeddings.weight
        self.words: Tensor = (word + kind[0]).detach()  # every token is of the first type
        self.positions: Tensor = embeddings.position_embeddings.weight.detach()
        self.norm: nn.LayerNorm = embeddings.LayerNorm
        self.layers = [PackedLayer(layer) for layer in bert.encoder.layer]
        self.row_step = ROW_STEP[self.words.dtype]

    def share_out(self, lengths: NDArray[np.int64], most: int) -> list[NDArray[np.int64]]:
        """Share sequences out among pieces, longest first.

        Args:
            lengths: Token count of each.
            most: Sequences in a piece.

        Returns:
            Which sequences are in each piece; every one is in exactly one. A piece ends where the
            fewest rows are spare.
        """
        order = np.argsort(-lengths, kind="stable")
        pieces = []
        while len(order):
            tokens = np.cumsum(lengths[order[:most]])  # of pieces that end with each
            fits = max(int((tokens <= TOKENS_PER_PIECE).sum()), 1)
            share_used = tokens / (-(-tokens // self.row_step) * self.row_step)
            least = fits // 2
            best = least + 1 + int(share_used[least:fits].argmax())
            count = fits if fits == len(order) else best
            pieces.append(order[:count])
            order = order[count:]
        return pieces

    def __call__(self, piece: Piece) -> list[Tensor]:
        """Give the last hidden states of a piece's sequences, (B, L, D) for every group."""
        rows = self.embed(piece)  # (N, D)
        is_exact = rows.dtype == torch.float32
        blocks: Sequence[Tensor] = [rows] if is_exact else rows.split(self.row_step)
        for layer in self.layers:
            blocks = layer(blocks, piece)
        return piece.split(join(blocks))

    def mean(self, piece: Piece) -> Tensor:
        """Mean of the last hidden states of each sequence, in fp32, (sequences, D)."""
        return torch.cat([masked_mean(states.float()) for states in self(piece)])

    def embed(self, piece: Piece) -> Tensor:
        """What the first layer reads of every token, (N, D)."""
        spare = (0, -piece.num_tokens % self.row_step)
        words = F.embedding(F.pad(piece.input_ids, spare), self.words)  # (N, D)
        positions = F.embedding(F.pad(piece.position_ids, spare), self.positions)  # (N, D)
        embedded: Tensor = self.norm(words.add_(positions))
        return embedded


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
