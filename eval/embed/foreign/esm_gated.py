"""Nucleotide Transformer v2: ESM with rotary positions and gated feed-forward layers.

The config names the model type `esm` (or none), but the weights do not fit the ESM of transformers:
the feed-forward layer is a SwiGLU, its first matrix twice as wide, mostly without biases. The
published code needs an older transformers. This port reads the published weight names and equals
the original on attended tokens. Guarded by tests/eval/embed/foreign/test_esm_gated.py.

Shapes: B = batch, L = tokens, D = model width, H = heads, F = feed-forward width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import EsmTokenizer
from transformers.modeling_outputs import BaseModelOutput

from barcodemae.errors import CheckpointError
from barcodemae.eval.embed.foreign.checkpoint import (
    OpenedSystem,
    load_encoder,
    open_tokenizer,
    require,
)


PREFIX = "esm."
# The checkpoints contain a table of learned positions, which is unused: positions are rotary.
UNUSED = (
    "lm_head.",
    "classifier.",
    "contact_head.",
    "pooler.",
    "embeddings.position_embeddings.",
    "embeddings.position_ids",
)
ROTARY_BASE = 10_000  # as in RoFormer (arXiv 2104.09864)
PUBLISHED = {"position_embedding_type": "rotary", "token_dropout": False}


@dataclass(frozen=True)
class EsmGatedConfig:
    """Sizes of a gated ESM, with the names of its `config.json`."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    add_bias_fnn: bool = True
    emb_layer_norm_before: bool = False
    layer_norm_eps: float = 1e-12
    hidden_dropout_prob: float = 0.0

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], source: Path) -> Self:
        """Read a published `config.json`.

        Raises:
            CheckpointError: A size is missing, or the model is of a kind that was never published.
        """
        for name, expected in PUBLISHED.items():
            if settings.get(name, expected) != expected:
                raise CheckpointError(
                    f"{source}: {name}={settings[name]!r} is not supported, only {expected!r}"
                )
        sizes = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
        names = (*sizes, "intermediate_size")
        optional = ("add_bias_fnn", "layer_norm_eps", "hidden_dropout_prob")
        given = {name: settings[name] for name in optional if name in settings}
        return cls(
            **dict(zip(names, require(settings, names, source), strict=True)),
            **given,
            emb_layer_norm_before=bool(settings.get("emb_layer_norm_before")),
        )


def recognises(settings: Mapping[str, Any], _: Path) -> bool:
    """Tell whether a `config.json` describes a gated ESM; a plain ESM has no `add_bias_fnn`."""
    return "add_bias_fnn" in settings and settings.get("model_type", "esm") == "esm"


class RotaryEmbedding(nn.Module):
    """Rotary position embedding of queries and keys; the frequencies are in the checkpoint."""

    inv_freq: Tensor

    def __init__(self, head_width: int) -> None:
        super().__init__()
        exponents = torch.arange(0, head_width, 2).float() / head_width
        self.register_buffer("inv_freq", 1.0 / ROTARY_BASE**exponents)

    def forward(self, vectors: Tensor) -> Tensor:
        """Rotate (B, H, L, D / H)."""
        positions = torch.arange(vectors.shape[-2], device=vectors.device).type_as(self.inv_freq)
        angles = torch.outer(positions, self.inv_freq).repeat(1, 2)  # (L, D / H)
        first, second = vectors.chunk(2, dim=-1)
        rotated = torch.cat((-second, first), dim=-1)
        cosines, sines = angles.cos().to(vectors.dtype), angles.sin().to(vectors.dtype)
        return vectors * cosines + rotated * sines


class EsmGatedSelfAttention(nn.Module):
    """Attention on rotated queries and keys."""

    def __init__(self, config: EsmGatedConfig) -> None:
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)
        self.rotary_embeddings = RotaryEmbedding(config.hidden_size // config.num_attention_heads)

    def split(self, vectors: Tensor) -> Tensor:
        """Split into heads, (B, L, D) to (B, H, L, D / H)."""
        heads = (self.num_heads, vectors.shape[-1] // self.num_heads)
        return vectors.view(*vectors.shape[:-1], *heads).transpose(1, 2)

    def forward(self, hidden_states: Tensor, is_token: Tensor | None) -> Tensor:
        """Attend, (B, L, D) to (B, L, D), to the tokens marked by `is_token`, (B, 1, 1, L)."""
        query = self.rotary_embeddings(self.split(self.query(hidden_states)))
        key = self.rotary_embeddings(self.split(self.key(hidden_states)))
        value = self.split(self.value(hidden_states))
        context = F.scaled_dot_product_attention(query, key, value, attn_mask=is_token)
        return context.transpose(1, 2).flatten(-2)


class Projection(nn.Module):
    """A linear layer, named `dense` in the checkpoint, followed by dropout."""

    def __init__(self, size_in: int, size_out: int, *, bias: bool, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(size_in, size_out, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, vectors: Tensor) -> Tensor:
        """Project (B, L, in) to (B, L, out)."""
        return self.dropout(self.dense(vectors))  # type: ignore[no-any-return]


class EsmGatedAttention(nn.Module):
    """Layer norm and self-attention with a residual connection around both."""

    def __init__(self, config: EsmGatedConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.self = EsmGatedSelfAttention(config)
        self.output = Projection(width, width, bias=True, dropout=config.hidden_dropout_prob)

    def forward(self, hidden_states: Tensor, is_token: Tensor | None) -> Tensor:
        """Apply attention, (B, L, D) to (B, L, D)."""
        context = self.self(self.LayerNorm(hidden_states), is_token)
        return self.output(context) + hidden_states  # type: ignore[no-any-return]


class EsmGatedLayer(nn.Module):
    """Attention, then a gated feed-forward layer, each with layer norm before it."""

    def __init__(self, config: EsmGatedConfig) -> None:
        super().__init__()
        width, inner, bias = config.hidden_size, config.intermediate_size, config.add_bias_fnn
        self.attention = EsmGatedAttention(config)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.intermediate = Projection(width, 2 * inner, bias=bias, dropout=0.0)
        self.output = Projection(inner, width, bias=bias, dropout=config.hidden_dropout_prob)

    def forward(self, hidden_states: Tensor, is_token: Tensor | None) -> Tensor:
        """Apply the layer, (B, L, D) to (B, L, D)."""
        attended = self.attention(hidden_states, is_token)
        gate, values = self.intermediate(self.LayerNorm(attended)).chunk(2, dim=-1)  # (B, L, F)
        return self.output(F.silu(gate) * values) + attended  # type: ignore[no-any-return]


class EsmGatedEncoder(nn.Module):
    """Stack of layers, followed by a layer norm."""

    def __init__(self, config: EsmGatedConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(EsmGatedLayer(config) for _ in range(config.num_hidden_layers))
        self.emb_layer_norm_after = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden_states: Tensor, is_token: Tensor | None) -> Tensor:
        """Apply all layers, (B, L, D) to (B, L, D)."""
        for layer in self.layer:
            hidden_states = layer(hidden_states, is_token)
        return self.emb_layer_norm_after(hidden_states)  # type: ignore[no-any-return]


class EsmGatedEmbeddings(nn.Module):
    """Token embeddings, followed by a layer norm if the config has one."""

    def __init__(self, config: EsmGatedConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layer_norm = (
            nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
            if config.emb_layer_norm_before
            else nn.Identity()
        )

    def forward(self, input_ids: Tensor) -> Tensor:
        """Embed token ids, (B, L) to (B, L, D)."""
        return self.layer_norm(self.word_embeddings(input_ids))  # type: ignore[no-any-return]


class EsmGatedModel(nn.Module):
    """Encoder of Nucleotide Transformer v2."""

    def __init__(self, config: EsmGatedConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = EsmGatedEmbeddings(config)
        self.encoder = EsmGatedEncoder(config)

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
            `last_hidden_state`, (B, L, D), undefined at padding.
        """
        is_token = None if attention_mask is None else attention_mask[:, None, None, :].bool()
        hidden_states = self.encoder(self.embeddings(input_ids), is_token)
        return BaseModelOutput(last_hidden_state=hidden_states)


def open_folder(settings: Mapping[str, Any], folder: Path) -> OpenedSystem:
    """Open a folder of Nucleotide Transformer v2.

    Raises:
        CheckpointError: A file is missing, damaged or unsafe, or the weights do not fit.
    """
    model = EsmGatedModel(EsmGatedConfig.from_settings(settings, folder))
    fingerprint = load_encoder(model, folder, prefix=PREFIX, unused=UNUSED)
    tokenizer = open_tokenizer(EsmTokenizer, folder, model.config.vocab_size)
    return OpenedSystem(tokenizer, model, fingerprint)
