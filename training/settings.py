"""The settings of a pre-training run: typed, checked, loaded from recipes.

A recipe (`training/recipes/NAME.yaml`, or any YAML file) holds field names and values; what is
given on the command line wins over the recipe, the recipe over the defaults here. The text in
`Annotated` is the option's help. Guarded by tests/training/test_settings.py.
"""

import dataclasses
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml

from barcodemae.dataset import PRETRAINING_SPLITS
from barcodemae.errors import SettingsError
from barcodemae.modeling_barcodemae import BarcodeMAEConfig
from barcodemae.tokenization.tokenization_barcodemae import MAX_LENGTH_BP
from barcodemae.training.masking import Masking


LEARNING_RATE_UNIT = 64  # barcodes; the published rate is per 64 and scales linearly with the batch
Precision = Literal["fp32", "fp16", "bf16", "bf16-weights"]


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Everything that determines a pre-training run, besides the data themselves.

    Raises:
        SettingsError: Values that are out of range or contradict each other.
    """

    data: Annotated[Path, "Data set: a folder of Parquet files."]
    output: Annotated[Path, "Folder for checkpoints and the final model."]
    recipe: Annotated[str, "Name of the recipe the settings started from."] = "default"
    seed: Annotated[int, "Seed of weights, order, offsets, masks and dropout."] = 0

    train_splits: Annotated[tuple[str, ...], "Partitions to train on, comma-separated."] = (
        PRETRAINING_SPLITS
    )
    val_split: Annotated[str, "Partition for validation; empty for none."] = "val"
    max_val_barcodes: Annotated[int, "Validate on at most this many barcodes."] = 4096
    max_length_bp: Annotated[int, "Longest part of a barcode that is read, in bp."] = MAX_LENGTH_BP
    random_offset: Annotated[bool, "Skip 0 to k-1 bases at the start of each draw."] = True

    k: Annotated[int, "Length of a k-mer, in bp."] = 6
    hidden_size: Annotated[int, "Encoder width."] = 768
    num_hidden_layers: Annotated[int, "Encoder layers."] = 6
    num_attention_heads: Annotated[int, "Encoder attention heads."] = 6
    intermediate_size: Annotated[int, "Encoder feed-forward width."] = 3072
    decoder_hidden_size: Annotated[int, "Decoder width."] = 768
    decoder_num_hidden_layers: Annotated[int, "Decoder layers; 0 for BarcodeBERT."] = 6
    decoder_num_attention_heads: Annotated[int, "Decoder attention heads."] = 6
    decoder_intermediate_size: Annotated[int, "Decoder feed-forward width."] = 3072
    encoder_sees_mask: Annotated[bool, "Whether [MASK] tokens enter the encoder."] = False
    dropout: Annotated[float, "Dropout of hidden states and attention."] = 0.1

    mask_ratio: Annotated[float, "Share of k-mers that are predicted."] = 0.5
    exact_masks: Annotated[bool, "The same count in every barcode, or Bernoulli."] = True
    random_fraction: Annotated[float, "Share of predicted k-mers shown as random ones."] = 0.0
    kept_fraction: Annotated[float, "Share of predicted k-mers shown as they are."] = 0.0

    epochs: Annotated[float, "Passes over the training barcodes."] = 35.0
    max_steps: Annotated[int | None, "Optimiser steps; overrides epochs."] = None
    batch_size: Annotated[int, "Barcodes per optimiser step, all processes together."] = 128
    micro_batch_size: Annotated[
        int | None, "Barcodes per process and forward pass; less means accumulation."
    ] = None
    learning_rate: Annotated[float, "Peak rate per 64 barcodes; scaled with batch_size."] = 1e-4
    weight_decay: Annotated[float, "AdamW weight decay."] = 1e-5
    warmup_fraction: Annotated[float, "Share of steps before the OneCycle peak."] = 0.3
    max_grad_norm: Annotated[float | None, "Clip the gradient norm; none if unset."] = None

    precision: Annotated[Precision, "bf16-weights: bf16 model, fp32 masters."] = "bf16"
    compile: Annotated[bool, "Compile the layers with torch.compile."] = False
    gradient_checkpointing: Annotated[bool, "Recompute activations to save memory."] = False
    num_workers: Annotated[int, "Processes that prepare batches beside the training."] = 0

    checkpoint_every: Annotated[int, "Steps between checkpoints."] = 1000
    keep_checkpoints: Annotated[int, "Checkpoints kept; older ones are removed."] = 2
    validate_every: Annotated[int, "Steps between validations."] = 1000
    log_every: Annotated[int, "Steps between entries in the history."] = 20
    track: Annotated[str, "Tracker(s): tensorboard, wandb, trackio; comma-separated."] = ""

    def __post_init__(self) -> None:
        for name in ("data", "output"):
            object.__setattr__(self, name, Path(getattr(self, name)))
        object.__setattr__(self, "train_splits", tuple(self.train_splits))
        self._check_ranges()
        if self.batch_size % (self.micro_batch_size or 1):
            raise SettingsError(
                f"batch_size must be a multiple of micro_batch_size, got {self.batch_size} and "
                f"{self.micro_batch_size}"
            )
        if self.val_split and self.val_split in self.train_splits:
            raise SettingsError(f"val_split {self.val_split!r} is also a training split")
        self.masking()
        try:
            self.model_config()
        except (ValueError, TypeError) as error:
            raise SettingsError(f"model: {error}") from error

    def _check_ranges(self) -> None:
        at_least_one = (
            "batch_size", "checkpoint_every", "keep_checkpoints", "validate_every", "log_every",
            "max_val_barcodes", "max_steps", "micro_batch_size",
        )  # fmt: skip
        for name in at_least_one:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"{name} must be at least 1, got {value}")
        for name in ("epochs", "learning_rate", "max_grad_norm"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise SettingsError(f"{name} must be positive, got {value}")
        if not 0 <= self.dropout < 1:
            raise SettingsError(f"dropout must be at least 0 and below 1, got {self.dropout}")
        if not 0 < self.warmup_fraction < 1:
            raise SettingsError(
                f"warmup_fraction must lie between 0 and 1, got {self.warmup_fraction}"
            )
        if self.max_length_bp // self.k < 2:
            raise SettingsError(f"max_length_bp must hold two k-mers, got {self.max_length_bp}")

    @property
    def peak_learning_rate(self) -> float:
        """The rate at the top of the schedule: linear in the batch (arXiv 1706.02677)."""
        return self.learning_rate * self.batch_size / LEARNING_RATE_UNIT

    def num_steps(self, num_barcodes: int) -> int:
        """Optimiser steps of the whole run over `num_barcodes` training barcodes."""
        if self.max_steps is not None:
            return self.max_steps
        return max(1, round(self.epochs * num_barcodes / self.batch_size))

    def masking(self) -> Masking:
        """The masking settings."""
        return Masking(
            ratio=self.mask_ratio,
            exact=self.exact_masks,
            random_fraction=self.random_fraction,
            kept_fraction=self.kept_fraction,
        )

    def model_config(self) -> BarcodeMAEConfig:
        """The model these settings describe."""
        same_name = {field.name for field in dataclasses.fields(self)} & {
            field.name for field in dataclasses.fields(BarcodeMAEConfig)
        }
        return BarcodeMAEConfig(
            **{name: getattr(self, name) for name in same_name},
            hidden_dropout_prob=self.dropout,
            attention_probs_dropout_prob=self.dropout,
        )

    @classmethod
    def resolve(cls, recipe: dict[str, Any], **overrides: Any) -> Self:
        """Combine defaults, a recipe and overrides; an override of None counts as not given.

        Raises:
            SettingsError: An unknown field, a missing one, or contradictory values.
        """
        given = {name: value for name, value in overrides.items() if value is not None}
        values = {**recipe, **given}
        if isinstance(splits := values.get("train_splits"), str):  # as typed: "pretrain,train"
            values["train_splits"] = tuple(name.strip() for name in splits.split(","))
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise SettingsError(f"unknown setting(s): {', '.join(unknown)}")
        required = {field.name for field in dataclasses.fields(cls) if _is_required(field)}
        if missing := sorted(required - set(values)):
            raise SettingsError(f"missing setting(s): {', '.join(missing)}")
        return cls(**values)

    def save(self, path: Path) -> None:
        """Write the resolved settings as JSON."""
        text = json.dumps(dataclasses.asdict(self), indent=2, default=str)
        path.write_text(text + "\n")


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    folder = files("barcodemae.training").joinpath("recipes")
    return sorted(
        Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )


def load_recipe(name_or_file: str | Path) -> dict[str, Any]:
    """Read a recipe by name or from a YAML file.

    Returns:
        Field names and values, with `recipe` set to its name.

    Raises:
        SettingsError: No such recipe, or not a YAML mapping.
    """
    path = Path(name_or_file)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise SettingsError(f"no such recipe file: {path}")
        text = path.read_text()
    elif str(name_or_file) in recipe_names():
        text = (files("barcodemae.training") / "recipes" / f"{name_or_file}.yaml").read_text()
    else:
        raise SettingsError(
            f"no recipe {str(name_or_file)!r}; there are {', '.join(recipe_names())}"
        )
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: not YAML: {error}") from error
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: a recipe is a mapping of settings to values")
    return {"recipe": path.stem, **values}
