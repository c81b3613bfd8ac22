"""DNABERT-2 and DNABERT-S: BERT with linear position biases and gated feed-forward layers.

Both are MosaicBERT ("a bidirectional encoder optimized for fast pretraining", arXiv 2312.17482)
trained on DNA: ALiBi (arXiv 2108.12409, symmetric form) in place of position embeddings, and a GLU.
The published code needs triton and an older transformers; without it, AutoModel opens the weights
as a plain BERT, silently without ALiBi. This port reads the published weight names, computes in
plain PyTorch, and equals the original on attended tokens; as there, the output is zero at padding.
Guarded by tests/eval/embed/foreign/test_mosaicbert.py.

Shapes: B = batch, L = tokens, D = model width, H = heads, F = feed-forward width.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast
from transformers.modeling_outputs import BaseModelOutput

from barcodemae.eval.embed.foreign.checkpoint import (
    OpenedSystem,
    load_encoder,
    open_tokenizer,
    require,
)


PREFIX = "bert."
UNUSED = ("cls.", "pooler.", "classifier.", "embeddings.position_ids", "embeddings.token_type_ids")


@dataclass(frozen=True)
class MosaicBertConfig:
    """Sizes of a MosaicBERT, with the names of its `config.json`."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    hidden_dropout_prob: float = 0.1

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], source: Path) -> Self:
        """Read a published `config.json`; the output does not depend on its other settings.

        Raises:
            CheckpointError: A size is missing.
        """
        sizes = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
        names = (*sizes, "intermediate_size")
        optional = ("type_vocab_size", "layer_norm_eps", "hidden_dropout_prob")
        given = {name: settings[name] for name in optional if name in settings}
        return cls(**dict(zip(names, require(settings, names, source), strict=True)), **given)


def recognises(settings: Mapping[str, Any], _: Path) -> bool:
    """Tell whether a `config.json` describes a MosaicBERT.

    Newer revisions of DNABERT-2 have no `model_type`; in older ones it is "bert".
    """
    code = settings.get("auto_map", {}).get("AutoModel", "")
    return "alibi_starting_size" in settings or str(code).endswith("bert_layers.BertModel")


def alibi_slopes(num_heads: int) -> list[float]:
    """Return the slopes of the ALiBi biases (arXiv 2108.12409, section 3), H.

    For a power of two n, they are the geometric sequence that starts at 2^(-8/n) with that ratio.
    Other numbers of heads take the slopes of the next lower power of two, then every second one of
    the next higher power.
    """
    lower = 2 ** math.floor(math.log2(num_heads))
    slopes = [2 ** (-8 * (head + 1) / lower) for head in range(lower)]
    if lower == num_heads:
        return slopes
    return slopes + alibi_slopes(2 * lower)[0::2][: num_heads - lower]


def alibi_bias(num_heads: int, num_tokens: int, device: torch.device) -> Tensor:
    """Return the attention biases -slope * |i - j|, (1, H, L, L)."""
    positions = torch.arange(num_tokens, device=device)
    distance = (positions[None, :] - positions[:, None]).abs()  # (L, L)
    slopes = torch.tensor(alibi_slopes(num_heads), device=device)  # (H,)
    return -(slopes[:, None, None] * distance).unsqueeze(0)  # (1, H, L, L)


class MosaicBertEmbeddings(nn.Module):
    """Token and segment embeddings with layer norm; there are no position embeddings."""

    def __init__(self, config: MosaicBertConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Embed token ids as segment 0, (B, L) to (B, L, D)."""
        embedded = self.word_embeddings(input_ids) + self.token_type_embeddings.weight[0]
        return self.dropout(self.LayerNorm(embedded))  # type: ignore[no-any-return]


class MosaicBertSelfAttention(nn.Module):
    """Attention with one projection for queries, keys and values, in that order."""

    def __init__(self, config: MosaicBertConfig) -> None:
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.Wqkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)

    def forward(self, hidden_states: Tensor, bias: Tensor) -> Tensor:
        """Attend, (B, L, D) to (B, L, D); `bias` is added to the scores, (B or 1, H, L, L)."""
        batch, num_tokens, width = hidden_states.shape
        shape = (batch, num_tokens, 3, self.num_heads, width // self.num_heads)
        query, key, value = self.Wqkv(hidden_states).view(shape).permute(2, 0, 3, 1, 4)
        context = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return context.transpose(1, 2).reshape(batch, num_tokens, width)


class MosaicBertAttentionOutput(nn.Module):
    """Projection after attention, followed by the residual connection and a layer norm."""

    def __init__(self, config: MosaicBertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, context: Tensor, residual: Tensor) -> Tensor:
        """Apply the projection, (B, L, D) to (B, L, D)."""
        projected = self.dropout(self.dense(context))
        return self.LayerNorm(projected + residual)  # type: ignore[no-any-return]


class MosaicBertAttention(nn.Module):
    """Self-attention and its output projection, with the published names."""

    def __init__(self, config: MosaicBertConfig) -> None:
        super().__init__()
        self.self = MosaicBertSelfAttention(config)
        self.output = MosaicBertAttentionOutput(config)

    def forward(self, hidden_states: Tensor, bias: Tensor) -> Tensor:
        """Apply attention, (B, L, D) to (B, L, D)."""
        return self.output(self.self(hidden_states, bias), hidden_states)  # type: ignore[no-any-return]


class MosaicBertFeedForward(nn.Module):
    """Gated linear unit: GELU of the first half times the second half, projected back to D."""

    def __init__(self, config: MosaicBertConfig) -> None:
        super().__init__()
        self.gated_layers = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.wo = nn.Linear(config.intermediate_size, config.hidden_size)
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Apply the layer, (B, L, D) to (B, L, D)."""
        gate, values = self.gated_layers(hidden_states).chunk(2, dim=-1)  # (B, L, F) each
        projected = self.wo(self.dropout(F.gelu(gate) * values))  # (B, L, D)
        return self.layernorm(projected + hidden_states)  # type: ignore[no-any-return]


class MosaicBertLayer(nn.Module):
    """Attention, then a gated feed-forward layer, each with layer norm after its residual."""

    def __init__(self, config: MosaicBertConfig) -> None:
        super().__init__()
        self.attention = MosaicBertAttention(config)
        self.mlp = MosaicBertFeedForward(config)

    def forward(self, hidden_states: Tensor, bias: Tensor) -> Tensor:
        """Apply the layer, (B, L, D) to (B, L, D)."""
        return self.mlp(self.attention(hidden_states, bias))  # type: ignore[no-any-return]


class MosaicBertEncoder(nn.Module):
    """Stack of layers."""

    def __init__(self, config: MosaicBertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(MosaicBertLayer(config) for _ in range(config.num_hidden_layers))

    def forward(self, hidden_states: Tensor, bias: Tensor) -> Tensor:
        """Apply all layers, (B, L, D) to (B, L, D)."""
        for layer in self.layer:
            hidden_states = layer(hidden_states, bias)
        return hidden_states


class MosaicBertModel(nn.Module):
    """Encoder of DNABERT-2 and DNABERT-S."""

    def __init__(self, config: MosaicBertConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = MosaicBertEmbeddings(config)
        self.encoder = MosaicBertEncoder(config)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.embeddings.word_embeddings.weight.device

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> BaseModelOutput:
        """Encode tokens.

        Args:
            input_ids: Token ids, (B, L).
            attention_mask: 1 for tokens, 0 for padding, (B, L); None means no padding.

        Returns:
            `last_hidden_state`, (B, L, D), zero at padding.
        """
        hidden_states = self.embeddings(input_ids)  # (B, L, D)
        bias = alibi_bias(self.config.num_attention_heads, input_ids.shape[1], input_ids.device)
        bias = bias.to(hidden_states.dtype)
        if attention_mask is not None:
            is_padding = attention_mask[:, None, None, :] == 0  # (B, 1, 1, L)
            bias = bias.masked_fill(is_padding, float("-inf"))  # (B, H, L, L)
        hidden_states = self.encoder(hidden_states, bias)
        if attention_mask is not None:
            hidden_states = hidden_states * attention_mask.unsqueeze(-1)
        return BaseModelOutput(last_hidden_state=hidden_states)


def open_folder(settings: Mapping[str, Any], folder: Path) -> OpenedSystem:
    """Open a folder of DNABERT-2 or DNABERT-S.

    Raises:
        CheckpointError: A file is missing, damaged or unsafe, or the weights do not fit.
    """
    model = MosaicBertModel(MosaicBertConfig.from_settings(settings, folder))
    fingerprint = load_encoder(model, folder, prefix=PREFIX, unused=UNUSED)
    tokenizer = open_tokenizer(PreTrainedTokenizerFast, folder, model.config.vocab_size)
    return OpenedSystem(tokenizer, model, fingerprint)
