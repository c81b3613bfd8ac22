"""The set-up of a training run: everything that is built before its first step.

In: settings, a model, batches. Out: a `TrainingRun`: model, optimiser, schedule, batches, history,
prepared by accelerate and, on resume, restored from the newest checkpoint. Pre-training and
fine-tuning differ only in the model, the batches and how correct predictions are counted.
Guarded by tests/training/run/test_pretrain_loop.py, tests/training/run/test_pretrain_resume.py,
tests/training/run/test_pretrain_processes.py and tests/training/run/test_finetune.py.
"""

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
from barcodemae.training.run.checkpoints import load_checkpoint
from barcodemae.training.run.claim import Resume, claim_output
from barcodemae.training.run.history import History
from barcodemae.training.run.master_weights import MasterWeightAdamW
from barcodemae.training.run.optimisation import build_optimizer, build_schedule, trainable
from barcodemae.training.run.run_settings import RunSettings


WITHOUT_AUTOCAST = {"fp32", "bf16-weights"}  # precisions


class Batch(Protocol):
    """A micro-batch of any task."""

    @property
    def num_targets(self) -> int:
        """Number of predictions that count in the loss."""

    def inputs(self, device: torch.device) -> dict[str, Tensor]:
        """Return the keyword arguments of the model, moved to `device`."""


class Batches(Protocol):
    """Batches by step: item s is the list of this process's micro-batches of step s."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> list[Any]: ...


class TrainingBatches(Batches, Protocol):
    """Batches that know which barcodes a step holds."""

    @property
    def num_barcodes(self) -> int:
        """Number of barcodes in an epoch."""

    def processids(self, step: int) -> list[str]:
        """List the names of a step's barcodes, over all processes."""


AsSaved = Callable[[BarcodeMAEPreTrainedModel], BarcodeMAEPreTrainedModel]


def unchanged(model: BarcodeMAEPreTrainedModel) -> BarcodeMAEPreTrainedModel:
    """Return the model that is saved where it is the one that is trained."""
    return model


@dataclass(frozen=True, kw_only=True)
class Task:
    """What pre-training and fine-tuning each bring to a run.

    Attributes:
        train: Batches of every step of the run.
        val: Validation batches, or None.
        count_correct: From logits and inputs to the number of correct predictions.
        tokenizer: The tokenizer that belongs to the model.
        as_saved: Function that makes the model that is saved of the one that is trained.
    """

    train: TrainingBatches
    val: Batches | None
    count_correct: Callable[[Tensor, dict[str, Tensor]], Tensor]
    tokenizer: BarcodeKmerTokenizer
    as_saved: AsSaved = unchanged


@dataclass(kw_only=True)
class TrainingRun:
    """A training run with all its parts, ready for the loop.

    Attributes:
        config: The settings.
        accelerator: Devices, processes and precision.
        model: The model, prepared by accelerate.
        optimizer: The optimiser, prepared by accelerate.
        scheduler: The learning-rate schedule, advanced once per optimiser step.
        train: Batches of every step of the run.
        val: Validation batches; None without validation.
        count_correct: Function from logits and inputs to the number of correct predictions.
        tokenizer: Tokenizer of the model.
        data_hash: Fingerprint of the data set.
        history: Measurements so far.
        step: Number of steps done.
        seconds: Training time so far, in seconds, before a resume included.
        best_accuracy: Highest validation accuracy so far, in percent.
        last_record: Step and seconds of the last training record, from which the rate is computed.
        as_saved: Function that makes the model that is saved of the one that is trained.
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
    last_record: tuple[int, float] = (0, 0.0)
    as_saved: AsSaved = unchanged

    @property
    def num_steps(self) -> int:
        """Number of steps of the whole run."""
        return len(self.train)

    def is_due(self, every: int) -> bool:
        """Whether something that happens every `every` steps, and at the end, is due now."""
        return self.step % every == 0 or self.step == self.num_steps

    def model_to_save(self) -> BarcodeMAEPreTrainedModel:
        """Gather the model for saving; called by every process, valid in the main one.

        A bf16 model is returned with its fp32 master weights, and a model that is sharded over
        processes (FSDP) in one piece.
        """
        return self.as_saved(self._gathered())

    def _gathered(self) -> BarcodeMAEPreTrainedModel:
        trained = cast("BarcodeMAEPreTrainedModel", self.accelerator.unwrap_model(self.model))
        optimizer = getattr(self.optimizer, "optimizer", self.optimizer)
        is_sharded = self.accelerator.distributed_type == DistributedType.FSDP
        if not is_sharded and not isinstance(optimizer, MasterWeightAdamW):
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
        """Return what a checkpoint holds beside the weights and the optimiser's state."""
        return {
            "data_hash": self.data_hash,
            "seconds": self.seconds,
            "best_accuracy": None if math.isinf(self.best_accuracy) else self.best_accuracy,
            "schedule": self.scheduler.state_dict(),
            "history": self.history.records,
        }

    def restore(self, resume: Resume) -> None:
        """Restore a checkpoint, by default the newest, if there is one.

        Args:
            resume: True, or the checkpoint to restore; those newer than it are removed.

        Raises:
            SettingsError: The data set is not the one the run was started with.
            CheckpointError: The checkpoint is damaged or does not fit the model.
        """
        state = load_checkpoint(self.accelerator, self.config.output, resume)
        if state is None:
            return
        if state["data_hash"] != self.data_hash:
            raise SettingsError(
                f"cannot resume {self.config.output}: the data set has changed "
                f"(its hash was {state['data_hash']}, is now {self.data_hash})"
            )
        self.step = state["step"]
        self.seconds = state["seconds"]
        self.last_record = (self.step, self.seconds)
        self.best_accuracy = -math.inf if state["best_accuracy"] is None else state["best_accuracy"]
        self.scheduler.load_state_dict(state["schedule"])
        self.history = History(state["history"])


def start_accelerator(config: RunSettings, *, resume: Resume) -> Accelerator:
    """Set up devices, precision and trackers, and claim the output folder.

    Args:
        config: The settings.
        resume: Whether, or from which checkpoint, the run in the output folder is to be continued.

    Raises:
        SettingsError: The machine does not support the settings, or the folder holds another run.
    """
    autocast = {"fp32": "no", "bf16-weights": "no"}.get(config.precision, config.precision)
    if missing := set(config.trackers) - {str(name) for name in get_available_trackers()}:
        raise SettingsError(f"track: {', '.join(sorted(missing))} is not installed")
    # One process may do several runs, one after the other, in different precisions.
    AcceleratorState._reset_state()
    accelerator = Accelerator(
        # Without this, several processes without GPUs would each train on their own.
        cpu=not torch.accelerator.is_available(),
        mixed_precision=autocast,
        log_with=config.trackers or None,
        project_dir=config.output,
        # All buffers are constants; broadcasting them would cost a message per forward pass.
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
            "precision bf16-weights keeps all fp32 master weights in every process, which FSDP "
            "does not allow: use bf16"
        )
    claim_output(config, accelerator, resume=resume)
    if config.trackers:
        settings = {name: str(value) for name, value in config.as_json().items()}
        accelerator.init_trackers("barcodemae", config=settings)
    return accelerator


def share_of(config: RunSettings, accelerator: Accelerator) -> Share:
    """Compute this process's part of every step.

    Raises:
        SettingsError: The batch cannot be divided evenly among the processes.
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
    task: Task,
    *,
    resume: Resume,
) -> TrainingRun:
    """Add optimiser and schedule to a model and its task; restore a checkpoint.

    Args:
        config: The settings.
        accelerator: From `start_accelerator`.
        model: The model before its first step.
        task: Batches, and what counts as correct.
        resume: Whether to restore the newest checkpoint, or which one.
    """
    make_ready(model, config, accelerator.device)
    optimizer = build_optimizer(config, model)
    scheduler = build_schedule(config, optimizer, num_steps=len(task.train))
    # The schedule is not prepared, because accelerate would advance it once per process.
    prepared_model, prepared_optimizer = accelerator.prepare(model, optimizer)
    run = TrainingRun(
        config=config,
        accelerator=accelerator,
        model=prepared_model,
        optimizer=prepared_optimizer,
        scheduler=scheduler,
        train=task.train,
        val=task.val,
        count_correct=task.count_correct,
        tokenizer=task.tokenizer,
        data_hash=dataset_hash(config.data),
        as_saved=task.as_saved,
    )
    if resume:
        run.restore(resume)
    return run


def make_ready(model: BarcodeMAEPreTrainedModel, config: RunSettings, device: torch.device) -> None:
    """Prepare a model, in place, for training on its device with the settings' precision."""
    on_cpu = device.type == "cpu"
    if on_cpu:
        reuse_freed_memory()
        use_cpu_kernels(model)
    model.train()
    if config.precision == "bf16-weights":
        for parameter in model.parameters():
            # The buffers stay fp32: in bf16 rotary angles would be off by up to 0.2 radian.
            parameter.data = parameter.data.to(torch.bfloat16)
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if config.compile:
        compile_layers(model, on_cpu=on_cpu and config.precision in WITHOUT_AUTOCAST)
    model.to(device)  # type: ignore[arg-type]


def compile_layers(model: BarcodeMAEPreTrainedModel, *, on_cpu: bool) -> None:
    """Compile a model layer by layer: the layers share one graph, so start-up is short.

    The graphs of models that this process has trained before are dropped first. They would count
    towards torch's limit, beyond which it runs uncompiled with no more than a warning.

    Args:
        model: The model.
        on_cpu: Whether to use the layers of `training.cpu`.
    """
    torch.compiler.reset()
    done = set(compile_on_cpu(model)) if on_cpu else set()
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer) and module not in done:
            module.compile(dynamic=False)
