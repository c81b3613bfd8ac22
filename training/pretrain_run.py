"""What pre-training is made of: the model, its batches, and what counts as correct.

In: settings. Out: a `TrainingRun` ready for `training.loop`. Guarded by
tests/training/test_pretrain*.py.
"""

from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor

from barcodemae.dataset import dataset_hash
from barcodemae.default_model import resolve_model
from barcodemae.errors import SettingsError
from barcodemae.modeling_barcodemae import BarcodeMAEForPreTraining
from barcodemae.modeling_barcodemae.configuration_barcodemae import NUM_SPECIAL_TOKENS
from barcodemae.tokenization import BarcodeKmerTokenizer
from barcodemae.training.barcode_targets import cached_barcode_targets
from barcodemae.training.batches import Share, StepBatches, ValidationBatches
from barcodemae.training.code_cache import cache_folder, open_codes, write_codes
from barcodemae.training.export import load_model_folder
from barcodemae.training.reader import BarcodeReader
from barcodemae.training.settings import PretrainConfig
from barcodemae.training.training_run import TrainingRun, assemble, share_of, start_accelerator


CACHE_FOLDER = "cache"


def prepare_pretraining(config: PretrainConfig, *, resume: bool = False) -> TrainingRun:
    """Build model, optimiser and batches, and restore the newest checkpoint if asked to."""
    accelerator = start_accelerator(config, resume=resume)
    share = share_of(config, accelerator)
    return assemble(
        config,
        accelerator,
        build_model(config),
        build_train_batches(config, share, accelerator),
        resume=resume,
        val=build_val_batches(config, share),
        count_correct=count_correct,
        tokenizer=BarcodeKmerTokenizer(k=config.k, max_length_bp=config.max_length_bp),
    )


def build_model(config: PretrainConfig) -> BarcodeMAEForPreTraining:
    """Initialise the model from the seed, or from the weights of another run.

    Raises:
        SettingsError: The initial weights are those of another network.
        CheckpointError: The initial weights cannot be loaded.
    """
    torch.manual_seed(config.seed)
    model = BarcodeMAEForPreTraining(config.model_config())
    if config.initial_weights is not None:
        load_initial_weights(model, resolve_model(config.initial_weights))
    return model


def load_initial_weights(model: BarcodeMAEForPreTraining, folder: Path | str) -> None:
    """Give a model the weights of a full folder; see `build_model`."""
    initial, _ = load_model_folder(folder)
    found, wanted = initial.state_dict(), model.state_dict()
    for name in sorted(found.keys() ^ wanted.keys()):
        raise SettingsError(f"initial_weights {folder}: only one of the two networks has {name}")
    for name, weights in wanted.items():
        if found[name].shape != weights.shape:
            shapes = f"{tuple(found[name].shape)}, not {tuple(weights.shape)}"
            raise SettingsError(f"initial_weights {folder}: {name} is {shapes}")
    model.load_state_dict(found)


def build_train_batches(
    config: PretrainConfig, share: Share, accelerator: Accelerator
) -> StepBatches:
    """Open the training partitions and this process's share of them."""
    reader = open_reader(config, accelerator)
    return StepBatches(
        reader,
        share,
        config.masking(),
        seed=config.seed,
        random_offset=config.random_offset,
        num_steps=config.num_steps(len(reader)),
        barcode_targets=build_barcode_targets(config, reader, accelerator),
    )


def build_barcode_targets(
    config: PretrainConfig, reader: BarcodeReader, accelerator: Accelerator
) -> NDArray[np.float16] | None:
    """Describe every training barcode by one vector, if the settings ask for that loss."""
    if config.barcode_loss_weight == 0:
        return None
    with accelerator.main_process_first():
        return cached_barcode_targets(
            config.output / CACHE_FOLDER,
            reader,
            config.barcode_target_settings(),
        )


def open_reader(config: PretrainConfig, accelerator: Accelerator) -> BarcodeReader:
    """Read the training barcodes into memory, or map them from a cache the main process writes."""
    splits, max_length_bp = config.train_splits, config.max_length_bp
    if not config.memory_map:
        return BarcodeReader.from_dataset(
            config.data, splits, k=config.k, max_length_bp=max_length_bp
        )
    data_hash = dataset_hash(config.data)
    folder = cache_folder(
        config.output / CACHE_FOLDER, data_hash, splits, max_length_bp=max_length_bp
    )
    with accelerator.main_process_first():
        write_codes(folder, config.data, splits, max_length_bp=max_length_bp)
    return open_codes(folder, k=config.k, max_length_bp=max_length_bp)


def build_val_batches(config: PretrainConfig, share: Share) -> ValidationBatches | None:
    """Open the validation partition, or None if there is to be no validation."""
    if not config.val_split:
        return None
    reader = BarcodeReader.from_dataset(
        config.data, [config.val_split], k=config.k, max_length_bp=config.max_length_bp
    )
    return ValidationBatches(
        reader,
        config.masking(),
        batch_size=share.micro_batch_size,
        limit=config.max_val_barcodes,
        share=share,
    )


def count_correct(logits: Tensor, inputs: dict[str, Tensor]) -> Tensor:
    """Number of predicted k-mers whose most likely class is the true one.

    Args:
        logits: At the predicted positions, (B, T, K).
        inputs: The batch, with `labels` (B, L) and `target_positions` (B, T).
    """
    positions = inputs["target_positions"]  # (B, T)
    truth = inputs["labels"].gather(1, positions.clamp(min=0))  # (B, T)
    is_correct = logits.argmax(dim=-1) + NUM_SPECIAL_TOKENS == truth
    return (is_correct & (positions >= 0)).sum()
