"""The parts of a pre-training run: the model, its batches, the barcode frame, the accuracy.

In: settings. Out: a `TrainingRun`, ready for `training.run.loop`. Guarded by
tests/training/run/test_pretrain_loop.py, tests/training/run/test_pretrain_resume.py,
tests/training/run/test_pretrain_processes.py and tests/training/run/test_pretrain_in_frame.py.

Shapes: n = barcodes, B = batch, L = tokens, T = predicted tokens, D = encoder width,
K = k-mer classes.
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
from barcodemae.training.batches.barcode_targets import cached_barcode_targets, cached_components
from barcodemae.training.batches.code_cache import code_cache_folder, open_codes, write_codes
from barcodemae.training.batches.frame import blocks, estimate_frame, place_in_frame
from barcodemae.training.batches.labelled import Taxa
from barcodemae.training.batches.masking import find_tokens
from barcodemae.training.batches.reader import BarcodeReader
from barcodemae.training.batches.site_table import fill_site_table, keep_share
from barcodemae.training.batches.step_batches import (
    Share,
    StepBatches,
    StreamSettings,
    ValidationBatches,
    padded_ids,
)
from barcodemae.training.export.folders import load_model_folder
from barcodemae.training.run.claim import Resume
from barcodemae.training.run.pretrain_settings import PretrainConfig
from barcodemae.training.run.training_run import (
    Task,
    TrainingRun,
    assemble,
    share_of,
    start_accelerator,
)


CACHE_FOLDER = "cache"


def prepare_pretraining(config: PretrainConfig, *, resume: Resume = False) -> TrainingRun:
    """Build model, optimiser and batches; restore a checkpoint if `resume`."""
    accelerator = start_accelerator(config, resume=resume)
    share = share_of(config, accelerator)
    # Read the barcodes, and their taxa if there is a taxon loss.
    reader = open_reader(config, accelerator)
    taxa = read_taxa(config)
    num_taxa = 0 if taxa is None else len(taxa.classes)
    # Build the model before the frame, because it refuses initial weights that do not fit.
    model = build_model(config, num_taxa)
    frame = choose_frame(config, reader)
    placed = place_in_frame(reader, frame)
    compute_sites(config, accelerator, placed, model)
    task = Task(
        train=build_train_batches(config, share, accelerator, placed, model, taxa),
        val=build_val_batches(config, share, frame),
        count_correct=count_correct,
        tokenizer=BarcodeKmerTokenizer(
            k=config.k,
            max_length_bp=config.max_length_bp,
            frame=None if frame is None else frame.rows,
        ),
        as_saved=lambda trained: keep_share(trained, config.layers_share),
    )
    return assemble(config, accelerator, model, task, resume=resume)


def choose_frame(config: PretrainConfig, reader: BarcodeReader) -> BarcodeFrame | None:
    """Take the barcode frame of the initial weights, or estimate one; None without `frame`.

    Raises:
        SettingsError: The initial weights were trained in a frame, but `frame` is off.
    """
    if config.initial_weights is not None:
        tokenizer: BarcodeKmerTokenizer = BarcodeKmerTokenizer.from_pretrained(
            resolve_model(config.initial_weights)
        )
        if tokenizer.frame is not None and not config.frame:
            raise SettingsError(
                f"initial_weights {config.initial_weights} were trained with --frame: "
                "set it for this run too"
            )
        if tokenizer.frame is not None:
            return tokenizer.barcode_frame
    return estimate_frame(reader) if config.frame else None


def read_taxa(config: PretrainConfig) -> Taxa | None:
    """Read the taxa of the training barcodes; None without the taxon loss."""
    if config.taxon_loss_weight == 0:
        return None
    return Taxa.read(config.data, config.train_splits, config.taxon_rank)


def build_model(config: PretrainConfig, num_taxa: int = 0) -> BarcodeMAEForPreTraining:
    """Initialise the model from the seed, or from the weights of another run.

    Args:
        config: The settings.
        num_taxa: Number of classes of the taxon head; 0 for a model without it.

    Raises:
        SettingsError: The initial weights are of another architecture.
        CheckpointError: The initial weights cannot be loaded.
    """
    torch.manual_seed(config.seed)
    model = BarcodeMAEForPreTraining(config.model_config(num_taxa))
    if config.initial_weights is not None:
        load_initial_weights(model, resolve_model(config.initial_weights))
    return model


def load_initial_weights(model: BarcodeMAEForPreTraining, folder: Path | str) -> None:
    """Load the weights of a full model folder into a model.

    Args:
        model: Model to load into.
        folder: Model folder, of the same architecture.

    Raises:
        SettingsError: The weights are of another architecture.
        CheckpointError: The weights cannot be loaded.
    """
    initial, _ = load_model_folder(folder)
    found, wanted = initial.state_dict(), model.state_dict()
    for name in sorted(found.keys() ^ wanted.keys()):
        owner = "they have" if name in found else "this run's model has"
        raise SettingsError(
            f"initial_weights {folder} do not fit the settings: only {owner} {name}"
        )
    for name, weights in wanted.items():
        if found[name].shape != weights.shape:
            raise SettingsError(
                f"initial_weights {folder} do not fit the settings: {name} has shape "
                f"{tuple(found[name].shape)}, not {tuple(weights.shape)}"
            )
    model.load_state_dict(found)


def compute_sites(
    config: PretrainConfig,
    accelerator: Accelerator,
    reader: BarcodeReader,
    model: BarcodeMAEForPreTraining,
) -> None:
    """Compute the model's site embeddings, if it has any and begins without weights.

    Args:
        config: The settings.
        accelerator: From `start_accelerator`.
        reader: The training barcodes, placed in the frame.
        model: The model before its first step.
    """
    if not config.site_embeddings or config.initial_weights is not None:
        return
    with accelerator.main_process_first():
        components = cached_components(
            config.output / CACHE_FOLDER, reader, config.barcode_target_settings()
        )
    fill_site_table(model.barcodemae, components)


def build_train_batches(
    config: PretrainConfig,
    share: Share,
    accelerator: Accelerator,
    reader: BarcodeReader,
    model: BarcodeMAEForPreTraining,
    taxa: Taxa | None = None,
) -> StepBatches:
    """Make this process's part of the training batches.

    Args:
        config: The settings.
        share: This process's part of a step.
        accelerator: From `start_accelerator`.
        reader: The training barcodes, placed in the frame if there is one.
        model: The model before its first step; initial weights decide how targets are rotated.
        taxa: Taxa of the training barcodes; None without the taxon loss.
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
        taxon_targets=None if taxa is None else taxa.numbers,
    )


def build_barcode_targets(
    config: PretrainConfig,
    reader: BarcodeReader,
    accelerator: Accelerator,
    model: BarcodeMAEForPreTraining,
) -> NDArray[np.float16] | None:
    """Compute or open the target vectors of the training barcodes; None without the barcode loss.

    Returns:
        Target vectors, (number of barcodes, D).
    """
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
    """Embed whole barcodes of a reader.

    Args:
        model: Model with the encoder.
        reader: The barcodes.
        rows: Rows of the barcodes to embed, (n,).

    Returns:
        Mean of the tokens of each barcode, (n, D).
    """
    encoder = model.barcodemae.eval()
    parts = []
    for part in blocks(rows):
        ids, lengths = padded_ids(reader, part, np.zeros_like(part))
        attention_mask = torch.from_numpy(find_tokens(ids, lengths).astype(np.int64))
        outputs = encoder(torch.from_numpy(ids), attention_mask)
        parts.append(masked_mean(outputs.last_hidden_state, outputs.attention_mask).float())
    model.train()
    return torch.cat(parts).numpy()


def open_reader(config: PretrainConfig, accelerator: Accelerator) -> BarcodeReader:
    """Read the training barcodes into memory, or map them from a cache of the main process."""
    splits, max_length_bp = config.train_splits, config.max_length_bp
    if not config.memory_map:
        return BarcodeReader.from_dataset(
            config.data, splits, k=config.k, max_length_bp=max_length_bp
        )
    data_hash = dataset_hash(config.data)
    folder = code_cache_folder(
        config.output / CACHE_FOLDER, data_hash, splits, max_length_bp=max_length_bp
    )
    with accelerator.main_process_first():
        write_codes(folder, config.data, splits, max_length_bp=max_length_bp)
    return open_codes(folder, k=config.k, max_length_bp=max_length_bp)


def build_val_batches(
    config: PretrainConfig, share: Share, frame: BarcodeFrame | None
) -> ValidationBatches | None:
    """Make the validation batches; None without a validation partition."""
    if not config.val_split:
        return None
    reader = BarcodeReader.from_dataset(
        config.data, [config.val_split], k=config.k, max_length_bp=config.max_length_bp
    )
    return ValidationBatches(
        place_in_frame(reader, frame),
        config.masking(),
        batch_size=share.micro_batch_size,
        limit=config.max_val_barcodes,
        share=share,
    )


def count_correct(logits: Tensor, inputs: dict[str, Tensor]) -> Tensor:
    """Count the predicted k-mers whose most likely class is the true one.

    Args:
        logits: Logits at the predicted positions, (B, T, K).
        inputs: Arguments of the model, with `labels`, (B, L), and `target_positions`, (B, T).

    Returns:
        The number of correct predictions, a scalar.
    """
    positions = inputs["target_positions"]  # (B, T)
    truth = inputs["labels"].gather(1, positions.clamp(min=0))  # (B, T)
    is_correct = logits.argmax(dim=-1) + NUM_SPECIAL_TOKENS == truth
    return (is_correct & (positions >= 0)).sum()
