"""A BERT encoder that runs on a CPU as fast as its matrix products allow.

What depends only on a token and its position is computed once for all sequences that contain it.
Sequences of any length are then packed one after the other into pieces (`token_pieces.py`), which
pass through layers with packed weights (`packed_layers.py`). The stock transformers model is left
unchanged; the output equals its output within rounding.

The order in which oneDNN sums depends on the number of rows of a bf16 product and on the number of
threads; it also takes some milliseconds for each new number of rows. So all bf16 products have the
same number of rows, attention has few shapes, which depend on the length of a sequence alone, and
each piece is processed by one thread: a vector is the same, bit by bit, whatever else is embedded
with it.

In: a model from `AutoModel`, token ids without padding. Out: the mean of the last hidden states of
each sequence. Guarded by tests/eval/embed/cpu/test_encoder.py, measured by benchmarks/embed.py.

Shapes: B = sequences of equal length, L = tokens of each, N = rows of a piece: its tokens, then
padding, U = distinct tokens, D = encoder width, H = heads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from barcodemae import masked_mean
from barcodemae.eval.embed.cpu.output_parts import OutputParts
from barcodemae.eval.embed.cpu.packed_layers import PackedLayer, concatenate_rows
from barcodemae.eval.embed.cpu.token_pieces import (
    TOKENS_PER_PIECE,
    Piece,
    runs_of,
    share_out,
    split_runs,
)
from barcodemae.eval.embed.number_format import onednn_takes_bfloat16


# The number of rows of a piece is a multiple of this; a small one, because a single barcode costs
# as much as that many rows. In bf16 it is the size of every product: half as many rows take a sixth
# longer, and twice as many, at the width of the GELU, no longer fit into the second-level cache. In
# fp32 a product takes a whole piece, since its sums do not depend on the number of rows.
ROW_STEP = {torch.float32: 128, torch.bfloat16: 256}
EXACT_GELU = "gelu"


@dataclass(frozen=True)
class DistinctTokens:
    """Input of the first layer, and its projections, for every distinct token at a position.

    Barcodes in a common frame share most k-mers at a site: of the tokens of 256 barcodes one in ten
    is distinct, so this part of the network costs a tenth.

    Attributes:
        embedded: Input embeddings of the distinct tokens, (U, D).
        heads: Their queries, keys and values in the first layer, (3 * H, U, head width).
        letters: Sums over their letters, (U, width of an embedding); None without site embeddings.
    """

    embedded: Tensor
    heads: Tensor
    letters: Tensor | None


class CpuEncoder:
    """A BERT encoder with packed weights.

    Args:
        bert: Stock encoder in fp32 or bfloat16, on the CPU, in evaluation mode.
        parts: What the model adds to the mean of its states.
    """

    def __init__(self, bert: Any, parts: OutputParts | None = None) -> None:
        self.parts = parts or OutputParts()
        embeddings = bert.embeddings
        word, kind = embeddings.word_embeddings.weight, embeddings.token_type_embeddings.weight
        self.token_table: Tensor = (word + kind[0]).detach()  # every token is of the first type
        self.position_table: Tensor = embeddings.position_embeddings.weight.detach()
        self.norm: nn.LayerNorm = embeddings.LayerNorm
        self.layers = [PackedLayer(layer) for layer in bert.encoder.layer]
        self.row_step = ROW_STEP[self.token_table.dtype]

    def __call__(self, distinct: DistinctTokens, piece: Piece) -> list[Tensor]:
        """Compute the last hidden states of the sequences of a piece.

        Args:
            distinct: Distinct tokens of all sequences.
            piece: Sequences to encode.

        Returns:
            Hidden states of each run of sequences of equal length, (B, L, D).
        """
        blocks = self.into_blocks(distinct.embedded.index_select(0, piece.token_rows))  # (N, D)
        # The first layer reads the heads of the distinct tokens, every other one its own.
        heads, rows_in_heads = distinct.heads, piece.token_rows
        for number, layer in enumerate(self.layers):
            if number > 0:
                heads = layer.project(blocks)  # (3 * H, N, head width)
                rows_in_heads = torch.arange(len(piece.token_rows))
            batches = [(rows_in_heads[batch.rows], batch.runs) for batch in piece.batches]
            blocks = layer(blocks, heads, batches)
        states = concatenate_rows(blocks)[: sum(piece.lengths)]  # (tokens of the piece, D)
        return split_runs(states, runs_of(piece.lengths))

    def into_blocks(self, rows: Tensor) -> Sequence[Tensor]:
        """Split rows (N, D) into the blocks that one product takes."""
        size = TOKENS_PER_PIECE if rows.dtype == torch.float32 else self.row_step
        blocks: Sequence[Tensor] = rows.split(size)
        return blocks

    def mean(
        self, tokens: Sequence[Sequence[int]], leads: NDArray[np.int64], max_sequences: int
    ) -> Tensor:
        """Compute the mean of the last hidden states of each sequence, in fp32.

        Args:
            tokens: Token ids of each sequence, at least one, B lists.
            leads: Position of the first token of each sequence, (B,).
            max_sequences: Largest number of sequences in a piece.

        Returns:
            Means, (B, width of an embedding).
        """
        # Embed the distinct tokens of all sequences.
        lengths = np.array([len(row) for row in tokens], np.int64)  # (B,)
        ids = np.fromiter(chain.from_iterable(tokens), np.int64, lengths.sum())
        positions = [np.arange(lead, lead + num) for lead, num in zip(leads, lengths, strict=True)]
        distinct, rows = self.embed_distinct(ids, np.concatenate(positions))
        rows_of_sequence = rows.split(lengths.tolist())
        # Encode them piece by piece.
        means = torch.empty(len(tokens), distinct.embedded.shape[1])  # (B, D)
        for chosen in share_out(lengths, max_sequences, self.row_step):
            piece = Piece.of([rows_of_sequence[row] for row in chosen], self.row_step)
            runs = self(distinct, piece)
            means[chosen] = torch.cat([masked_mean(states.float()) for states in runs])
        # Add what is linear, on the means.
        return self.parts.finish(
            means, distinct.letters, rows, torch.from_numpy(lengths), ROW_STEP[torch.float32]
        )

    def embed_distinct(
        self, ids: NDArray[np.int64], positions: NDArray[np.int64]
    ) -> tuple[DistinctTokens, Tensor]:
        """Embed and project every distinct token at a position once.

        Args:
            ids: Ids of tokens, (M,).
            positions: Positions of these tokens, (M,).

        Returns:
            The distinct tokens, and the row of each token among them, (M,).
        """
        # Number the pairs of id and position.
        num_positions = int(positions.max()) + 1
        pairs, rows = np.unique(ids * num_positions + positions, return_inverse=True)
        pairs = np.pad(pairs, (0, -len(pairs) % self.row_step))  # (U,)
        token, place = map(torch.from_numpy, divmod(pairs, num_positions))
        embedded = self.norm(
            F.embedding(token, self.token_table) + F.embedding(place, self.position_table)
        )  # (U, D)
        heads = self.layers[0].project(self.into_blocks(embedded)).contiguous()
        letters = self.parts.embed_distinct(token, place)
        return DistinctTokens(embedded, heads, letters), torch.from_numpy(rows)


def find_bert(model: Any) -> Any | None:
    """Return the stock BERT encoder that a model is or contains, None if there is none."""
    if model.config.model_type == "bert":
        return model
    inner: Any = getattr(model, "encoder", None)
    is_ours = model.config.model_type == "barcodemae" and inner is not None
    return inner if is_ours and inner.config.model_type == "bert" else None


def can_pack(bert: Any) -> bool:
    """Whether `CpuEncoder` supports this encoder on this machine."""
    parameter = next(bert.parameters())
    is_supported = parameter.dtype == torch.float32 or (
        parameter.dtype == torch.bfloat16 and onednn_takes_bfloat16()
    )
    return bool(
        parameter.device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and is_supported
        and bert.config.hidden_act == EXACT_GELU
        and not bert.config.is_decoder
    )


def pack(model: Any) -> CpuEncoder | None:
    """Pack the encoder of a model; None if it is not supported, here or at all."""
    bert = find_bert(model)
    if bert is None or not can_pack(bert):
        return None
    with torch.inference_mode():
        return CpuEncoder(bert, OutputParts.of(model))
