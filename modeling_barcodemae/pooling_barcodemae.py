"""The mean over the tokens of a barcode, which is *the* embedding of this project.

Models and pipelines take it from here. This file goes to the Hub verbatim: it imports only torch
and transformers.

In: hidden states and an attention mask. Out: one vector per barcode; or an error if a barcode has
no token to average. Guarded by tests/modeling_barcodemae/test_modeling_properties.py and
tests/matrix/test_checks.py.

Shapes: B = batch, L = tokens, D = encoder width.
"""

from typing import Any

import torch
from torch import Tensor
from transformers.utils import logging


logger: Any = logging.get_logger("transformers.barcodemae")


def masked_mean(hidden_states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
    """Average token vectors into one vector per barcode: *the* embedding of this project.

    Args:
        hidden_states: Last hidden state of an encoder, (B, L, D).
        attention_mask: 1 for tokens, 0 for padding, (B, L); None means no padding.

    Returns:
        Mean of the attended tokens, (B, D), in the dtype of `hidden_states`.
    """
    if attention_mask is None:
        return hidden_states.mean(dim=1)
    weights = attention_mask.unsqueeze(-1).to(torch.float32)  # (B, L, 1)
    total = (hidden_states.to(torch.float32) * weights).sum(dim=1)  # (B, D)
    return (total / weights.sum(dim=1)).to(hidden_states.dtype)


def refuse_empty_rows(attention_mask: Tensor | None) -> None:
    """Refuse a batch with a row that has no token to read; within a compiled graph do nothing.

    Args:
        attention_mask: 1 for tokens, 0 for padding, (B, L); None means no padding.

    Raises:
        ValueError: Some rows have no attended token; names them.
    """
    if attention_mask is None or is_traced():
        return
    has_token = attention_mask.bool().any(dim=-1)  # (B,)
    if not bool(has_token.all()):
        rows = (~has_token).nonzero().flatten().tolist()
        raise ValueError(
            f"rows {', '.join(map(str, rows[:5]))} of the batch have no attended token: nothing of "
            "these barcodes can be read (too short, no A, C, G, T, or all of it hidden)"
        )


def warn_of_padding(
    input_ids: Tensor, attention_mask: Tensor | None, pad_token_id: int | None
) -> None:
    """Warn once if what may be padding is averaged too, since there is no attention mask.

    Args:
        input_ids: Token ids, (B, L).
        attention_mask: 1 for tokens, 0 for padding, (B, L); None means no padding.
        pad_token_id: Id of padding, which is that of [UNK]; None if there is none.
    """
    if attention_mask is not None or pad_token_id is None or is_traced():
        return
    if bool((input_ids[:, [0, -1]] == pad_token_id).any()):
        logger.warning_once(
            "input_ids begin or end with [UNK], and there is no attention_mask: pass the "
            "tokenizer's, or padding and k-mers that a sequence lacks count like its own."
        )


def is_traced() -> bool:
    """Whether torch is recording a graph, in which a value cannot decide what is done."""
    return torch.compiler.is_compiling() or bool(torch.jit.is_tracing())  # type: ignore[attr-defined]


__all__ = ["is_traced", "masked_mean", "refuse_empty_rows", "warn_of_padding"]
