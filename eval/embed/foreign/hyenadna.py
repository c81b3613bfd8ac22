"""HyenaDNA: long convolutions instead of attention, one token per base.

Each layer multiplies projections of its input before and after a convolution as long as the
sequence, whose filter is computed from the position by a small network (arXiv 2302.10866,
2306.15794). The published `-hf` code needs an older transformers; this port reads its weight names.
The model is causal, so padding at the end cannot affect a token and there is no attention mask.
(BarcodeBERT's authors pad at the beginning, where it can; here there is no padding.)
Guarded by tests/eval/embed/foreign/test_hyenadna.py.

Shapes: B = batch, L = tokens, D = model width, E = width of position features, M = longest input.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast
from transformers.modeling_outputs import BaseModelOutput

from barcodemae.errors import CheckpointError
from barcodemae.eval.embed.foreign.checkpoint import (
    OpenedSystem,
    fill,
    read_weights,
    require,
    select,
)


PREFIXES = ("hyena.backbone.", "backbone.")  # in a model with a head, and in the backbone alone
UNUSED = ("lm_head.", "score.")
TOKENS = ("[CLS]", "[SEP]", "[BOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]", *"ACGTN")
MAX_LENGTH_BP = 660  # as in the comparison by BarcodeBERT's authors
ORDER = 2  # of all published models; higher orders have more convolutions per layer
WINDOW_FLOOR = 0.05  # added to the decaying window of the filter
SIZES = {
    "vocab_size": "vocab_size",
    "d_model": "hidden_size",
    "d_inner": "intermediate_size",
    "n_layer": "num_hidden_layers",
    "emb_dim": "position_size",
    "filter_order": "filter_size",
    "num_inner_mlps": "num_filter_layers",
    "short_filter_order": "short_filter_length",
    "max_seq_len": "max_tokens",
}


@dataclass(frozen=True)
class HyenaConfig:
    """Sizes of a HyenaDNA; `SIZES` gives their names in its `config.json`."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    position_size: int
    filter_size: int
    num_filter_layers: int
    short_filter_length: int
    max_tokens: int
    layer_norm_epsilon: float = 1e-5
    embed_dropout: float = 0.1

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], source: Path) -> Self:
        """Read a published `config.json`.

        Raises:
            CheckpointError: A size is missing, or the order of the recurrence is not 2.
        """
        if settings.get("hyena_order", ORDER) != ORDER:
            raise CheckpointError(
                f"{source}: hyena_order={settings['hyena_order']} is not supported, only {ORDER}"
            )
        values = require(settings, SIZES, source)
        given = dict(zip(SIZES.values(), values, strict=True))
        multiple = settings.get("pad_vocab_size_multiple", 8)
        given["vocab_size"] = -(-given["vocab_size"] // multiple) * multiple
        optional = ("layer_norm_epsilon", "embed_dropout")
        return cls(**given, **{name: settings[name] for name in optional if name in settings})


def recognises(settings: Mapping[str, Any], _: Path) -> bool:
    """Tell whether a `config.json` describes a HyenaDNA."""
    return settings.get("model_type") == "hyenadna"


def share_frequencies(weights: Mapping[str, Tensor], config: HyenaConfig) -> dict[str, Tensor]:
    """Give every sine of a filter its frequencies, which safetensors files store only once.

    All sines of a filter share one tensor.
    """
    completed = dict(weights)
    for layer in range(config.num_hidden_layers):
        stem = f"layers.{layer}.mixer.filter_fn.implicit_filter"
        names = [f"{stem}.{2 * index + 1}.freq" for index in range(config.num_filter_layers + 1)]
        stored = [weights[name] for name in names if name in weights]
        completed |= {name: stored[0] for name in names if stored}
    return completed


def build_tokenizer(max_tokens: int) -> PreTrainedTokenizerFast:
    """Build the tokenizer: one token per base, with the published ids."""
    ids = {token: index for index, token in enumerate(TOKENS)}
    backend = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        cls_token="[CLS]",
        sep_token="[SEP]",
        bos_token="[BOS]",
        mask_token="[MASK]",
        pad_token="[PAD]",
        unk_token="[UNK]",
        model_max_length=max_tokens,
    )


def causal_convolution(signal: Tensor, kernel: Tensor) -> Tensor:
    """Convolve (B, D, L) with (D, L) by Fourier transforms, and keep the first L values."""
    length = signal.shape[-1]
    product = torch.fft.rfft(signal, n=2 * length) * torch.fft.rfft(kernel, n=2 * length)
    convolved: Tensor = torch.fft.irfft(product, n=2 * length)
    return convolved[..., :length]


class Sine(nn.Module):
    """Sine with learned frequencies."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.freq = nn.Parameter(torch.ones(1, width))

    def forward(self, vectors: Tensor) -> Tensor:
        """Return sin(frequency * x)."""
        return torch.sin(self.freq * vectors)


class PositionFeatures(nn.Module):
    """Position features, the input of the filter network; they are in the checkpoint."""

    t: Tensor

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__()
        self.z = nn.Parameter(torch.zeros(1, config.max_tokens, config.position_size))
        self.register_buffer("t", torch.zeros(1, config.max_tokens, 1))


class DecayingWindow(nn.Module):
    """Window that decays exponentially with the distance, at one rate per channel."""

    deltas: Tensor

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__()
        self.register_buffer("deltas", torch.zeros(1, 1, config.hidden_size))

    def forward(self, time: Tensor) -> Tensor:
        """Return the window, (1, L, 1) to (1, L, D)."""
        return torch.exp(-time * self.deltas.abs()) + WINDOW_FLOOR


class HyenaFilter(nn.Module):
    """Long convolution whose filter a network computes, plus a weighted copy of the input.

    It computes in float32 whatever the rest does: Fourier transforms do not support bfloat16, and
    rounded angles of the sines would give another filter.
    """

    keeps_float32 = True

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__()
        width, sine = config.filter_size, Sine(config.filter_size)
        inner = [nn.Linear(width, width) for _ in range(config.num_filter_layers)]
        self.bias = nn.Parameter(torch.zeros(config.hidden_size))
        self.pos_emb = PositionFeatures(config)
        self.implicit_filter = nn.Sequential(nn.Linear(config.position_size, width), sine)
        for layer in inner:
            self.implicit_filter.extend([layer, sine])
        self.implicit_filter.append(nn.Linear(width, config.hidden_size, bias=False))
        self.modulation = DecayingWindow(config)

    def forward(self, signal: Tensor) -> Tensor:
        """Filter (B, D, L) to (B, D, L)."""
        length = signal.shape[-1]
        window = self.modulation(self.pos_emb.t[:, :length])  # (1, L, D)
        kernel = self.implicit_filter(self.pos_emb.z[:, :length]) * window  # (1, L, D)
        exact = signal.float()
        filtered = causal_convolution(exact, kernel[0].T) + exact * self.bias.unsqueeze(-1)
        return filtered.to(signal.dtype)


class HyenaOperator(nn.Module):
    """Hyena operator of order 2: three projections, a short and a long convolution, two gates."""

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__()
        inner = (ORDER + 1) * config.hidden_size
        self.in_proj = nn.Linear(config.hidden_size, inner)
        self.short_filter = nn.Conv1d(
            inner,
            inner,
            config.short_filter_length,
            padding=config.short_filter_length - 1,
            groups=inner,
        )
        self.filter_fn = HyenaFilter(config)
        self.out_proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Mix along the sequence, (B, L, D) to (B, L, D)."""
        length = hidden_states.shape[1]
        projected = self.in_proj(hidden_states).transpose(1, 2)  # (B, 3 D, L)
        outer, inner, values = self.short_filter(projected)[..., :length].chunk(3, dim=1)
        mixed = outer * self.filter_fn(inner * values)  # (B, D, L)
        return self.out_proj(mixed.transpose(1, 2))  # type: ignore[no-any-return]


class HyenaFeedForward(nn.Module):
    """Two linear layers with the tanh approximation of GELU between them."""

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Apply the layer, (B, L, D) to (B, L, D)."""
        return self.fc2(F.gelu(self.fc1(hidden_states), approximate="tanh"))  # type: ignore[no-any-return]


class HyenaLayer(nn.Module):
    """Hyena operator, then a feed-forward layer, each with layer norm before it."""

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size)
        self.mixer = HyenaOperator(config)
        self.norm2 = nn.LayerNorm(config.hidden_size)
        self.mlp = HyenaFeedForward(config)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Apply the layer, (B, L, D) to (B, L, D)."""
        mixed = self.mixer(self.norm1(hidden_states)) + hidden_states
        return self.mlp(self.norm2(mixed)) + mixed  # type: ignore[no-any-return]


class HyenaEmbeddings(nn.Module):
    """Token embeddings, with the published name."""

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Embed token ids, (B, L) to (B, L, D)."""
        return self.word_embeddings(input_ids)  # type: ignore[no-any-return]


class HyenaModel(nn.Module):
    """Backbone of HyenaDNA."""

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = HyenaEmbeddings(config)
        self.dropout = nn.Dropout(config.embed_dropout)
        self.layers = nn.ModuleList(HyenaLayer(config) for _ in range(config.num_hidden_layers))
        self.ln_f = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.ln_f.weight.device

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> BaseModelOutput:
        """Encode tokens.

        Args:
            input_ids: Token ids, padded at the end if at all, (B, L).
            attention_mask: Ignored; the model is causal, so padding at the end has no effect.

        Returns:
            `last_hidden_state`, (B, L, D), undefined at padding.
        """
        hidden_states = self.dropout(self.embeddings(input_ids))  # (B, L, D)
        for layer in self.layers:
            hidden_states = layer(hidden_states)
        return BaseModelOutput(last_hidden_state=self.ln_f(hidden_states))


def open_folder(settings: Mapping[str, Any], folder: Path) -> OpenedSystem:
    """Open a folder of HyenaDNA.

    Raises:
        CheckpointError: A file is missing, damaged or unsafe, or the weights do not fit.
    """
    model = HyenaModel(HyenaConfig.from_settings(settings, folder))
    all_weights = read_weights(folder)
    has_head = any(name.startswith(PREFIXES[0]) for name in all_weights)
    weights = select(all_weights, PREFIXES[0] if has_head else PREFIXES[1])
    fingerprint = fill(
        model, share_frequencies(weights, model.config), unused=UNUSED, source=folder
    )
    max_tokens = min(MAX_LENGTH_BP, model.config.max_tokens)
    tokenizer = build_tokenizer(max_tokens)
    return OpenedSystem(tokenizer, model, fingerprint, max_tokens, architecture="causal")
