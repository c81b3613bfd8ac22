"""How sequences are laid out for the packed encoder: one after the other, in pieces.

A piece fits into the cache. Products take its rows as they come, only attention knows where a
sequence ends. In: token counts. Out: which sequences are in which piece, and how their attention is
batched. Guarded by tests/eval/embed/cpu/test_token_pieces.py.

Shapes: B = sequences, L = tokens of each, filled up to one width, N = tokens of a piece and the
rows that fill up its last product.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F


TOKENS_PER_PIECE = 2048  # at width 768 the widest tensor of a piece then takes 9 MB
LENGTH_STEP = 16  # attention of a sequence is computed as if it had a multiple of this many tokens


def share_out(lengths: NDArray[np.int64], most: int, row_step: int) -> list[NDArray[np.int64]]:
    """Share sequences out among pieces, longest first.

    Args:
        lengths: Token count of each.
        most: Sequences in a piece.
        row_step: What the number of rows is a multiple of.

    Returns:
        Which sequences are in each piece; every one is in exactly one. A piece ends where the
        fewest rows are spare.
    """
    order = np.argsort(-lengths, kind="stable")
    pieces = []
    while len(order):
        tokens = np.cumsum(lengths[order[:most]])  # of pieces that end with each
        fits = max(int((tokens <= TOKENS_PER_PIECE).sum()), 1)
        share_used = tokens / (-(-tokens // row_step) * row_step)
        least = fits // 2
        best = least + 1 + int(share_used[least:fits].argmax())
        count = fits if fits == len(order) else best
        pieces.append(order[:count])
        order = order[count:]
    return pieces


@dataclass(frozen=True)
class AttentionBatch:
    """Neighbours in a piece whose attention is computed together.

    Attributes:
        rows: Of their tokens in the piece, filled up with any row, (B, L); B is a power of two.
        runs: How many of them, one after the other, have how many tokens.
    """

    rows: Tensor
    runs: list[tuple[int, int]]

    @classmethod
    def all_of(cls, lengths: Sequence[int]) -> list[Self]:
        """Batch neighbours of nearly equal length, in few shapes: oneDNN keeps code for each.

        Args:
            lengths: Tokens of each sequence.
        """
        batches, row = [], 0
        for width, same in groupby(lengths, lambda length: -(-length // LENGTH_STEP) * LENGTH_STEP):
            left = list(same)
            while left:
                chosen = left[: 1 << (len(left).bit_length() - 1)]
                starts = row + np.cumsum([0, *chosen[:-1]])  # (B,)
                rows = starts[:, None] + np.minimum(np.arange(width), np.array(chosen)[:, None] - 1)
                batches.append(cls(torch.from_numpy(rows), runs_of(chosen)))
                left, row = left[len(chosen) :], row + sum(chosen)
        return batches


def runs_of(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Count neighbours of equal length: how many of which."""
    return [(len(list(same)), length) for length, same in groupby(lengths)]


def split_runs(rows: Tensor, runs: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Part what there is of every token, (_, ...), by runs: (B, L, ...) of each."""
    parts = rows.split([count * length for count, length in runs])
    return [part.unflatten(0, run) for part, run in zip(parts, runs, strict=True)]


@dataclass(frozen=True)
class Piece:
    """Sequences one after the other, without padding.

    Attributes:
        words: Row among the `Words` of every token, and of those that fill up the last product,
            (N,).
        lengths: Tokens of each sequence; those of equal length are best neighbours.
        batches: The sequences again, as attention takes them.
    """

    words: Tensor
    lengths: list[int]
    batches: list[AttentionBatch]

    @classmethod
    def of(cls, words: Sequence[Tensor], row_step: int) -> Self:
        """Lay sequences one after the other.

        Args:
            words: Row among the `Words` of each token of each sequence.
            row_step: What the number of rows is a multiple of.
        """
        lengths = [len(row) for row in words]
        rows = F.pad(torch.cat(list(words)), (0, -sum(lengths) % row_step))
        return cls(rows, lengths, AttentionBatch.all_of(lengths))
