"""Conversion of checkpoints of the original BarcodeMAE and BarcodeBERT code.

In: a `.pt` file, see `barcodemae.training.export.original_checkpoint`. Out: the full folder and the
native encoder of `barcodemae.training.export.folders`. Sizes are inferred from the weights and must
agree with the stored `BertConfig` and the stored command line.
Guarded by tests/training/export/test_convert.py.
"""

from pathlib import Path
from typing import Any, cast

from barcodemae.errors import CheckpointError
from barcodemae.kmer_facts import MAX_K, MIN_K
from barcodemae.modeling_barcodemae import (
    BarcodeMAEConfig,
    BarcodeMAEForPreTraining,
    BarcodeMAEModel,
    BarcodeMAEPreTrainedModel,
)
from barcodemae.tokenization import BarcodeKmerTokenizer
from barcodemae.training.export.folders import export
from barcodemae.training.export.original_checkpoint import Original, read_original


NUM_SPECIAL_TOKENS = 2  # the original's special_tokens: [MASK], [UNK]
# Settings of BertConfig that affect the computation but not the shapes of the weights.
COPIED_SETTINGS = (
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "initializer_range",
    "layer_norm_eps",
)
# The original's names of three ways to hide tokens; only `baseline` shows [MASK] to the encoder.
ENCODER_SEES_MASK = {"maelm_v1": False, "maelm_v2": False, "baseline": True}


def convert(
    path: Path | str, directory: Path | str, *, force: bool = False
) -> BarcodeMAEPreTrainedModel:
    """Convert an original checkpoint into a full folder and a native encoder.

    Args:
        path: The `.pt` file.
        directory: Folder to write to, see `barcodemae.training.export.folders.export`.
        force: Whether to write into a folder that has files but no BarcodeMAE model, too.

    Returns:
        The model that was written: `BarcodeMAEModel` for BarcodeMAE, whose decoder the original
        code never stored, and `BarcodeMAEForPreTraining` for BarcodeBERT.

    Raises:
        CheckpointError: The file is missing, damaged, unsafe, of another layout, or contradicts
            itself; the message names both sides of a contradiction.
    """
    original = read_original(Path(path))
    model = build_model(original)
    tokenizer = BarcodeKmerTokenizer(
        k=model.config.k, max_length_bp=original.settings.get("max_len") or 660
    )
    export(model, tokenizer, directory, force=force)
    return model


def build_model(original: Original) -> BarcodeMAEPreTrainedModel:
    """Build a model of this package with the original weights.

    Raises:
        CheckpointError: The weights do not fit any model of this package.
    """
    try:
        config = BarcodeMAEConfig(**infer_fields(original))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{original.path}: {error}") from error
    model: BarcodeMAEPreTrainedModel
    try:
        if original.has_head:
            model = BarcodeMAEForPreTraining(config)
            model.head.load_state_dict(original.head)
        else:
            model = BarcodeMAEModel(config)
        encoder = cast("BarcodeMAEModel", model.base_model).encoder
        encoder.load_state_dict(original.encoder)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{original.path}: the weights do not fit BERT: {reason}") from error
    model.eval()
    return model


def infer_fields(original: Original) -> dict[str, Any]:
    """Infer the fields of `BarcodeMAEConfig`.

    Raises:
        CheckpointError: Weights, stored `BertConfig` and stored command line disagree.
    """
    sizes = infer_sizes(original)
    k = infer_k(original, sizes.pop("vocab_size"))
    check_tokenization(original, k)
    check_head(original, k)
    heads = original.bert_config.get("num_attention_heads")
    require_agreement(
        original,
        "attention heads",
        bert_config=heads,
        command_line=stored_option(original, "n_heads"),
    )
    fields = {"k": k, "num_attention_heads": heads, **sizes}
    fields |= {
        name: original.bert_config[name] for name in COPIED_SETTINGS if name in original.bert_config
    }
    return fields | decoder_fields(original)


def infer_sizes(original: Original) -> dict[str, int]:
    """Infer sizes from the weights and compare them with `BertConfig` and command line."""
    weights = original.encoder
    try:
        words = weights["embeddings.word_embeddings.weight"].shape
        positions = weights["embeddings.position_embeddings.weight"].shape
        feed_forward = weights["encoder.layer.0.intermediate.dense.weight"].shape
    except KeyError as error:
        raise CheckpointError(f"{original.path}: no weight {error}, so not a BERT") from error
    layers = {name.split(".")[2] for name in weights if name.startswith("encoder.layer.")}
    sizes = {
        "vocab_size": words[0],
        "hidden_size": words[1],
        "num_hidden_layers": len(layers),
        "intermediate_size": feed_forward[0],
        "max_position_embeddings": positions[0],
    }
    for name, size in sizes.items():
        require_agreement(original, name, weights=size, bert_config=original.bert_config.get(name))
    require_agreement(
        original,
        "num_hidden_layers",
        weights=sizes["num_hidden_layers"],
        command_line=stored_option(original, "n_layers"),
    )
    return sizes


def infer_k(original: Original, vocab_size: int) -> int:
    """Infer k from the size of the vocabulary: [MASK], [UNK] and 4**k k-mers."""
    for k in range(MIN_K, MAX_K + 1):
        if vocab_size == NUM_SPECIAL_TOKENS + 4**k:
            require_agreement(
                original, "k", weights=k, command_line=stored_option(original, "k_mer")
            )
            return k
    raise CheckpointError(
        f"{original.path}: a vocabulary of {vocab_size} is not [MASK], [UNK] and 4**k k-mers with "
        f"k from {MIN_K} to {MAX_K}; "
        "models with other special tokens, with N in k-mers, or on byte pairs cannot be converted"
    )


def check_tokenization(original: Original, k: int) -> None:
    """Refuse models whose tokens are not non-overlapping k-mers."""
    kind = stored_option(original, "tokenizer")
    if kind not in (None, "kmer"):
        raise CheckpointError(
            f"{original.path}: was trained on tokens of kind {kind!r}, not k-mers"
        )
    stride = stored_option(original, "stride")
    if stride not in (None, k):
        raise CheckpointError(
            f"{original.path}: was trained on overlapping k-mers, stride={stride} and k={k}; "
            "only stride = k can be converted"
        )


def check_head(original: Original, k: int) -> None:
    """Check that the architecture is that of the command line, and the head one for 4**k k-mers."""
    arch = stored_option(original, "arch")
    stored = "transformer" if original.has_head else "maelm"
    require_agreement(original, "arch", weights=stored, command_line=arch)
    if original.has_head:
        rows = original.head["weight"].shape[0] if "weight" in original.head else 0
        require_agreement(original, "k-mer classes", head=rows, vocabulary=4**k)


def decoder_fields(original: Original) -> dict[str, Any]:
    """Infer the fields of the decoder, whose weights the original code never stored."""
    if original.has_head:
        return {"decoder_num_hidden_layers": 0, "encoder_sees_mask": True}
    version = stored_option(original, "maelm_version") or "maelm_v2"
    if version not in ENCODER_SEES_MASK:
        raise CheckpointError(f"{original.path}: unknown maelm_version {version!r}")
    fields = {
        "decoder_num_hidden_layers": stored_option(original, "decoder_n_layers"),
        "decoder_num_attention_heads": stored_option(original, "decoder_n_heads"),
        "decoder_hidden_size": stored_option(original, "decoder_embed_dim"),
    }
    fields = {name: value for name, value in fields.items() if value is not None}
    # The original leaves the decoder's feed-forward width at BertConfig's default.
    return fields | {
        "decoder_intermediate_size": 3072,
        "encoder_sees_mask": ENCODER_SEES_MASK[version],
    }


def stored_option(original: Original, name: str) -> Any:
    """Look up an option of the stored command line; None if its release did not have it."""
    return original.settings.get(name)


def require_agreement(original: Original, what: str, **values: object) -> None:
    """Check that all sources of a value agree.

    Args:
        original: The checkpoint.
        what: Name of the value, for the message.
        **values: Source -> value; None if the source does not say.

    Raises:
        CheckpointError: Two sources disagree; the message names both.
    """
    known = {source: value for source, value in values.items() if value is not None}
    if len(set(known.values())) > 1:
        sides = " but ".join(
            f"{value} according to its {source.replace('_', ' ')}"
            for source, value in known.items()
        )
        raise CheckpointError(f"{original.path} contradicts itself: {what} is {sides}")
