"""Everything a training run is made of, built before its first step.

In: settings, a model, batches. Out: a `TrainingRun`: model, optimiser, schedule, batches, history,
prepared by accelerate and, on resume, restored from the newest checkpoint. Pre-training and
fine-tuning differ in the model, the batches and what counts as correct, in nothing else.
Guarded by tests/training/test_pretrain*.py and test_finetune.py.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, DistributedType
from accelerate.state import AcceleratorState
from accelerate.tracking import get_available_trackers
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler
from transformers.modeling_layers import GradientCheckpointingLayer

from barcodemae.cpu_memory import reuse_freed_memory
from barcodemae.dataset import dataset_hash
from barcodemae.errors import SettingsError
from barcodemae.modeling_barcodemae import BarcodeMAEPreTrainedModel
from barcodemae.tokenization import BarcodeKmerTokenizer
from barcodemae.training.batches.step_batches import Share
from barcodemae.training.cpu.compile import compile_on_cpu, has_compiler
from barcodemae.training.cpu.kernels import use_cpu_kernels
from barcodemae.training.run.checkpoints import checkpoint_folders, load_latest
from barcodemae.training.run.history import History
from barcodemae.training.run.master_weights import MasterWeightAdamW
from barcodemae.training.run.optimisation import build_optimizer, build_schedule, trainable
from barcodemae.training.run.run_settings import RunSettings


SETTINGS_FILE = "settings.json"
UNCAST = {"fp32", "bf16-weights"}  # precisions without autocast
# Settings that may change between a run and its continuation: they do not touch the weights.
FREE_ON_RESUME = {
    "data", "output", "recipe", "checkpoint_every", "keep_checkpoints", "validate_every",
    "log_every", "max_val_barcodes", "memory_map", "num_workers", "track", "gradient_checkpointing",
}  # fmt: skip


class Batch(Protocol):
    """A micro-batch of any task."""

    @property
    def num_targets(self) -> int:
        """Number of predictions that are scored."""

    def inputs(self, device: torch.device) -> dict[str, Tensor]:
        """Keyword arguments of the model."""


class Batches(Protocol):
    """Item s is the list of micro-batches of this process in step s."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> list[Any]: ...


class TrainingBatches(Batches, Protocol):
    """Batches that know which barcodes a step holds."""

    @property
    def num_barcodes(self) -> int:
        """Barcodes in an epoch."""

    def processids(self, step: int) -> list[str]:
        """Names of the barcodes of a step, all processes together."""


@dataclass(kw_only=True)
class TrainingRun:
    """What a run is made of once everything is prepared.

    Attributes:
        config: The settings.
        accelerator: Devices, processes, precision.
        model: As prepared by accelerate.
        optimizer: As prepared by accelerate.
        scheduler: Stepped once per optimiser step.
        train: Batches of every step of the run.
        val: Validation batches, or None.
        count_correct: From logits and inputs to the number of correct predictions.
        tokenizer: The tokenizer that belongs to the model.
        data_hash: Fingerprint of the data set.
        history: Measurements so far.
        step: Steps done.
        seconds: Time spent so far, earlier processes included.
        best_accuracy: Highest validation accuracy so far.
        mark: Step and seconds of the last record, for the rate.
    """

    config: RunSettings
    accelerator: Accelerator
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: LRScheduler
    train: TrainingBatches
    val: Batches | None
    count_correct: Callable[[Tensor, dict[str, Tensor]], Tensor]
    tokenizer: BarcodeKmerTokenizer
    data_hash: str
    history: History = field(default_factory=History)
    step: int = 0
    seconds: float = 0.0
    best_accuracy: float = -math.inf
    mark: tuple[int, float] = (0, 0.0)

    @property
    def num_steps(self) -> int:
        """Steps of the whole run."""
        return len(self.train)

    def is_due(self, every: int) -> bool:
        """Whether something done every so many steps, and at the end, falls on this step."""
        return self.step % every == 0 or self.step == self.num_steps

    def whole_model(self) -> BarcodeMAEPreTrainedModel:
        """Gather the model as it is to be saved; called by every process, used by the main one.

        A model in bf16 comes back with its fp32 master weights, one that is spread over processes
        (FSDP) in one piece.
        """
        trained = cast("BarcodeMAEPreTrainedModel", self.accelerator.unwrap_model(self.model))
        optimizer = getattr(self.optimizer, "optimizer", self.optimizer)
        is_spread = self.accelerator.distributed_type == DistributedType.FSDP
        if not is_spread and not isinstance(optimizer, MasterWeightAdamW):
            return trained
        weights = self.accelerator.get_state_dict(self.model)
        if not self.accelerator.is_main_process:
            return trained
        model = type(trained)(trained.config)
        model.load_state_dict(weights)
        if isinstance(optimizer, MasterWeightAdamW):
            with torch.no_grad():
                for parameter, master in zip(trainable(model), optimizer.masters, strict=True):
                    parameter.copy_(master)
        return model

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps besides weights and optimiser."""
        return {
            "data_hash": self.data_hash,
            "seconds": self.seconds,
            "best_accuracy": None if math.isinf(self.best_accuracy) else self.best_accuracy,
            "schedule": self.scheduler.state_dict(),
            "history": self.history.records,
        }

    def restore(self) -> None:
        """Continue where the newest checkpoint left off, if there is one.

        Raises:
            SettingsError: The data set is not the one the run began with.
            CheckpointError: The checkpoint is damaged or does not fit.
        """
        state = load_latest(self.accelerator, self.config.output)
        if state is None:
            return
        if state["data_hash"] != self.data_hash:
            raise SettingsError(
                f"cannot resume {self.config.output}: the data set has changed "
                f"({state['data_hash']} then, {self.data_hash} now)"
            )
        self.step = state["step"]
        self.seconds = state["seconds"]
        self.mark = (self.step, self.seconds)
        self.best_accuracy = -math.inf if state["best_accuracy"] is None else state["best_accuracy"]
        self.scheduler.load_state_dict(state["schedule"])
        self.history = History(state["history"])


def start_accelerator(config: RunSettings, *, resume: bool) -> Accelerator:
    """Set up devices, precision and trackers, and take possession of the output folder.

    Raises:
        SettingsError: The machine cannot do what is asked for, or the folder holds another run.
    """
    autocast = {"fp32": "no", "bf16-weights": "no"}.get(config.precision, config.precision)
    if missing := set(config.trackers) - {str(name) for name in get_available_trackers()}:
        raise SettingsError(f"track: {', '.join(sorted(missing))} is not installed")
    # One process may hold several runs, one after the other, in different precisions.
    AcceleratorState._reset_state()
    accelerator = Accelerator(
        # Said outright, or several processes without GPUs would each train on their own.
        cpu=not torch.accelerator.is_available(),
        mixed_precision=autocast,
        log_with=config.trackers or None,
        project_dir=config.output,
        # The only buffers are constants; sharing them would cost a message per forward pass.
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
    )
    if config.precision == "fp16" and accelerator.device.type == "cpu":
        # There is no loss scaling on the CPU, so small gradients would vanish.
        raise SettingsError("precision fp16 needs a GPU: use bf16")
    if config.compile and accelerator.device.type == "cpu" and not has_compiler():
        raise SettingsError(
            "compile needs a C++ compiler, and none was found: install g++, name yours in the "
            "environment variable CXX, or train more slowly with --no-compile"
        )
    if accelerator.distributed_type == DistributedType.FSDP and config.precision == "bf16-weights":
        raise SettingsError(
            "precision bf16-weights keeps whole fp32 masters and does not go with FSDP: use bf16"
        )
    claim_output(config, accelerator, resume=resume)
    if config.trackers:
        settings = {name: str(value) for name, value in config.as_json().items()}
        accelerator.init_trackers("barcodemae", config=settings)
    return accelerator


def claim_output(config: RunSettings, accelerator: Accelerator, *, resume: bool) -> None:
    """Refuse an output folder that belongs to another run; record the settings in a new one.

    Raises:
        SettingsError: The folder holds a run, and `resume` is False or its settings differ.
    """
    path = config.output / SETTINGS_FILE
    if checkpoint_folders(config.output) and not resume:
        raise SettingsError(
            f"{config.output} already holds a run: continue it with --resume or choose another "
            "--output"
        )
    if resume and path.is_file():
        # A setting that is younger than the run had its default's effect then.
        theirs = config.defaults() | json.loads(path.read_text())
        changed = [
            f"{name} was {theirs.get(name)!r}, is now {value!r}"
            for name, value in config.as_json().items()
            if name not in FREE_ON_RESUME and theirs.get(name) != value
        ]
        if changed:
            raise SettingsError(f"cannot resume {config.output}: {'; '.join(changed)}")
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        config.output.mkdir(parents=True, exist_ok=True)
        config.save(path)


def share_of(config: RunSettings, accelerator: Accelerator) -> Share:
    """This process's share of every step.

    Raises:
        SettingsError: The processes cannot share the batch evenly.
    """
    world_size = accelerator.num_processes
    return Share(
        batch_size=config.batch_size,
        micro_batch_size=config.micro_batch_size or max(1, config.batch_size // world_size),
        rank=accelerator.process_index,
        world_size=world_size,
    )


def assemble(
    config: RunSettings,
    accelerator: Accelerator,
    model: BarcodeMAEPreTrainedModel,
    train: TrainingBatches,
    *,
    resume: bool,
    **parts: Any,
) -> TrainingRun:
    """Add optimiser and schedule to a model and its batches; restore the newest checkpoint.

    Args:
        config: The settings.
        accelerator: From `start_accelerator`.
        model: The model, fresh.
        train: Batches of every step.
        resume: Whether to look for a checkpoint.
        **parts: The task's own: `val`, `count_correct`, `tokenizer`.
    """
    make_ready(model, config, accelerator.device)
    optimizer = build_optimizer(config, model)
    scheduler = build_schedule(config, optimizer, num_steps=len(train))
    # The schedule is not prepared: accelerate would step it once per process.
    prepared_model, prepared_optimizer = accelerator.prepare(model, optimizer)
    run = TrainingRun(
        config=config,
        accelerator=accelerator,
        model=prepared_model,
        optimizer=prepared_optimizer,
        scheduler=scheduler,
        train=train,
        data_hash=dataset_hash(config.data),
        **parts,
    )
    if resume:
        run.restore()
    return run


def make_ready(model: BarcodeMAEPreTrainedModel, config: RunSettings, device: torch.device) -> None:
    """Put a model on its device, ready to train, as precision and compilation ask for."""
    on_cpu = device.type == "cpu"
    if on_cpu:
        reuse_freed_memory()
        use_cpu_kernels(model)
    model.train()
    if config.precision == "bf16-weights":
        for parameter in model.parameters():
            # Not the buffers: rotary positions would be off by up to a fifth of a radian.
            parameter.data = parameter.data.to(torch.bfloat16)
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if config.compile:
        compile_layers(model, on_cpu=on_cpu and config.precision in UNCAST)
    model.to(device)  # type: ignore[arg-type]


def compile_layers(model: BarcodeMAEPreTrainedModel, *, on_cpu: bool) -> None:
    """Compile layer by layer: they share one compiled graph, so start-up stays short.

    The graphs of models that this process trained before go first: they would count against the
    number of graphs from which on torch computes uncompiled, with no more than a warning.
    """
    torch.compiler.reset()
    done = set(compile_on_cpu(model)) if on_cpu else set()
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer) and module not in done:
            module.compile(dynamic=False)
