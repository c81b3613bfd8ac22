"""The two folders of an exported model.

    OUT/           the full model: encoder, decoder, heads, and the code that reads them
    OUT/encoder/   the native encoder: a plain `bert` or `modernbert` checkpoint without custom
                   code, except the tokenizer's if it places barcodes in a frame; with site
                   embeddings or a width of its own the encoder needs its code too

In: a model and its tokenizer. Out: folders for `from_pretrained`, sentence-transformers and
`pipeline`, with weights in safetensors. A folder is written completely or not at all. Guarded by
tests/training/export/test_folders.py and tests/house/test_hub_round_trip.py.
"""

import copy
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel

from barcodemae.default_model import DEFAULT_HINT
from barcodemae.errors import CheckpointError, first_line
from barcodemae.files import flush_folder, replace_folder, scratch_folder, write_json
from barcodemae.modeling_barcodemae import (
    BarcodeMAEConfig,
    BarcodeMAEForMaskedLM,
    BarcodeMAEForPreTraining,
    BarcodeMAEForSequenceClassification,
    BarcodeMAEModel,
    BarcodeMAEPreTrainedModel,
    handler,
)
from barcodemae.stored.model_config import check_model_folder
from barcodemae.stored.weights import check_finite
from barcodemae.tokenization import BarcodeKmerTokenizer
from barcodemae.training.export.stored_readout import copy_readout, drop_readout


ENCODER_FOLDER = "encoder"
# transformers 5 computes in the format that is stored, 4.57 in fp32: so every release gives the
# same vectors from an fp32 folder only.
STORED_DTYPE = torch.float32
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
# Fields of the full config that the native encoder's config keeps under `barcodemae`.
TRAINED_WITH = ("decoder_num_hidden_layers", "encoder_sees_mask")
TRAINED_WITH_LABELS = ("taxon_loss_weight", "taxon_rank", "num_taxa")  # with the taxon loss only
# What an Inference Endpoint installs on top of its image, which has torch.
ENDPOINT_REQUIREMENTS = "transformers>=4.57\nsafetensors>=0.5\n"
# Names that all releases of sentence-transformers, and text-embeddings-inference, can read.
SENTENCE_TRANSFORMERS_MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
]


def export(
    model: BarcodeMAEPreTrainedModel,
    tokenizer: BarcodeKmerTokenizer,
    directory: Path | str,
    *,
    dtype: torch.dtype = STORED_DTYPE,
    force: bool = False,
    readout_from: Path | None = None,
) -> None:
    """Write the full folder, and the native encoder in `encoder/` below it.

    Args:
        model: Any of the four models; the full folder keeps all its weights.
        tokenizer: Tokenizer of the model.
        directory: Folder to write to; files of an earlier export are replaced, others are kept.
        dtype: Number format of the stored weights.
        force: Whether to write into a folder that has files but no BarcodeMAE model, too.
        readout_from: Model folder whose readout, if it has one, is copied; None copies none.

    Raises:
        CheckpointError: The folder holds something else, or model and tokenizer do not fit.
    """
    check_fit(model.config, tokenizer)
    with staged_model(directory, force=force) as staging:
        (staging / ENCODER_FOLDER).mkdir()
        write_full(model, tokenizer, staging, dtype)
        write_native(model, tokenizer, staging / ENCODER_FOLDER, dtype)
        if readout_from is not None:
            copy_readout(readout_from, staging)
            copy_readout(readout_from, staging / ENCODER_FOLDER)


def export_full(
    model: BarcodeMAEPreTrainedModel,
    tokenizer: BarcodeKmerTokenizer,
    directory: Path | str,
    *,
    dtype: torch.dtype = STORED_DTYPE,
    force: bool = False,
) -> None:
    """Write the full folder: all weights, complete `auto_map`, code, tokenizer, endpoint handler.

    Arguments and errors are those of `export`.
    """
    check_fit(model.config, tokenizer)
    with staged_model(directory, force=force) as staging:
        write_full(model, tokenizer, staging, dtype)


def export_native(
    model: BarcodeMAEPreTrainedModel,
    tokenizer: BarcodeKmerTokenizer,
    directory: Path | str,
    *,
    dtype: torch.dtype = STORED_DTYPE,
    force: bool = False,
) -> None:
    """Write the encoder alone as a stock model, with the files of sentence-transformers.

    Arguments and errors are those of `export`.
    """
    check_fit(model.config, tokenizer)
    with staged_model(directory, force=force) as staging:
        write_native(model, tokenizer, staging, dtype)


def write_full(
    model: BarcodeMAEPreTrainedModel,
    tokenizer: BarcodeKmerTokenizer,
    folder: Path,
    dtype: torch.dtype,
) -> None:
    """Write the files of the full folder into an empty one."""
    if dtype != model.dtype:
        model = copy.deepcopy(model).to(dtype)  # type: ignore[arg-type]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder, with_code=True)
    shutil.copyfile(handler.__file__, folder / "handler.py")
    (folder / "requirements.txt").write_text(ENDPOINT_REQUIREMENTS)


def write_native(
    model: BarcodeMAEPreTrainedModel,
    tokenizer: BarcodeKmerTokenizer,
    folder: Path,
    dtype: torch.dtype,
) -> None:
    """Write the files of the native encoder's folder into an empty one."""
    native_encoder(model).to(dtype).save_pretrained(folder)  # type: ignore[arg-type]
    tokenizer.save_pretrained(folder, with_code=not is_stock(model.config))
    write_sentence_transformers_files(folder, model.config, tokenizer)


def is_stock(config: BarcodeMAEConfig) -> bool:
    """Whether the encoder is a stock one, without parts of this project after its layers."""
    return config.tower_size is None and config.num_sites == 0


def native_encoder(model: BarcodeMAEPreTrainedModel) -> PreTrainedModel:
    """Copy the encoder to the CPU: a stock model, or a `BarcodeMAEModel` if it is not stock."""
    # How the encoder was trained, which its weights do not tell. Configs keep unknown entries.
    names = TRAINED_WITH + (TRAINED_WITH_LABELS if model.config.num_taxa else ())
    trained_with = {name: getattr(model.config, name) for name in names}
    if not is_stock(model.config):
        whole = cast("BarcodeMAEModel", model.base_model)
        copied = BarcodeMAEModel(type(model.config).from_dict(model.config.to_dict()))
        copied.config.barcodemae = trained_with
        copied.to(whole.dtype).load_state_dict(whole.state_dict())  # type: ignore[arg-type]
        copied.eval()
        return copied
    encoder = cast("BarcodeMAEModel", model.base_model).encoder
    config = type(encoder.config).from_dict(encoder.config.to_dict())
    # Programs other than transformers require a padding id. It is that of [UNK], whose embedding is
    # trained; `from_pretrained` loads it unchanged.
    config.pad_token_id = model.config.unk_token_id
    config.barcodemae = trained_with
    native: PreTrainedModel = type(encoder)(config)
    weights = {name: value.detach().cpu() for name, value in encoder.state_dict().items()}
    # The encoder was trained without BERT's pooler. If it were left out, `AutoModel` would report
    # it missing and draw random weights; with zeros, `pooler_output` is zero instead of noise.
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
    """Write how sentence-transformers embeds a barcode: as the mean of up to 110 tokens (k = 6)."""
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


def check_fit(config: BarcodeMAEConfig, tokenizer: BarcodeKmerTokenizer) -> None:
    """Check that a tokenizer fits a model.

    Raises:
        CheckpointError: Their k differs, or the tokenizer keeps more tokens than the model has
            positions; the message names both values.
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
        model: The model, in evaluation mode.
        tokenizer: Its tokenizer.

    Raises:
        CheckpointError: The folder does not exist, holds no BarcodeMAE model, or lacks weights.
    """
    directory = Path(directory)
    if model_type(directory) != BarcodeMAEConfig.model_type:
        found = "is not a BarcodeMAE model folder" if directory.is_dir() else "no such folder"
        raise CheckpointError(f"{directory}: {found}; {DEFAULT_HINT}")
    check_model_folder(directory)
    try:
        config = BarcodeMAEConfig.from_pretrained(directory)
        model_class = MODEL_CLASSES[(config.architectures or [BarcodeMAEModel.__name__])[0]]
        model, report = cast(
            "tuple[BarcodeMAEPreTrainedModel, dict[str, set[str]]]",
            model_class.from_pretrained(directory, output_loading_info=True),
        )
        tokenizer = BarcodeKmerTokenizer.from_pretrained(directory)
    except Exception as error:  # transformers raises a dozen types for a damaged folder
        raise CheckpointError(f"{directory}: cannot be loaded: {first_line(error)}") from error
    if report["missing_keys"]:
        names = ", ".join(sorted(report["missing_keys"])[:3])
        raise CheckpointError(f"{directory}: the weights lack {names}")
    check_finite(model.named_parameters(), directory)
    return model.eval(), tokenizer


def model_type(directory: Path) -> str | None:
    """Read `model_type` from a folder's `config.json`; None without one."""
    try:
        config = json.loads((directory / "config.json").read_text())
    except (OSError, ValueError, RecursionError):
        return None
    kind = config.get("model_type") if isinstance(config, dict) else None
    return kind if isinstance(kind, str) else None


@contextmanager
def staged_model(directory: Path | str, *, force: bool) -> Iterator[Path]:
    """Make a hidden folder whose content is moved to `directory` when the block succeeds.

    Not a `barcodemae.files.staged_folder`: the folder of a model may hold other files (checkpoints,
    notes, a card), so an older model is replaced entry by entry and all else stays.

    Args:
        directory: Folder to write to.
        force: Whether to write into a folder that has files but no BarcodeMAE model, too.

    Yields:
        The hidden folder.

    Raises:
        CheckpointError: `directory` has files but no BarcodeMAE model, without `force`; or the
            weights cannot be written, for instance because the disk is full.
        DataError: Another file cannot be written.
    """
    directory = Path(directory).resolve()
    refuse_foreign(directory, force=force)
    try:
        with scratch_folder(directory) as staging:
            yield staging
            share_as_usual(staging)
            move_into_place(staging, directory)
    except SafetensorError as error:  # safetensors wraps every OSError in this type
        raise CheckpointError(f"{directory}: weights cannot be written: {error}") from error


def share_as_usual(folder: Path) -> None:
    """Let others read the files as far as the umask allows; safetensors makes them private."""
    probe = folder / "probe"
    probe.touch()
    mode = probe.stat().st_mode & 0o777
    probe.unlink()
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(mode)


def refuse_foreign(directory: Path, *, force: bool) -> None:
    """Raise `CheckpointError` unless `directory` is new, empty, a BarcodeMAE model, or forced."""
    if directory.exists() and not directory.is_dir():
        raise CheckpointError(f"{directory}: is a file, not a folder")
    if force or not directory.is_dir() or not any(directory.iterdir()):
        return
    is_native = model_type(directory) in NATIVE_TYPES and (directory / "1_Pooling").is_dir()
    if model_type(directory) != BarcodeMAEConfig.model_type and not is_native:
        raise CheckpointError(
            f"{directory}: is not empty and holds no BarcodeMAE model; "
            "choose another folder, or write into this one with --force"
        )


def move_into_place(staging: Path, directory: Path) -> None:
    """Rename `staging` to `directory`; if that exists, move the entries, replacing namesakes."""
    if not directory.exists():
        replace_folder(staging, directory)
        return
    flush_folder(staging)
    drop_readout(directory, unless_in=staging)
    for entry in sorted(staging.iterdir()):
        if entry.is_dir():
            replace_folder(entry, directory / entry.name)
        else:
            entry.replace(directory / entry.name)
