"""Turn checkpoints of the original BarcodeMAE and BarcodeBERT code into both artefacts.

In: a `.pt` file, see `barcodemae.training.export.original_checkpoint`. Out: the two folders of
`barcodemae.training.export.folders`. Sizes are taken from the weights and must agree with the
stored `BertConfig` and the stored command line. Guarded by tests/training/export/test_convert.py.
"""

from pathlib import Path
from typing import Any, cast

from huggingface_hub.errors import StrictDataclassError

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
# Settings of BertConfig that shape the computation but leave no trace in the weights' shapes.
COPIED_SETTINGS = (
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "initializer_range",
    "layer_norm_eps",
)
# The original names of the three ways to hide tokens; only `baseline` shows [MASK] to the encoder.
ENCODER_SEES_MASK = {"maelm_v1": False, "maelm_v2": False, "baseline": True}


def convert(
    path: Path | str, directory: Path | str, *, force: bool = False
) -> BarcodeMAEPreTrainedModel:
    """Convert an original checkpoint into both artefacts.

    Args:
        path: The `.pt` file.
        directory: Where to, see `barcodemae.training.export.folders.export`.
        force: Also write into a non-empty folder that holds no BarcodeMAE model.

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
    """Build our model around the original weights."""
    try:
        config = BarcodeMAEConfig(**infer_fields(original))
    except StrictDataclassError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise CheckpointError(f"{original.path}: {reason}") from error
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
        raise CheckpointError(f"{original.path}: weights are not a BERT's: {reason}") from error
    model.eval()
    return model


def infer_fields(original: Original) -> dict[str, Any]:
    """Derive the fields of `BarcodeMAEConfig`, holding all three descriptions against each other.

    Raises:
        CheckpointError: Weights, stored `BertConfig` and stored command line disagree.
    """
    sizes = sizes_of(original)
    k = infer_k(original, sizes.pop("vocab_size"))
    check_tokenization(original, k)
    check_head(original, k)
    heads = original.bert_config.get("num_attention_heads")
    agree(original, "attention heads", bert_config=heads, command_line=setting(original, "n_heads"))
    fields = {"k": k, "num_attention_heads": heads, **sizes}
    fields |= {
        name: original.bert_config[name] for name in COPIED_SETTINGS if name in original.bert_config
    }
    return fields | decoder_fields(original)


def sizes_of(original: Original) -> dict[str, int]:
    """Read sizes off the weights and compare them with both stored descriptions."""
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
        agree(original, name, weights=size, bert_config=original.bert_config.get(name))
    agree(
        original,
        "num_hidden_layers",
        weights=sizes["num_hidden_layers"],
        command_line=setting(original, "n_layers"),
    )
    return sizes


def infer_k(original: Original, vocab_size: int) -> int:
    """Find k from the size of the vocabulary, [MASK], [UNK] and 4**k k-mers."""
    for k in range(MIN_K, MAX_K + 1):
        if vocab_size == NUM_SPECIAL_TOKENS + 4**k:
            agree(original, "k", weights=k, command_line=setting(original, "k_mer"))
            return k
    raise CheckpointError(
        f"{original.path}: a vocabulary of {vocab_size} is not [MASK], [UNK] and 4**k k-mers with "
        f"k from {MIN_K} to {MAX_K}; "
        "models with other special tokens, with N in k-mers, or of byte pairs cannot be converted"
    )


def check_tokenization(original: Original, k: int) -> None:
    """Refuse models whose tokens are not non-overlapping k-mers."""
    kind = setting(original, "tokenizer")
    if kind not in (None, "kmer"):
        raise CheckpointError(
            f"{original.path}: was trained on tokens of kind {kind!r}, not k-mers"
        )
    stride = setting(original, "stride")
    if stride not in (None, k):
        raise CheckpointError(
            f"{original.path}: was trained on overlapping k-mers, stride={stride} and k={k}; "
            "only stride = k can be converted"
        )


def check_head(original: Original, k: int) -> None:
    """Check that the architecture that was asked for, and the k-mer head, are the stored ones."""
    arch = setting(original, "arch")
    stored = "transformer" if original.has_head else "maelm"
    agree(original, "arch", weights=stored, command_line=arch)
    if original.has_head:
        rows = original.head["weight"].shape[0] if "weight" in original.head else 0
        agree(original, "k-mer classes", head=rows, vocabulary=4**k)


def decoder_fields(original: Original) -> dict[str, Any]:
    """Describe the decoder of the run; the weights of BarcodeMAE's were never stored."""
    if original.has_head:
        return {"decoder_num_hidden_layers": 0, "encoder_sees_mask": True}
    version = setting(original, "maelm_version") or "maelm_v2"
    if version not in ENCODER_SEES_MASK:
        raise CheckpointError(f"{original.path}: unknown maelm_version {version!r}")
    fields = {
        "decoder_num_hidden_layers": setting(original, "decoder_n_layers"),
        "decoder_num_attention_heads": setting(original, "decoder_n_heads"),
        "decoder_hidden_size": setting(original, "decoder_embed_dim"),
    }
    fields = {name: value for name, value in fields.items() if value is not None}
    # The original leaves the decoder's feed-forward width at BertConfig's default.
    return fields | {
        "decoder_intermediate_size": 3072,
        "encoder_sees_mask": ENCODER_SEES_MASK[version],
    }


def setting(original: Original, name: str) -> Any:
    """Look up an option of the original command line; None if that release had none."""
    return original.settings.get(name)


def agree(original: Original, what: str, **values: Any) -> None:
    """Raise `CheckpointError` naming both sides if two sources give different values."""
    known = {source: value for source, value in values.items() if value is not None}
    if len(set(known.values())) > 1:
        sides = " but ".join(
            f"{value} by its {source.replace('_', ' ')}" for source, value in known.items()
        )
        raise CheckpointError(f"{original.path}: contradicts itself: {what} is {sides}")
