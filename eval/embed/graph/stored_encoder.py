"""A BERT encoder and its tokenizer as plain arrays, read from a model folder without torch.

In: a folder that `barcodemae export` wrote, full or of the native encoder. Out: weights in float32,
k, the frame and the readout: all that an ONNX graph of it holds.
Guarded by tests/eval/embed/graph/test_stored_encoder.py.

Shapes: D = encoder width, F = width of the feed-forward layer, T = number of tokens, P = positions.
"""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barcodemae.errors import CheckpointError, DataError
from barcodemae.eval.embed.readout import Dense, Readout, load_readout
from barcodemae.model_files import hash_weights, read_frame
from barcodemae.stored.json_objects import read_object
from barcodemae.stored.weights import read_tensors


Floats = NDArray[np.float32]
KINDS = ("bert", "barcodemae")
EXACT_GELU = "gelu"
SIZES = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
)
NUM_BASES = 4
NUM_SPECIAL = 2  # tokens before the k-mers: [MASK] 0 and [UNK] 1, as published
WORDS = "embeddings.word_embeddings.weight"


@dataclass(frozen=True)
class Linear:
    """A linear layer, y = x W + b.

    Attributes:
        weight: Weight W, (in, out).
        bias: Bias b, (out,).
    """

    weight: Floats
    bias: Floats


@dataclass(frozen=True)
class Norm:
    """Scale and shift of a layer normalisation, (D,) each."""

    scale: Floats
    shift: Floats


@dataclass(frozen=True)
class StoredLayer:
    """A layer of the encoder.

    Attributes:
        projections: Queries, keys and values as one layer, (D, 3 * D); the scale of the attention
            is in the queries.
        attended: Projection of what was attended to, (D, D).
        attended_norm: Normalisation after it.
        widened: First half of the feed-forward layer, (D, F).
        narrowed: Its second half, (F, D).
        output_norm: Normalisation after it.
    """

    projections: Linear
    attended: Linear
    attended_norm: Norm
    widened: Linear
    narrowed: Linear
    output_norm: Norm


@dataclass(frozen=True)
class StoredEncoder:
    """An encoder with everything around it.

    Attributes:
        name: Name of the model as the user gave it.
        fingerprint: First 16 hex digits of the SHA-256 of weights, frame and readout.
        architecture: `encoder-decoder` or `encoder-only`, as it was trained.
        k: Length of a k-mer, bp.
        max_tokens: Largest number of tokens; the rest of a sequence is not read.
        frame: Rows of the barcode frame; empty without one.
        num_heads: Number of attention heads.
        epsilon: Constant of the layer normalisations.
        tokens: Embedding of each token, (T, D).
        positions: Embedding of each position, that of the token type added, (P, D).
        input_norm: Normalisation of the input.
        layers: Layers in order.
        widening: Linear layer from the layers' width to that of an embedding; None without one.
        sites: Vector of each base at each site, added to the tokens of its letters, (S * 4, width
            of an embedding); None without them.
        readout: Steps after the mean.
    """

    name: str
    fingerprint: str
    architecture: str
    k: int
    max_tokens: int
    frame: list[str]
    num_heads: int
    epsilon: float
    tokens: Floats
    positions: Floats
    input_norm: Norm
    layers: list[StoredLayer]
    widening: Linear | None
    sites: Floats | None
    readout: Readout

    @property
    def width(self) -> int:
        """Width of the encoder's layers, D."""
        return int(self.tokens.shape[1])

    @property
    def embedding_width(self) -> int:
        """Width of the embedding, after the readout."""
        dense = [step for step in self.readout.steps if isinstance(step, Dense)]
        if dense:
            return len(dense[-1].bias)
        return self.width if self.widening is None else len(self.widening.bias)


def read_encoder(folder: Path, name: str) -> StoredEncoder:
    """Read an encoder from a model folder.

    Args:
        folder: Model folder.
        name: Name of the model as the user gave it, for messages.

    Raises:
        CheckpointError: It is not a BERT encoder with a k-mer tokenizer, or is damaged.
    """
    try:
        config = read_object(folder / "config.json")
        tokenizer = read_object(folder / "tokenizer_config.json")
    except DataError as error:
        raise CheckpointError(str(error)) from error
    if not is_graph_model(config, tokenizer):
        kind, activation = config.get("model_type"), config.get("hidden_act", EXACT_GELU)
        raise CheckpointError(
            f"{name}: a graph can be made of BERT encoders with the k-mer tokenizer and all sizes "
            f"in their config only, and this is {kind} with {activation}; use --engine torch"
        )
    k = tokenizer["k"]
    if config.get("k", k) != k:
        raise CheckpointError(
            f"{name}: its config is for k-mers of {config['k']}, its tokenizer makes those of {k}"
        )
    tensors = {
        key: value
        for path in sorted(folder.glob("*.safetensors"))
        for key, value in read_tensors(path).items()
    }
    weights = Weights(folder, tensors, rows=4 ** int(k) + NUM_SPECIAL)
    wide = int(config["hidden_size"])
    width, inner = int(config.get("tower_size") or wide), int(config["intermediate_size"])
    num_positions, num_heads = (
        int(config[name]) for name in ("max_position_embeddings", "num_attention_heads")
    )
    num_sites = int(config.get("num_sites") or 0)
    kinds = weights["embeddings.token_type_embeddings.weight", None, width]
    places = weights["embeddings.position_embeddings.weight", num_positions, width]
    return StoredEncoder(
        name=name,
        fingerprint=hash_weights(folder),
        architecture=architecture_of(config),
        k=int(k),
        max_tokens=min(int(tokenizer.get("model_max_length", num_positions)), num_positions),
        frame=read_frame(folder),
        num_heads=num_heads,
        epsilon=float(config.get("layer_norm_eps", 1e-12)),
        tokens=weights[WORDS, None, width],
        positions=places + kinds[:1],
        input_norm=weights.norm("embeddings.LayerNorm", width),
        layers=[
            weights.layer(f"encoder.layer.{number}.", width, inner, width // num_heads)
            for number in range(int(config["num_hidden_layers"]))
        ],
        widening=weights.outside.linear("widening", width, wide)
        if config.get("tower_size")
        else None,
        sites=weights.outside["sites.weight", NUM_BASES * num_sites, wide] if num_sites else None,
        readout=load_readout(folder),
    )


def is_graph_model(config: dict[str, Any], tokenizer: dict[str, Any]) -> bool:
    """Whether a graph can be made of a model: a BERT encoder of known sizes with k-mers as tokens.

    Args:
        config: Content of `config.json`.
        tokenizer: Content of `tokenizer_config.json`.
    """
    activation = config.get("hidden_act", EXACT_GELU)
    is_known = config.get("model_type") in KINDS and activation == EXACT_GELU
    sizes = [*(config.get(name) for name in SIZES), config.get("tower_size") or 0]
    return is_known and "k" in tokenizer and all(isinstance(size, int) for size in sizes)


def architecture_of(config: dict[str, Any]) -> str:
    """Return the architecture that a model was trained as, by its config."""
    trained_with = config.get("barcodemae") or {}
    layers = "decoder_num_hidden_layers"
    return "encoder-decoder" if config.get(layers) or trained_with.get(layers) else "encoder-only"


class Weights:
    """The encoder's weights by their names in BERT, wherever in the file they are.

    Args:
        folder: Folder they come from, for messages.
        tensors: All tensors of the folder.
        rows: Number of tokens, by which the encoder's table is known from others.

    Raises:
        CheckpointError: There is no table of tokens, or a weight is NaN or infinite.
    """

    def __init__(self, folder: Path, tensors: dict[str, Floats], *, rows: int) -> None:
        self.folder, self.tensors = folder, tensors
        names = [name for name in tensors if name.endswith(WORDS) and len(tensors[name]) == rows]
        if not names:
            raise CheckpointError(
                f"{folder}: its tokenizer makes {rows} tokens, and no table of its weights has as "
                "many rows"
            )
        self.prefix = names[0].removesuffix(WORDS)

    @property
    def outside(self) -> "Weights":
        """The weights beside the encoder's, of the model around it."""
        around = copy.copy(self)
        around.prefix = self.prefix.removesuffix("encoder.")
        return around

    def __getitem__(self, wanted: tuple[str, *tuple[int | None, ...]]) -> Floats:
        """Return a weight by its name and its shape, in which None is any number.

        Raises:
            CheckpointError: It is missing, of another shape, or is NaN or infinite.
        """
        name, *shape = wanted
        full = self.prefix + name
        if full not in self.tensors:
            raise CheckpointError(f"{self.folder}: weight {full} is not in its files")
        found = self.tensors[full]
        if found.ndim != len(shape) or any(
            wish not in (None, size) for size, wish in zip(found.shape, shape, strict=True)
        ):
            raise CheckpointError(
                f"{self.folder}: cannot be opened as a model: weight {full} is of shape "
                f"{found.shape}, and the config wants {tuple(shape)}"
            )
        if not np.isfinite(found).all():
            raise CheckpointError(f"{self.folder}: weight {full} holds NaN or infinite values")
        return found

    def norm(self, name: str, width: int) -> Norm:
        """Return a layer normalisation."""
        return Norm(self[f"{name}.weight", width], self[f"{name}.bias", width])

    def linear(self, name: str, width: int, out: int) -> Linear:
        """Return a linear layer from a width to another."""
        weight = np.ascontiguousarray(self[f"{name}.weight", out, width].T)
        return Linear(weight, self[f"{name}.bias", out])

    def layer(self, prefix: str, width: int, inner: int, head_width: int) -> StoredLayer:
        """Return a layer of the encoder.

        Args:
            prefix: Start of the names of its weights.
            width: Width of the layers, D.
            inner: Width of the feed-forward layer, F.
            head_width: Width of an attention head.
        """
        attention = f"{prefix}attention."
        query, key, value = (
            self.linear(f"{attention}self.{part}", width, width)
            for part in ("query", "key", "value")
        )
        scale = np.float32(head_width**-0.5)
        return StoredLayer(
            projections=Linear(
                np.concatenate([query.weight * scale, key.weight, value.weight], axis=1),
                np.concatenate([query.bias * scale, key.bias, value.bias]),
            ),
            attended=self.linear(f"{attention}output.dense", width, width),
            attended_norm=self.norm(f"{attention}output.LayerNorm", width),
            widened=self.linear(f"{prefix}intermediate.dense", width, inner),
            narrowed=self.linear(f"{prefix}output.dense", inner, width),
            output_norm=self.norm(f"{prefix}output.LayerNorm", width),
        )
