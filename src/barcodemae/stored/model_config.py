"""A model folder, checked before memory is spent on it: its config is sane and its weights fit.

In: a folder with a `config.json` of any origin. Out: nothing, or one line that says what is wrong:
a number that is text, missing, negative or absurd, or a model far larger than the weights beside
it. Guarded by tests/barcodemae/stored/test_model_config.py.
"""

from pathlib import Path
from typing import Any

from barcodemae.errors import CheckpointError, DataError
from barcodemae.stored.json_objects import check_number, read_object
from barcodemae.stored.weights import stored_tensors


CONFIG = "config.json"
# Numbers of a config by their names in transformers, with the range that any encoder stays in.
WHOLE = {
    "k": (1, 16),
    "vocab_size": (1, 1 << 24),
    "hidden_size": (1, 1 << 16),
    "tower_size": (1, 1 << 16),
    "num_sites": (0, 1 << 16),
    "intermediate_size": (1, 1 << 18),
    "num_hidden_layers": (1, 512),
    "num_attention_heads": (1, 1024),
    "max_position_embeddings": (1, 1 << 24),
    "decoder_hidden_size": (1, 1 << 16),
    "decoder_intermediate_size": (1, 1 << 18),
    "decoder_num_hidden_layers": (0, 512),
    "decoder_num_attention_heads": (1, 1024),
    "num_taxa": (0, 1 << 24),
}
RATIONAL = {
    "hidden_dropout_prob": (0, 1),
    "attention_probs_dropout_prob": (0, 1),
    "classifier_dropout": (0, 1),
    "layer_norm_eps": (0, 1),
    "norm_eps": (0, 1),
    "initializer_range": (0, 100),
    "barcode_loss_weight": (0, 1e9),
    "taxon_loss_weight": (0, 1e9),
}
OURS, STOCK = "barcodemae", ("bert", "modernbert")
WITH_DECODER = ("PreTraining", "MaskedLM")  # in the names of such classes
NUM_BASES = 4
SLACK = 1.5  # how many times larger than its weights a model may be described
SLACK_PARAMETERS = 1_000_000


def check_model_folder(folder: Path) -> None:
    """Check the config of a model folder, and that its weights can be those of such a model.

    A folder without a config or without safetensors is left to those who open it.

    Raises:
        CheckpointError: The config or the header of the weights is damaged or contradicts the
            other.
    """
    if not (folder / CONFIG).is_file():
        return
    try:
        config = read_object(folder / CONFIG)
        check_numbers(folder / CONFIG, config)
    except DataError as error:
        raise CheckpointError(str(error)) from error
    stored = stored_tensors(folder)
    described = num_parameters(config)
    held = sum(tensor.size for tensor in stored.values())
    if stored and described > SLACK * held + SLACK_PARAMETERS:
        raise CheckpointError(
            f"{folder / CONFIG}: describes a model of {described:,} weights, but the files beside "
            f"it hold {held:,}"
        )


def check_numbers(path: Path, config: dict[str, Any]) -> None:
    """Check type and range of every number that a config is known to have.

    Raises:
        DataError: One is wrong.
    """
    for ranges, whole in ((WHOLE, True), (RATIONAL, False)):
        for name, (least, most) in ranges.items():
            if config.get(name) is not None:
                check_number(path, name, config[name], least, most, whole=whole)
    kind = config.get("model_type")
    if kind is not None and not isinstance(kind, str):
        raise DataError(path, "model_type must be text")
    if kind == OURS or kind in STOCK:
        for prefix in ("", "decoder_"):
            name = width_name(config, prefix)
            width = config.get(name)
            heads = config.get(f"{prefix}num_attention_heads")
            if width is not None and heads is not None and width % heads:
                raise DataError(
                    path,
                    f"{name} {width} is not a multiple of {prefix}num_attention_heads {heads}",
                )


def width_name(config: dict[str, Any], prefix: str) -> str:
    """Return the name of the entry that holds the width of a tower's layers."""
    has_own = not prefix and config.get("tower_size") is not None
    return "tower_size" if has_own else f"{prefix}hidden_size"


def num_parameters(config: dict[str, Any]) -> int:
    """Estimate from below how many weights a model has; 0 for an architecture not known here."""
    if config.get("model_type") != OURS and config.get("model_type") not in STOCK:
        return 0
    total = layer_weights(config)
    total += (config.get("vocab_size") or 0) * (config.get(width_name(config, "")) or 0)
    total += NUM_BASES * (config.get("num_sites") or 0) * (config.get("hidden_size") or 0)
    names = config.get("architectures")
    classes = " ".join(map(str, names)) if isinstance(names, list) else ""
    if any(part in classes for part in WITH_DECODER):
        total += layer_weights(config, "decoder_")
    return total


def layer_weights(config: dict[str, Any], prefix: str = "") -> int:
    """Count the weights in the products of the layers of encoder or decoder.

    Args:
        config: Content of `config.json`; what it does not say counts as nothing.
        prefix: Start of the names of its entries, `decoder_` for the decoder.
    """
    width = config.get(width_name(config, prefix)) or 0
    layers = config.get(f"{prefix}num_hidden_layers") or 0
    inner = config.get(f"{prefix}intermediate_size") or 0
    return int(layers * (4 * width * width + 2 * width * inner))
