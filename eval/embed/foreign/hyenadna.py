"""HyenaDNA: long convolutions instead of attention, one token per base.

Each layer multiplies two projections of its input around a convolution as long as the sequence,
whose filter is the output of a small network of the position (arXiv 2302.10866, 2306.15794). The
published `-hf` code needs an older transformers; this port reads its weight names. The model is
causal, so padding at the end cannot reach a token and there is no attention mask. (BarcodeBERT's
authors pad at the beginning, where it can; here nothing is padded.) Guarded by
tests/eval/embed/foreign/test_hyenadna.py.

Shapes: B = batch, L = tokens, D = width, E = width of position features, M = longest input.
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


PREFIXES = ("hyena.backbone.", "backbone.")  # inside a model with a head, and alone
UNUSED = ("lm_head.", "score.")
TOKENS = ("[CLS]", "[SEP]", "[BOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]", *"ACGTN")
MAX_LENGTH_BP = 660  # read by BarcodeBERT's authors' comparison
ORDER = 2  # all published models; other orders have more convolutions per layer
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
            CheckpointError: A size is absent, or the order of the recurrence is not 2.
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
    """Say whether a `config.json` is HyenaDNA's."""
    return settings.get("model_type") == "hyenadna"


def spread_frequencies(weights: Mapping[str, Tensor], config: HyenaConfig) -> dict[str, Tensor]:
    """Give every sine of a filter its frequencies.

    They are one shared tensor, which safetensors files hold only once.
    """
    spread = dict(weights)
    for layer in range(config.num_hidden_layers):
        stem = f"layers.{layer}.mixer.filter_fn.implicit_filter"
        names = [f"{stem}.{2 * index + 1}.freq" for index in range(config.num_filter_layers + 1)]
        stored = [weights[name] for name in names if name in weights]
        spread |= {name: stored[0] for name in names if stored}
    return spread


def build_tokenizer(max_tokens: int) -> PreTrainedTokenizerFast:
    """Build the tokenizer: one token per base, the published ids."""
    numbered = {token: index for index, token in enumerate(TOKENS)}
    backend = Tokenizer(models.WordLevel(numbered, unk_token="[UNK]"))
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
    """Convolve (B, D, L) with (D, L) by Fourier transforms, keeping the first L values."""
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
    """What the filter network knows of a position; all of it is in the checkpoint."""

    t: Tensor

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__()
        self.z = nn.Parameter(torch.zeros(1, config.max_tokens, config.position_size))
        self.register_buffer("t", torch.zeros(1, config.max_tokens, 1))


class DecayingWindow(nn.Module):
    """Exponential decay with the distance, one rate per channel."""

    deltas: Tensor

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__()
        self.register_buffer("deltas", torch.zeros(1, 1, config.hidden_size))

    def forward(self, time: Tensor) -> Tensor:
        """Return the window, (1, L, 1) to (1, L, D)."""
        return torch.exp(-time * self.deltas.abs()) + WINDOW_FLOOR


class HyenaFilter(nn.Module):
    """The network that makes a long filter, and the weight of the identity beside it.

    It computes in float32 whatever the rest does: Fourier transforms know no bfloat16, and a
    sine of rounded angles would be another filter.
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
    """Three projections, a short and a long convolution, two products."""

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
    """Two linear layers with the tanh form of GELU between them."""

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Return (B, L, D)."""
        return self.fc2(F.gelu(self.fc1(hidden_states), approximate="tanh"))  # type: ignore[no-any-return]


class HyenaLayer(nn.Module):
    """The operator, then the feed-forward layer; both normalise before."""

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size)
        self.mixer = HyenaOperator(config)
        self.norm2 = nn.LayerNorm(config.hidden_size)
        self.mlp = HyenaFeedForward(config)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Return (B, L, D)."""
        mixed = self.mixer(self.norm1(hidden_states)) + hidden_states
        return self.mlp(self.norm2(mixed)) + mixed  # type: ignore[no-any-return]


class HyenaEmbeddings(nn.Module):
    """Token embeddings, under the published name."""

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Embed ids (B, L), (B, L, D)."""
        return self.word_embeddings(input_ids)  # type: ignore[no-any-return]


class HyenaModel(nn.Module):
    """The HyenaDNA backbone."""

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = HyenaEmbeddings(config)
        self.dropout = nn.Dropout(config.embed_dropout)
        self.layers = nn.ModuleList(HyenaLayer(config) for _ in range(config.num_hidden_layers))
        self.ln_f = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.ln_f.weight.device

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> BaseModelOutput:
        """Encode tokens.

        Args:
            input_ids: Token ids, padded at the end if at all, (B, L).
            attention_mask: Accepted and not needed: no token sees what comes after it.

        Returns:
            `last_hidden_state`, (B, L, D); at padding it means nothing.
        """
        hidden_states = self.dropout(self.embeddings(input_ids))  # (B, L, D)
        for layer in self.layers:
            hidden_states = layer(hidden_states)
        return BaseModelOutput(last_hidden_state=self.ln_f(hidden_states))


def open_folder(settings: Mapping[str, Any], folder: Path) -> OpenedSystem:
    """Open a folder of HyenaDNA.

    Raises:
        CheckpointError: Something is absent, damaged, unsafe or does not fit.
    """
    model = HyenaModel(HyenaConfig.from_settings(settings, folder))
    everything = read_weights(folder)
    inside = any(name.startswith(PREFIXES[0]) for name in everything)
    weights = select(everything, PREFIXES[0] if inside else PREFIXES[1])
    fingerprint = fill(
        model, spread_frequencies(weights, model.config), unused=UNUSED, source=folder
    )
    max_tokens = min(MAX_LENGTH_BP, model.config.max_tokens)
    tokenizer = build_tokenizer(max_tokens)
    return OpenedSystem(tokenizer, model, fingerprint, max_tokens, architecture="causal")
