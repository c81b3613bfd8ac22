"""Run a BERT encoder on a CPU as fast as its matrix products allow.

What depends on a token and its position alone is computed once for all sequences that hold it.
Sequences of any length then stand one after the other in pieces (`token_pieces.py`) that pass
through packed layers (`packed_layers.py`). The stock model, which transformers runs, is left as it
is, and what this gives equals its output within rounding.

oneDNN adds up in an order that depends on how many rows a product in bf16 has, and on the number of
threads; each new number of rows also costs it some milliseconds. So all products in bf16 have the
same number of rows, attention has few shapes, chosen by the length of a sequence, and a share of
the sequences is worked on by one thread: a vector is the same, bit by bit, whatever else is
embedded with it.

In: a model from `AutoModel`, token ids without padding. Out: the mean of the last hidden states of
each sequence. Guarded by tests/eval/embed/cpu/test_encoder.py, measured by benchmarks/embed.py.

Shapes: B = sequences of equal length, L = tokens of each, N = tokens of a piece and the rows that
fill up its last product, U = distinct tokens, D = width, H = heads.
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
from barcodemae.eval.embed.cpu.packed_layers import PackedLayer, join
from barcodemae.eval.embed.cpu.token_pieces import (
    TOKENS_PER_PIECE,
    Piece,
    runs_of,
    share_out,
    split_runs,
)
from barcodemae.eval.embed.number_format import onednn_takes_bfloat16


# The rows of a piece are a multiple of this. Few, because a barcode alone pays for all of them. In
# bf16 no product has more: half as many take a sixth longer, and twice as many, widened for GELU,
# leave the second-level cache. In fp32 a product takes a whole piece, since its sums do not depend
# on the multiple.
ROW_STEP = {torch.float32: 128, torch.bfloat16: 256}
EXACT_GELU = "gelu"


@dataclass(frozen=True)
class Words:
    """What the first layer makes of every distinct token at a distinct position.

    Barcodes in a common frame have most k-mers in common at a site: of the tokens of 256 barcodes
    one in ten is distinct, so this part of the network costs a tenth.

    Attributes:
        embedded: What the layer reads, (U, D).
        heads: Its query, key and value by head, (3 * H, U, head width).
    """

    embedded: Tensor
    heads: Tensor


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

    def __call__(self, words: Words, piece: Piece) -> list[Tensor]:
        """Give the last hidden states of a piece's sequences, (B, L, D) of each run."""
        blocks = self.blocks_of(words.embedded.index_select(0, piece.words))  # (N, D)
        heads, in_heads = words.heads, piece.words
        for number, layer in enumerate(self.layers):
            if number > 0:
                heads, in_heads = layer.heads_of(blocks), torch.arange(len(piece.words))
            batches = [(in_heads[batch.rows], batch.runs) for batch in piece.batches]
            blocks = layer(blocks, heads, batches)
        states = join(blocks)[: sum(piece.lengths)]
        return split_runs(states, runs_of(piece.lengths))

    def blocks_of(self, rows: Tensor) -> Sequence[Tensor]:
        """Part rows (N, D) by the products that they go into."""
        most = TOKENS_PER_PIECE if rows.dtype == torch.float32 else self.row_step
        blocks: Sequence[Tensor] = rows.split(most)
        return blocks

    def mean(self, tokens: Sequence[Sequence[int]], leads: NDArray[np.int64], most: int) -> Tensor:
        """Mean of the last hidden states of each sequence, in fp32, (B, D).

        Args:
            tokens: Ids of each sequence, at least one.
            leads: Positions before the first token of each, (B,).
            most: Sequences in a piece.
        """
        lengths = np.array([len(row) for row in tokens], np.int64)
        ids = np.fromiter(chain.from_iterable(tokens), np.int64, lengths.sum())
        places = [np.arange(lead, lead + num) for lead, num in zip(leads, lengths, strict=True)]
        words, rows = self.read(ids, np.concatenate(places))
        of_sequence = rows.split(lengths.tolist())
        means = torch.empty(len(tokens), words.embedded.shape[1])
        for chosen in share_out(lengths, most, self.row_step):
            piece = Piece.of([of_sequence[row] for row in chosen], self.row_step)
            runs = self(words, piece)
            means[chosen] = torch.cat([masked_mean(states.float()) for states in runs])
        return means

    def read(self, ids: NDArray[np.int64], positions: NDArray[np.int64]) -> tuple[Words, Tensor]:
        """Embed and project distinct tokens; also tell the row among them of each token.

        Args:
            ids: Of tokens.
            positions: Of the same.
        """
        num_positions = int(positions.max()) + 1
        pairs, rows = np.unique(ids * num_positions + positions, return_inverse=True)
        pairs = np.pad(pairs, (0, -len(pairs) % self.row_step))
        which, where = map(torch.from_numpy, divmod(pairs, num_positions))
        embedded = self.norm(F.embedding(which, self.words) + F.embedding(where, self.positions))
        heads = self.layers[0].heads_of(self.blocks_of(embedded)).contiguous()
        return Words(embedded, heads), torch.from_numpy(rows)


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
    """Pack the encoder of a model, or return None where that would gain or fit nothing."""
    bert = bert_inside(model)
    if bert is None or not can_pack(bert):
        return None
    with torch.inference_mode():
        return CpuEncoder(bert)
