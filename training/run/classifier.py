"""A classifier built from a pre-trained encoder and the taxa of the training partition.

In: `FinetuneConfig`. Out: the model with a new linear head and named classes, its tokenizer, and
the barcodes that define the classes. Guarded by tests/training/run/test_finetune.py.
"""

from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub import snapshot_download
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel

from barcodemae.default_model import DEFAULT_HINT, resolve_model
from barcodemae.errors import CheckpointError, DataError, SettingsError, first_line
from barcodemae.modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEForSequenceClassification
from barcodemae.tokenization import BarcodeKmerTokenizer
from barcodemae.training.batches.labelled import LabelledBarcodes
from barcodemae.training.export.folders import (
    NATIVE_TYPES,
    check_fit,
    load_model_folder,
    model_type,
)
from barcodemae.training.run.finetune_settings import FinetuneConfig


# Fields of a stock encoder's config that `BarcodeMAEConfig` has for its encoder too.
ENCODER_FIELDS = (
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act",
    "hidden_dropout_prob", "attention_probs_dropout_prob", "max_position_embeddings",
    "initializer_range", "layer_norm_eps",
)  # fmt: skip
NAMES_IN_MODERN_BERT = {
    "hidden_act": "hidden_activation",
    "hidden_dropout_prob": "mlp_dropout",
    "attention_probs_dropout_prob": "attention_dropout",
    "layer_norm_eps": "norm_eps",
}


def build_classifier(
    config: FinetuneConfig,
) -> tuple[BarcodeMAEForSequenceClassification, BarcodeKmerTokenizer, LabelledBarcodes]:
    """Open the pre-trained encoder, read the training barcodes, name the classes.

    Args:
        config: The settings.

    Returns:
        model: The classifier, its head initialised from the seed.
        tokenizer: Tokenizer of the encoder, at the maximum length of the settings.
        barcodes: The training barcodes.

    Raises:
        CheckpointError: The folder cannot be opened or does not fit `max_length_bp`.
        SettingsError: Random offsets are set for an encoder that was trained in a frame.
        DataError: There are fewer than two classes.
    """
    weights, model_config, pretrained = load_encoder(find_model(config.model))
    if config.random_offset and pretrained.frame is not None:
        raise SettingsError(
            f"{config.model} was trained with --frame, which excludes random_offset: turn it off"
        )
    tokenizer = BarcodeKmerTokenizer(
        k=pretrained.k,
        max_length_bp=config.max_length_bp,
        frame=pretrained.frame,
    )
    check_fit(model_config, tokenizer)
    barcodes = LabelledBarcodes.read(config.data, config.train_split, config.rank, tokenizer)
    classes = sorted(set(barcodes.names))
    if len(classes) < 2:
        raise DataError(config.data, f"split {config.train_split} has only one {config.rank}")
    model_config.id2label = dict(enumerate(classes))
    model_config.label2id = {name: number for number, name in enumerate(classes)}
    torch.manual_seed(config.seed)
    model = BarcodeMAEForSequenceClassification(model_config)
    model.barcodemae.load_state_dict(weights)
    if config.freeze_encoder:
        freeze(model.barcodemae)
    return model, tokenizer, barcodes


def find_model(name: Path) -> Path:
    """Find the folder of a model: as named, that of `default`, or a copy of a Hub repository.

    Raises:
        CheckpointError: There is neither a folder nor a repository of that name.
    """
    folder = Path(resolve_model(name))
    if folder.exists():
        return folder
    if name.as_posix().count("/") != 1 or name.is_absolute():
        raise CheckpointError(f"{name}: no such folder; {DEFAULT_HINT}")
    try:
        return Path(snapshot_download(name.as_posix()))
    except (OSError, ValueError) as error:  # no such name, no connection, not allowed
        raise CheckpointError(
            f"{name}: is neither a folder nor a model on the Hub ({first_line(error)}); "
            f"{DEFAULT_HINT}"
        ) from error


def freeze(module: nn.Module) -> None:
    """Stop training a module and turn off its dropout, so that it computes what it does in use."""
    module.requires_grad_(requires_grad=False)
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0


def load_encoder(
    directory: Path,
) -> tuple[dict[str, Tensor], BarcodeMAEConfig, BarcodeKmerTokenizer]:
    """Open the encoder of a full or native model folder.

    Args:
        directory: The model folder.

    Returns:
        weights: Weights of a `BarcodeMAEModel`.
        config: Configuration of a model with this encoder.
        tokenizer: Tokenizer of the encoder.

    Raises:
        CheckpointError: The folder holds no model, or is damaged.
    """
    kind = model_type(directory)
    if kind not in NATIVE_TYPES:
        model, tokenizer = load_model_folder(directory)
        return model.base_model.state_dict(), model.config, tokenizer
    options = {"add_pooling_layer": False} if kind == "bert" else {}
    try:
        tower, report = cast(
            "tuple[PreTrainedModel, dict[str, set[str]]]",
            AutoModel.from_pretrained(directory, output_loading_info=True, **options),
        )
        tokenizer = BarcodeKmerTokenizer.from_pretrained(directory)
    except Exception as error:  # transformers raises a dozen types for a damaged folder
        raise CheckpointError(f"{directory}: cannot be loaded: {first_line(error)}") from error
    if report["missing_keys"]:
        raise CheckpointError(f"{directory}: the weights lack {sorted(report['missing_keys'])[0]}")
    names = NAMES_IN_MODERN_BERT if kind == "modernbert" else {}
    fields: dict[str, Any] = {
        name: getattr(tower.config, names.get(name, name)) for name in ENCODER_FIELDS
    }
    fields["tower_type"] = kind
    # Which decoder it was trained with does not matter: a classifier has none.
    fields |= {"decoder_num_hidden_layers": 0, "encoder_sees_mask": True}
    weights = {f"encoder.{name}": value for name, value in tower.state_dict().items()}
    return weights, BarcodeMAEConfig(k=tokenizer.k, **fields), tokenizer
