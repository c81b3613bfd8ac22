"""Everything a pre-training run is made of, built before its first step.

In: settings. Out: a `PretrainRun`: model, optimiser, schedule, batches, history, prepared by
accelerate and, on resume, restored from the newest checkpoint. Guarded by
tests/training/test_pretrain*.py.
"""

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any, cast

import torch
from accelerate import Accelerator
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR
from transformers.modeling_layers import GradientCheckpointingLayer

from barcodemae.dataset import dataset_hash
from barcodemae.errors import SettingsError
from barcodemae.modeling_barcodemae import BarcodeMAEForPreTraining
from barcodemae.tokenization import BarcodeKmerTokenizer
from barcodemae.training.batches import Share, StepBatches, ValidationBatches
from barcodemae.training.checkpoints import checkpoint_folders, load_latest
from barcodemae.training.history import History
from barcodemae.training.master_weights import MasterWeightAdamW
from barcodemae.training.reader import BarcodeReader
from barcodemae.training.settings import PretrainConfig


SETTINGS_FILE = "settings.json"
# Settings that may change between a run and its continuation: they do not touch the weights.
FREE_ON_RESUME = {
    "data", "output", "checkpoint_every", "keep_checkpoints", "validate_every", "log_every",
    "max_val_barcodes", "num_workers", "track", "gradient_checkpointing",
}  # fmt: skip


@dataclass
class PretrainRun:
    """What a run is made of once everything is prepared."""

    config: PretrainConfig
    accelerator: Accelerator
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: LRScheduler
    train: StepBatches
    val: ValidationBatches | None
    data_hash: str
    history: History
    step: int = 0
    seconds: float = 0.0
    best_accuracy: float = -math.inf
    mark: tuple[int, float] = (0, 0.0)  # step and seconds of the last record, for the rate

    @property
    def unwrapped_model(self) -> BarcodeMAEForPreTraining:
        """The model without what accelerate put around it."""
        return cast("BarcodeMAEForPreTraining", self.accelerator.unwrap_model(self.model))

    @property
    def tokenizer(self) -> BarcodeKmerTokenizer:
        """The tokenizer that belongs to the model."""
        return BarcodeKmerTokenizer(k=self.config.k, max_length_bp=self.config.max_length_bp)

    def is_due(self, every: int) -> bool:
        """Whether something done every so many steps, and at the end, falls on this step."""
        return self.step % every == 0 or self.step == self.train.num_steps

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps besides weights and optimiser."""
        return {
            "data_hash": self.data_hash,
            "seconds": self.seconds,
            "best_accuracy": None if math.isinf(self.best_accuracy) else self.best_accuracy,
            "history": self.history.records,
        }


def prepare_run(config: PretrainConfig, *, resume: bool) -> PretrainRun:
    """Build model, optimiser and batches, and restore the newest checkpoint if asked to."""
    accelerator = build_accelerator(config)
    train = build_train_batches(config, accelerator)
    claim_output(config, accelerator, resume=resume)
    model = build_model(config)
    model.to(accelerator.device)
    optimizer = build_optimizer(config, model)
    scheduler = OneCycleLR(
        optimizer,
        max_lr=config.peak_learning_rate,
        total_steps=max(train.num_steps, 2),
        pct_start=config.warmup_fraction,
    )
    model, optimizer = accelerator.prepare(model, optimizer)
    # Not prepared: accelerate would step it once per process, and here a step is a step.
    accelerator.register_for_checkpointing(scheduler)
    run = PretrainRun(
        config=config,
        accelerator=accelerator,
        model=model,
        optimizer=optimizer,
        scheduler=scheduler,
        train=train,
        val=build_val_batches(config, train.share),
        data_hash=dataset_hash(config.data),
        history=History(),
    )
    if resume:
        restore(run)
    return run


def build_accelerator(config: PretrainConfig) -> Accelerator:
    """Set up devices, precision and trackers."""
    autocast = {"fp32": "no", "bf16-weights": "no"}.get(config.precision, config.precision)
    trackers = [name.strip() for name in config.track.split(",") if name.strip()]
    accelerator = Accelerator(
        mixed_precision=autocast, log_with=trackers or None, project_dir=config.output
    )
    if trackers:
        settings = {name: str(value) for name, value in dataclasses.asdict(config).items()}
        accelerator.init_trackers("barcodemae", config=settings)
    return accelerator


def claim_output(config: PretrainConfig, accelerator: Accelerator, *, resume: bool) -> None:
    """Refuse an output folder that belongs to another run; record the settings in a new one."""
    path = config.output / SETTINGS_FILE
    mine = json.loads(json.dumps(dataclasses.asdict(config), default=str))
    if checkpoint_folders(config.output) and not resume:
        raise SettingsError(
            f"{config.output} already holds a run: continue it with --resume or choose another "
            "--output"
        )
    if resume and path.is_file():
        theirs = json.loads(path.read_text())
        changed = [
            f"{name} was {theirs.get(name)!r}, is now {value!r}"
            for name, value in mine.items()
            if name not in FREE_ON_RESUME and theirs.get(name) != value
        ]
        if changed:
            raise SettingsError(f"cannot resume {config.output}: {'; '.join(changed)}")
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        config.output.mkdir(parents=True, exist_ok=True)
        config.save(path)


def build_train_batches(config: PretrainConfig, accelerator: Accelerator) -> StepBatches:
    """Open the training partitions and this process's share of them."""
    reader = BarcodeReader.from_dataset(
        config.data, config.train_splits, k=config.k, max_length_bp=config.max_length_bp
    )
    world_size = accelerator.num_processes
    share = Share(
        batch_size=config.batch_size,
        micro_batch_size=config.micro_batch_size or max(1, config.batch_size // world_size),
        rank=accelerator.process_index,
        world_size=world_size,
    )
    return StepBatches(
        reader,
        share,
        config.masking(),
        seed=config.seed,
        random_offset=config.random_offset,
        num_steps=config.num_steps(len(reader)),
    )


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


def build_model(config: PretrainConfig) -> BarcodeMAEForPreTraining:
    """Initialise the model from the seed."""
    torch.manual_seed(config.seed)
    model: BarcodeMAEForPreTraining = BarcodeMAEForPreTraining(config.model_config())
    model.train()
    if config.precision == "bf16-weights":
        model.to(torch.bfloat16)  # type: ignore[arg-type]
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if config.compile:
        # Layer by layer: they share one compiled graph, so start-up stays short.
        for module in model.modules():
            if isinstance(module, GradientCheckpointingLayer):
                module.compile(dynamic=False)
    return model


def build_optimizer(config: PretrainConfig, model: torch.nn.Module) -> torch.optim.Optimizer:
    """AdamW over all trainable parameters, with fp32 masters for a bf16 model."""
    kind = MasterWeightAdamW if config.precision == "bf16-weights" else torch.optim.AdamW
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return kind(
        trainable, lr=config.peak_learning_rate, weight_decay=config.weight_decay, fused=True
    )


def restore(run: PretrainRun) -> None:
    """Continue where the newest checkpoint left off."""
    state = load_latest(run.accelerator, run.config.output)
    if state is None:
        return
    if state["data_hash"] != run.data_hash:
        raise SettingsError(
            f"cannot resume {run.config.output}: the data set has changed "
            f"({state['data_hash']} then, {run.data_hash} now)"
        )
    run.step = state["step"]
    run.seconds = state["seconds"]
    run.mark = (run.step, run.seconds)
    run.best_accuracy = -math.inf if state["best_accuracy"] is None else state["best_accuracy"]
    run.history = History(state["history"])
