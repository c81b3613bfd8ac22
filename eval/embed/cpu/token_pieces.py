"""Packing of sequences for the CPU encoder: one after the other, in pieces that fit into the cache.

Products take the rows of a piece whatever sequence they belong to; only attention needs to know
where a sequence ends. A run is a number of consecutive sequences of equal length.
In: token counts. Out: the sequences of each piece, and the batches in which their attention is
computed. Guarded by tests/eval/embed/cpu/test_token_pieces.py.

Shapes: B = sequences, L = tokens of each, padded to one width, N = rows of a piece: its tokens,
then padding.
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
LENGTH_STEP = 16  # for attention, sequences are padded to a multiple of this many tokens


def share_out(
    lengths: NDArray[np.int64], max_sequences: int, row_step: int
) -> list[NDArray[np.int64]]:
    """Distribute sequences over pieces, longest first, so that little padding is needed.

    Args:
        lengths: Number of tokens of each sequence, (S,).
        max_sequences: Largest number of sequences in a piece.
        row_step: Number that the rows of a piece must be a multiple of.

    Returns:
        Indices of the sequences of each piece; every sequence is in exactly one.
    """
    order = np.argsort(-lengths, kind="stable")
    pieces = []
    while len(order):
        # Of the pieces that are at least half full, take the one with the least padding.
        tokens = np.cumsum(lengths[order[:max_sequences]])  # if the piece ends with each sequence
        fits = max(int((tokens <= TOKENS_PER_PIECE).sum()), 1)
        share_used = tokens / (-(-tokens // row_step) * row_step)
        half = fits // 2
        best = half + 1 + int(share_used[half:fits].argmax())
        count = fits if fits == len(order) else best
        pieces.append(order[:count])
        order = order[count:]
    return pieces


@dataclass(frozen=True)
class AttentionBatch:
    """Consecutive sequences of a piece whose attention is computed together.

    Attributes:
        rows: Rows of their tokens in the piece, (B, L), padded with any row; B is a power of two.
        runs: Number of sequences and number of tokens of each, for every run.
    """

    rows: Tensor
    runs: list[tuple[int, int]]

    @classmethod
    def all_of(cls, lengths: Sequence[int]) -> list[Self]:
        """Group consecutive sequences of similar length into batches of few shapes.

        The fewer the better, because oneDNN compiles code for each shape.

        Args:
            lengths: Number of tokens of each sequence.
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
    """Return the number of sequences and the number of tokens of each, for every run."""
    return [(len(list(same)), length) for length, same in groupby(lengths)]


def split_runs(rows: Tensor, runs: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Split the rows of tokens by runs, (tokens, ...) to (sequences, tokens of each, ...)."""
    parts = rows.split([count * length for count, length in runs])
    return [part.unflatten(0, run) for part, run in zip(parts, runs, strict=True)]


@dataclass(frozen=True)
class Piece:
    """Sequences packed one after the other, without padding between them.

    Attributes:
        token_rows: Row of every token among the distinct tokens, then padding, (N,).
        lengths: Number of tokens of each sequence; equal lengths should be consecutive.
        batches: Batches of the same sequences for attention.
    """

    token_rows: Tensor
    lengths: list[int]
    batches: list[AttentionBatch]

    @classmethod
    def of(cls, token_rows: Sequence[Tensor], row_step: int) -> Self:
        """Pack sequences.

        Args:
            token_rows: For each sequence the row of each token among the distinct tokens.
            row_step: Number that the rows of the piece must be a multiple of.
        """
        lengths = [len(row) for row in token_rows]
        rows = F.pad(torch.cat(list(token_rows)), (0, -sum(lengths) % row_step))  # (N,)
        return cls(rows, lengths, AttentionBatch.all_of(lengths))
