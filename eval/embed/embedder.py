"""What embeds sequences: the interface, what it refuses, and how it batches.

In: sequences. Out: one vector each, or row -> reason for those that cannot be embedded. Models,
k-mer counts and published systems all have this interface. Guarded by
tests/eval/embed/test_loading.py.

Shapes: N = sequences, D = width of the model.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from barcodemae.errors import BarcodeMAEError
from barcodemae.eval.embed.screening import find_empty
from barcodemae.tokenization.tokenization_barcodemae import count_leading


class UnusableSequencesError(BarcodeMAEError):
    """Some sequences cannot be embedded.

    Attributes:
        reasons: Row -> what is wrong with that sequence.
    """

    def __init__(self, reasons: dict[int, str]) -> None:
        self.reasons = reasons
        shown = "; ".join(f"sequence {row}: {why}" for row, why in list(reasons.items())[:3])
        super().__init__(f"{len(reasons)} sequence(s) cannot be embedded: {shown}")


@runtime_checkable
class Embedder(Protocol):
    """Anything that turns sequences into vectors.

    Attributes:
        name: The model as the user gave it.
        fingerprint: First 16 hex digits of the SHA-256 of the weights, or e.g. `kmer:6`.
    """

    name: str
    fingerprint: str

    def embed(self, sequences: Sequence[str], *, progress: bool = False) -> NDArray[np.float32]:
        """Return one vector per sequence, (N, D), in input order."""


@runtime_checkable
class ScreeningEmbedder(Embedder, Protocol):
    """An embedder that can say beforehand which sequences it will refuse."""

    def find_invalid(self, sequences: Sequence[str]) -> dict[int, str]:
        """Return row -> reason for the sequences that cannot be embedded."""


def find_invalid(embedder: Embedder, sequences: Sequence[str]) -> dict[int, str]:
    """Return row -> reason for the sequences that `embedder` cannot embed."""
    if isinstance(embedder, ScreeningEmbedder):
        return embedder.find_invalid(sequences)
    return find_empty(sequences)


def split_leads(
    tokens: Sequence[Sequence[int]], tokenizer: Any
) -> tuple[list[list[int]], NDArray[np.int64]]:
    """Part rows of ids from the [UNK] that stand before a barcode's first k-mer in its frame.

    Returns:
        The rows without it, and how many tokens each had, (N,): 0 if the tokenizer has no frame.
    """
    leads = np.zeros(len(tokens), np.int64)
    if getattr(tokenizer, "frame", None) is not None:
        leads[:] = [count_leading(row, tokenizer.unk_token_id) for row in tokens]
    return [list(row[lead:]) for row, lead in zip(tokens, leads.tolist(), strict=True)], leads


def positions_after(leads: NDArray[np.int64], input_ids: Tensor) -> Tensor:
    """Positions of tokens whose row begins after its lead, (B,) and (B, L) to (B, L)."""
    first = torch.from_numpy(leads).to(input_ids.device)
    return first[:, None] + torch.arange(input_ids.shape[1], device=input_ids.device)


def equal_length_batches(
    lengths: Sequence[int] | NDArray[np.int64], batch_size: int
) -> list[NDArray[np.int64]]:
    """Group rows of equal length into batches, longest first.

    Args:
        lengths: Token count per row.
        batch_size: Most rows in a batch.

    Returns:
        Row numbers of each batch; every row is in exactly one.
    """
    counts = np.asarray(lengths)
    batches = []
    for length in np.unique(counts)[::-1]:
        rows = np.flatnonzero(counts == length)
        batches += [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    return batches
