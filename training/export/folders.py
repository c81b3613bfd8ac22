"""Write a trained model as the two folders that people open.

    OUT/           the full model: encoder, decoder, heads, and the code that reads them
    OUT/encoder/   the encoder as a plain `bert` or `modernbert` checkpoint: no custom code at all,
                   unless barcodes are brought into a frame, which takes the tokenizer's code

In: a model and its tokenizer. Out: folders for `from_pretrained`, sentence-transformers and
`pipeline`, weights in safetensors. A folder appears whole or not at all. Guarded by
tests/training/export/test_folders.py and tests/house/test_hub_round_trip.py.
"""

import copy
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel

from barcodemae.default_model import DEFAULT_HINT
from barcodemae.errors import CheckpointError
from barcodemae.modeling_barcodemae import (
    BarcodeMAEConfig,
    BarcodeMAEForMaskedLM,
    BarcodeMAEForPreTraining,
    BarcodeMAEForSequenceClassification,
    BarcodeMAEModel,
    BarcodeMAEPreTrainedModel,
    handler,
)
from barcodemae.tokenization import BarcodeKmerTokenizer
from barcodemae.training.export.stored_readout import copy_readout, drop_readout


ENCODER_FOLDER = "encoder"
TOKENIZER_FILE = "tokenizer.json"
NATIVE_TYPES = ("bert", "modernbert")
MODEL_CLASSES: dict[str, type[BarcodeMAEPreTrainedModel]] = {
    model_class.__name__: model_class
    for model_class in (
        BarcodeMAEModel,
        BarcodeMAEForPreTraining,
        BarcodeMAEForMaskedLM,
        BarcodeMAEForSequenceClassification,
    )
}
# Entries of the full config that the native encoder's keeps under `barcodemae`.
TRAINED_WITH = ("decoder_num_hidden_layers", "encoder_sees_mask")
TRAINED_WITH_LABELS = ("taxon_loss_weight", "taxon_rank", "num_taxa")  # if it was
# What an Inference Endpoint installs on top of its image, which brings torch.
ENDPOINT_REQUIREMENTS = "transformers>=5\nsafetensors>=0.5\n"
# The names that every release of sentence-transformers reads, and text-embeddings-inference too.
SENTENCE_TRANSFORMERS_MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
]


def export(
    model: BarcodeMAEPreTrainedModel,
    tokenizer: BarcodeKmerTokenizer,
    directory: Path | str,
    *,
    dtype: torch.dtype | None = None,
    force: bool = False,
    readout_from: Path | None = None,
) -> None:
    """Write both artefacts: the full folder, and the native encoder in `encoder/` below it.

    Args:
        model: Any of the four models; the full folder keeps all its weights.
        tokenizer: The tokenizer it was trained with.
        directory: Where to; files of an earlier export are replaced, other files are kept.
        dtype: Store weights in this type; None keeps them as they are.
        force: Also write into a non-empty folder that holds no BarcodeMAE model.
        readout_from: The folder these weights came from, if its readout is to go along.

    Raises:
        CheckpointError: The folder is someone else's, or model and tokenizer do not fit.
    """
    with staged_folder(directory, force=force) as staging:
        export_full(model, tokenizer, staging, dtype=dtype)
        export_native(model, tokenizer, staging / ENCODER_FOLDER, dtype=dtype)
        if readout_from is not None:
            copy_readout(readout_from, staging)
            copy_readout(readout_from, staging / ENCODER_FOLDER)


def export_full(
    model: BarcodeMAEPreTrainedModel,
    tokenizer: BarcodeKmerTokenizer,
    directory: Path | str,
    *,
    dtype: torch.dtype | None = None,
    force: bool = False,
) -> None:
    """Write the full folder: all weights, complete `auto_map`, code, tokenizer, endpoint.

    Args and errors: see `export`.
    """
    check_fit(model.config, tokenizer)
    if dtype is not None and dtype != model.dtype:
        model = copy.deepcopy(model).to(dtype)  # type: ignore[arg-type]
    with staged_folder(directory, force=force) as staging:
        model.save_pretrained(staging)
        tokenizer.save_pretrained(staging, with_code=True)
        shutil.copyfile(handler.__file__, staging / "handler.py")
        (staging / "requirements.txt").write_text(ENDPOINT_REQUIREMENTS)


def export_native(
    model: BarcodeMAEPreTrainedModel,
    tokenizer: BarcodeKmerTokenizer,
    directory: Path | str,
    *,
    dtype: torch.dtype | None = None,
    force: bool = False,
) -> None:
    """Write the encoder alone as a stock model, with sentence-transformers' files.

    Args and errors: see `export`.
    """
    check_fit(model.config, tokenizer)
    with staged_folder(directory, force=force) as staging:
        native_encoder(model).to(dtype or model.dtype).save_pretrained(staging)  # type: ignore[arg-type]
        tokenizer.save_pretrained(staging)
        write_sentence_transformers_files(staging, model.config, tokenizer)


def native_encoder(model: BarcodeMAEPreTrainedModel) -> PreTrainedModel:
    """Copy the encoder into a stock model on the CPU."""
    encoder = cast("BarcodeMAEModel", model.base_model).encoder
    config = type(encoder.config).from_dict(encoder.config.to_dict())
    # Readers outside transformers want a number. The embedding it names, [UNK], is a trained one;
    # `from_pretrained` loads it as it is.
    config.pad_token_id = model.config.unk_token_id
    # What the encoder alone cannot tell: how it was trained. Configs keep unknown entries.
    names = TRAINED_WITH + (TRAINED_WITH_LABELS if model.config.num_taxa else ())
    config.barcodemae = {name: getattr(model.config, name) for name in names}
    native: PreTrainedModel = type(encoder)(config)
    weights = {name: value.detach().cpu() for name, value in encoder.state_dict().items()}
    # BERT was trained without a pooler. Left out, `AutoModel` would report it missing and invent
    # random weights; as zeros, a mistaken `pooler_output` is all zero instead of noise.
    pooler = {
        name: torch.zeros_like(value)
        for name, value in native.state_dict().items()
        if name.startswith("pooler.")
    }
    native.to(encoder.dtype).load_state_dict(weights | pooler)  # type: ignore[arg-type]
    native.eval()
    return native


def write_sentence_transformers_files(
    directory: Path, config: BarcodeMAEConfig, tokenizer: BarcodeKmerTokenizer
) -> None:
    """Say how sentence-transformers embeds a barcode: the masked mean, 110 tokens at k = 6."""
    pooling = directory / "1_Pooling"
    pooling.mkdir()
    write_json(directory / "modules.json", SENTENCE_TRANSFORMERS_MODULES)
    write_json(
        directory / "sentence_bert_config.json",
        {"max_seq_length": tokenizer.model_max_length, "do_lower_case": False},
    )
    write_json(
        directory / "config_sentence_transformers.json",
        {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"},
    )
    write_json(
        pooling / "config.json",
        {
            "word_embedding_dimension": config.hidden_size,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
    )


def write_json(path: Path, content: Any) -> None:
    """Write JSON as transformers does, indented by two."""
    path.write_text(json.dumps(content, indent=2) + "\n")


def check_fit(config: BarcodeMAEConfig, tokenizer: BarcodeKmerTokenizer) -> None:
    """Refuse a tokenizer of another k, or one that lets through more tokens than positions.

    Raises:
        CheckpointError: They do not fit; the message names both values.
    """
    if tokenizer.k != config.k:
        raise CheckpointError(
            f"the tokenizer has k={tokenizer.k}, the model was trained with k={config.k}"
        )
    if tokenizer.model_max_length > config.max_position_embeddings:
        raise CheckpointError(
            f"the tokenizer keeps up to {tokenizer.model_max_length} tokens "
            f"(max_length_bp={tokenizer.max_length_bp}), the model has "
            f"max_position_embeddings={config.max_position_embeddings}"
        )


def load_model_folder(
    directory: Path | str,
) -> tuple[BarcodeMAEPreTrainedModel, BarcodeKmerTokenizer]:
    """Open a full folder with the class it was saved from.

    Returns:
        The model in evaluation mode, and its tokenizer.

    Raises:
        CheckpointError: No such folder, not a BarcodeMAE folder, or weights are missing.
    """
    directory = Path(directory)
    if model_type(directory) != BarcodeMAEConfig.model_type:
        found = "is not a BarcodeMAE model folder" if directory.is_dir() else "no such folder"
        raise CheckpointError(f"{directory}: {found}; {DEFAULT_HINT}")
    try:
        config = BarcodeMAEConfig.from_pretrained(directory)
        model_class = MODEL_CLASSES[(config.architectures or [BarcodeMAEModel.__name__])[0]]
        model, report = cast(
            "tuple[BarcodeMAEPreTrainedModel, dict[str, set[str]]]",
            model_class.from_pretrained(directory, output_loading_info=True),
        )
        tokenizer = BarcodeKmerTokenizer.from_pretrained(directory)
    except Exception as error:  # transformers raises a dozen kinds for a damaged folder
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise CheckpointError(f"{directory}: cannot be loaded: {reason}") from error
    if report["missing_keys"]:
        names = ", ".join(sorted(report["missing_keys"])[:3])
        raise CheckpointError(f"{directory}: the weights lack {names}")
    return model.eval(), tokenizer


def model_type(directory: Path) -> str | None:
    """Read `model_type` from a folder's `config.json`; None if there is none."""
    try:
        config = json.loads((directory / "config.json").read_text())
    except (OSError, ValueError):
        return None
    kind = config.get("model_type") if isinstance(config, dict) else None
    return kind if isinstance(kind, str) else None


@contextmanager
def staged_folder(directory: Path | str, *, force: bool) -> Iterator[Path]:
    """Give a temporary folder whose content moves to `directory` when the block succeeds.

    Raises:
        CheckpointError: `directory` holds files but no model of ours, and not `force`; or the
            weights cannot be written, say because the disk is full.
    """
    directory = Path(directory).resolve()
    refuse_foreign(directory, force=force)
    staging = directory.with_name(f".{directory.name}.{os.getpid()}.tmp")
    staging.mkdir(parents=True)
    try:
        yield staging
        move_into_place(staging, directory)
    except SafetensorError as error:  # its own type, also where the system reported an OSError
        raise CheckpointError(f"{directory.parent}: weights cannot be written: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def refuse_foreign(directory: Path, *, force: bool) -> None:
    """Raise `CheckpointError` unless `directory` is new, empty, a model of ours, or forced."""
    if directory.exists() and not directory.is_dir():
        raise CheckpointError(f"{directory}: is a file, not a folder")
    if force or not directory.is_dir() or not any(directory.iterdir()):
        return
    is_native = model_type(directory) in NATIVE_TYPES and (directory / "1_Pooling").is_dir()
    if model_type(directory) != BarcodeMAEConfig.model_type and not is_native:
        raise CheckpointError(
            f"{directory}: is not empty and holds no BarcodeMAE model; "
            "choose another folder, or --force to write into it"
        )


def move_into_place(staging: Path, directory: Path) -> None:
    """Rename `staging` to `directory`, or each of its entries into it, replacing namesakes."""
    if not directory.exists():
        staging.rename(directory)
        return
    drop_readout(directory, unless_in=staging)
    if not (staging / TOKENIZER_FILE).exists():  # an older one would be read out of the frame
        (directory / TOKENIZER_FILE).unlink(missing_ok=True)
    for entry in sorted(staging.iterdir()):
        target = directory / entry.name
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        entry.replace(target)
