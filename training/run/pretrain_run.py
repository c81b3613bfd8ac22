"""What pre-training is made of: the model, its batches, and what counts as correct.

In: settings. Out: a `TrainingRun` ready for `training.run.loop`. Guarded by
tests/training/test_pretrain*.py.
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor

from barcodemae.dataset import dataset_hash
from barcodemae.default_model import resolve_model
from barcodemae.errors import SettingsError
from barcodemae.modeling_barcodemae import BarcodeMAEForPreTraining, masked_mean
from barcodemae.modeling_barcodemae.configuration_barcodemae import NUM_SPECIAL_TOKENS
from barcodemae.tokenization import BarcodeFrame, BarcodeKmerTokenizer
from barcodemae.training.batches.barcode_targets import cached_barcode_targets
from barcodemae.training.batches.code_cache import cache_folder, open_codes, write_codes
from barcodemae.training.batches.frame import blocks, estimate_frame, placed
from barcodemae.training.batches.labelled import Taxa
from barcodemae.training.batches.masking import tokens_of
from barcodemae.training.batches.reader import BarcodeReader
from barcodemae.training.batches.step_batches import (
    Share,
    StepBatches,
    StreamSettings,
    ValidationBatches,
    padded_ids,
)
from barcodemae.training.export.folders import load_model_folder
from barcodemae.training.run.pretrain_settings import PretrainConfig
from barcodemae.training.run.training_run import (
    Task,
    TrainingRun,
    assemble,
    share_of,
    start_accelerator,
)


CACHE_FOLDER = "cache"


def prepare_pretraining(config: PretrainConfig, *, resume: bool = False) -> TrainingRun:
    """Build model, optimiser and batches, and restore the newest checkpoint if asked to."""
    accelerator = start_accelerator(config, resume=resume)
    share = share_of(config, accelerator)
    reader = open_reader(config, accelerator)
    taxa = read_taxa(config)
    num_taxa = 0 if taxa is None else len(taxa.classes)
    model = build_model(config, num_taxa)  # before the frame: it refuses wrong initial weights
    frame = choose_frame(config, reader)
    task = Task(
        train=build_train_batches(config, share, accelerator, placed(reader, frame), model, taxa),
        val=build_val_batches(config, share, frame),
        count_correct=count_correct,
        tokenizer=BarcodeKmerTokenizer(
            k=config.k,
            max_length_bp=config.max_length_bp,
            frame=None if frame is None else frame.rows,
        ),
    )
    return assemble(config, accelerator, model, task, resume=resume)


def choose_frame(config: PretrainConfig, reader: BarcodeReader) -> BarcodeFrame | None:
    """Take the frame of the initial weights, or estimate one; None if the settings want none.

    Raises:
        SettingsError: The initial weights were trained in a frame, this run is not to be.
    """
    if config.initial_weights is not None:
        tokenizer: BarcodeKmerTokenizer = BarcodeKmerTokenizer.from_pretrained(
            resolve_model(config.initial_weights)
        )
        if tokenizer.frame is not None and not config.frame:
            raise SettingsError(
                f"initial_weights {config.initial_weights}: were trained with --frame; go on so"
            )
        if tokenizer.frame is not None:
            return tokenizer.barcode_frame
    return estimate_frame(reader) if config.frame else None


def read_taxa(config: PretrainConfig) -> Taxa | None:
    """Read the labels of the training barcodes, if the settings ask for that loss."""
    if config.taxon_loss_weight == 0:
        return None
    return Taxa.read(config.data, config.train_splits, config.taxon_rank)


def build_model(config: PretrainConfig, num_taxa: int = 0) -> BarcodeMAEForPreTraining:
    """Initialise the model from the seed, or from the weights of another run.

    Args:
        config: The settings.
        num_taxa: Classes of the head that names taxa; 0 for no such head.

    Raises:
        SettingsError: The initial weights are those of another network.
        CheckpointError: The initial weights cannot be loaded.
    """
    torch.manual_seed(config.seed)
    model = BarcodeMAEForPreTraining(config.model_config(num_taxa))
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
    config: PretrainConfig,
    share: Share,
    accelerator: Accelerator,
    reader: BarcodeReader,
    model: BarcodeMAEForPreTraining,
    taxa: Taxa | None = None,
) -> StepBatches:
    """Make this process's share of the training batches.

    Args:
        config: The settings.
        share: This process's part of a step.
        accelerator: Processes.
        reader: The training barcodes.
        model: Before its first step; initial weights decide how targets are turned.
        taxa: Of the training barcodes, if they are to be named.
    """
    stream = StreamSettings(
        seed=config.seed,
        random_offset=config.random_offset,
        num_steps=config.num_steps(len(reader)),
    )
    return StepBatches(
        reader,
        share,
        stream,
        config.masking(),
        barcode_targets=build_barcode_targets(config, reader, accelerator, model),
        taxon_labels=None if taxa is None else taxa.numbers,
    )


def build_barcode_targets(
    config: PretrainConfig,
    reader: BarcodeReader,
    accelerator: Accelerator,
    model: BarcodeMAEForPreTraining,
) -> NDArray[np.float16] | None:
    """Describe every training barcode by one vector, if the settings ask for that loss."""
    if config.barcode_loss_weight == 0:
        return None
    has_weights = config.initial_weights is not None
    with accelerator.main_process_first():
        return cached_barcode_targets(
            config.output / CACHE_FOLDER,
            reader,
            config.barcode_target_settings(),
            partial(encode_barcodes, model, reader) if has_weights else None,
        )


@torch.inference_mode()
def encode_barcodes(
    model: BarcodeMAEForPreTraining, reader: BarcodeReader, rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Give the encoder's mean for whole barcodes of a reader, (n,) to (n, D)."""
    encoder = model.barcodemae.eval()
    parts = []
    for part in blocks(rows):
        ids, lengths = padded_ids(reader, part, np.zeros_like(part))
        attends = torch.from_numpy(tokens_of(ids, lengths).astype(np.int64))
        outputs = encoder(torch.from_numpy(ids), attends)
        parts.append(masked_mean(outputs.last_hidden_state, outputs.attention_mask).float())
    model.train()
    return torch.cat(parts).numpy()


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


def build_val_batches(
    config: PretrainConfig, share: Share, frame: BarcodeFrame | None
) -> ValidationBatches | None:
    """Open the validation partition, or None if there is to be no validation."""
    if not config.val_split:
        return None
    reader = BarcodeReader.from_dataset(
        config.data, [config.val_split], k=config.k, max_length_bp=config.max_length_bp
    )
    return ValidationBatches(
        placed(reader, frame),
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
