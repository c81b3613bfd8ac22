"""Settings that all training runs have: common fields, their checks, recipes, JSON.

A recipe (`training/recipes/NAME.yaml`, or any YAML file) holds field names and values. The command
line overrides the recipe, and the recipe overrides the defaults of the class. The text in
`Annotated` is the help text of the option.

In: a recipe and overrides. Out: checked settings, and their JSON.
Guarded by tests/training/run/test_pretrain_settings.py.
"""

import dataclasses
import json
import math
import types
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    Self,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import yaml

from barcodemae.errors import SettingsError
from barcodemae.files import write_json
from barcodemae.kmer_facts import MAX_LENGTH_BP


LEARNING_RATE_UNIT = 64  # barcodes; the published rate is per 64 and scales linearly with the batch
NONE = "none"  # how an optional setting is unset on the command line
TRACKERS = ("tensorboard", "wandb", "trackio")
Precision = Literal["fp32", "fp16", "bf16", "bf16-weights"]
Schedule = Literal["one-cycle", "constant"]


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """The settings that pre-training and fine-tuning have in common.

    Raises:
        SettingsError: A value has the wrong type, is out of range or contradicts another.
    """

    data: Annotated[Path, "Data set: a folder of Parquet files."]
    output: Annotated[Path, "Folder for checkpoints and the final model."]
    recipe: Annotated[str, "Name of the recipe the settings started from."] = "default"
    seed: Annotated[int, "Seed of weights, order, offsets, masks and dropout."] = 0

    max_length_bp: Annotated[int, "Longest part of a barcode that is read, in bp."] = MAX_LENGTH_BP
    random_offset: Annotated[bool, "Skip 0 to k-1 bases at the start of each draw."] = True

    epochs: Annotated[float, "Passes over the training barcodes."] = 35.0
    max_steps: Annotated[int | None, "Optimiser steps instead of epochs."] = None
    batch_size: Annotated[int, "Barcodes per optimiser step, all processes together."] = 128
    micro_batch_size: Annotated[
        int | None, "Barcodes per process and forward pass; less means accumulation."
    ] = None
    learning_rate: Annotated[float, "Peak rate per 64 barcodes; scaled with batch_size."] = 1e-4
    weight_decay: Annotated[float, "AdamW weight decay."] = 1e-5
    schedule: Annotated[
        Schedule, "one-cycle ends near 0; constant may be stopped anywhere after the warm-up."
    ] = "one-cycle"
    warmup_fraction: Annotated[float, "Share of steps before the peak rate."] = 0.3
    cooldown_fraction: Annotated[
        float, "Share of steps at the end over which a constant rate falls to 0."
    ] = 0.0
    max_grad_norm: Annotated[float | None, "Clip the gradient norm."] = None

    precision: Annotated[Precision, "bf16-weights: bf16 model, fp32 masters."] = "bf16"
    compile: Annotated[bool, "Compile the layers with torch.compile; on a CPU the loss too."] = (
        False
    )
    gradient_checkpointing: Annotated[bool, "Recompute activations to save memory."] = False
    num_workers: Annotated[int, "Processes that prepare batches beside the training."] = 0

    checkpoint_every: Annotated[int, "Steps between checkpoints."] = 1000
    keep_checkpoints: Annotated[int, "Checkpoints kept; older ones are removed."] = 2
    validate_every: Annotated[int, "Steps between validations."] = 1000
    log_every: Annotated[int, "Steps between entries in the history."] = 20
    track: Annotated[str, "Tracker(s): tensorboard, wandb, trackio; comma-separated."] = ""

    AT_LEAST_ONE: ClassVar[tuple[str, ...]] = (
        "max_steps", "batch_size", "micro_batch_size", "checkpoint_every", "keep_checkpoints",
        "validate_every", "log_every",
    )  # fmt: skip
    AT_LEAST_ZERO: ClassVar[tuple[str, ...]] = ("seed", "weight_decay", "num_workers")
    POSITIVE: ClassVar[tuple[str, ...]] = ("epochs", "learning_rate", "max_grad_norm")

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self), include_extras=True)
        for field in dataclasses.fields(self):
            value = convert_value(field.name, getattr(self, field.name), hints[field.name])
            object.__setattr__(self, field.name, value)
        self._check_ranges()
        if self.batch_size % (self.micro_batch_size or 1):
            raise SettingsError(
                f"batch_size must be a multiple of micro_batch_size, got {self.batch_size} and "
                f"{self.micro_batch_size}"
            )
        if unknown := [name for name in self.trackers if name not in TRACKERS]:
            raise SettingsError(f"track must name {', '.join(TRACKERS)}, got {', '.join(unknown)}")

    def _check_ranges(self) -> None:
        for names, is_wrong, rule in (
            (self.AT_LEAST_ONE, lambda value: value < 1, "at least 1"),
            (self.AT_LEAST_ZERO, lambda value: value < 0, "at least 0"),
            (self.POSITIVE, lambda value: value <= 0, "positive"),
        ):
            for name in names:
                value = getattr(self, name)
                if value is not None and is_wrong(value):
                    raise SettingsError(f"{name} must be {rule}, got {value}")
        if not 0 < self.warmup_fraction < 1:
            raise SettingsError(
                f"warmup_fraction must lie between 0 and 1, got {self.warmup_fraction}"
            )
        if not 0 <= self.cooldown_fraction <= 1:
            raise SettingsError(
                f"cooldown_fraction must lie between 0 and 1, got {self.cooldown_fraction}"
            )
        if self.cooldown_fraction and self.schedule != "constant":
            raise SettingsError(
                "cooldown_fraction is for the schedule constant; one-cycle has its own"
            )

    @property
    def peak_learning_rate(self) -> float:
        """Highest learning rate of the schedule, linear in the batch size (arXiv 1706.02677)."""
        return self.learning_rate * self.batch_size / LEARNING_RATE_UNIT

    @property
    def trackers(self) -> list[str]:
        """Names of the trackers in `track`."""
        return [name.strip() for name in self.track.split(",") if name.strip()]

    def num_steps(self, num_barcodes: int) -> int:
        """Compute the number of optimiser steps of a run on `num_barcodes` training barcodes."""
        if self.max_steps is not None:
            return self.max_steps
        return max(1, round(self.epochs * num_barcodes / self.batch_size))

    @classmethod
    def resolve(cls, recipe: dict[str, Any], **overrides: Any) -> Self:
        """Combine defaults, a recipe and overrides.

        Args:
            recipe: Field names and values.
            **overrides: Field names and values that override the recipe. None counts as not given;
                the text "none" unsets an optional setting. `epochs` also unsets the `max_steps` of
                a recipe, because otherwise it would have no effect.

        Raises:
            SettingsError: A field is unknown or missing, or a value is not allowed.
        """
        given = {name: value for name, value in overrides.items() if value is not None}
        if "epochs" in given:
            if given.get("max_steps", NONE) != NONE:
                raise SettingsError("epochs and max_steps exclude each other")
            given.setdefault("max_steps", NONE)
        values = {**recipe, **given}
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise SettingsError(f"unknown setting(s): {', '.join(map(str, unknown))}")
        required = {field.name for field in dataclasses.fields(cls) if is_required(field)}
        if missing := sorted(required - set(values)):
            raise SettingsError(f"missing setting(s): {', '.join(missing)}")
        return cls(**values)

    def as_json(self) -> dict[str, Any]:
        """Return field names and values in types that JSON has."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self), default=str))
        return values

    def defaults(self) -> dict[str, Any]:
        """Return what `as_json` would with the default of every field that has one."""
        required = [field.name for field in dataclasses.fields(self) if is_required(field)]
        return type(self)(**{name: getattr(self, name) for name in required}).as_json()

    def save(self, path: Path) -> None:
        """Write the settings as JSON, completely or not at all."""
        write_json(path, self.as_json())


def is_required(field: "dataclasses.Field[Any]") -> bool:
    """Whether a field has no default."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def parse_hint(hint: Any) -> tuple[Any, str, bool]:
    """Split a field's annotation into its parts.

    Returns:
        kind: The type, without None.
        text: The help text.
        is_optional: Whether None is allowed.
    """
    kind, text = get_args(hint)[:2] if get_origin(hint) is Annotated else (hint, "")
    if get_origin(kind) in (Union, types.UnionType):
        return next(part for part in get_args(kind) if part is not type(None)), text, True
    return kind, text, False


def convert_value(name: str, value: Any, hint: Any) -> Any:
    """Convert a value from YAML or the command line to the type of its field.

    Args:
        name: Name of the field, for messages.
        value: Value to convert.
        hint: Annotation of the field.

    Raises:
        SettingsError: The value has another type.
    """
    kind, _, is_optional = parse_hint(hint)
    if is_optional and (value is None or value == NONE):
        return None
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise SettingsError(f"{name} must be one of {', '.join(get_args(kind))}, got {value!r}")
        return value
    if get_origin(kind) is tuple:
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(part.strip() for part in parts)
    if isinstance(value, bool) == (kind is bool) and value is not None:
        try:
            # YAML 1.1 reads 1e-4 as text. A whole number may be a float, but 1.5 is not an int.
            if kind is not int or not isinstance(value, float) or value.is_integer():
                return finite(kind(value))
        except (TypeError, ValueError, OverflowError):
            pass
    raise SettingsError(f"{name} must be {kind.__name__}, got {value!r}")


def finite(value: Any) -> Any:
    """Return a value, unless it is a number that is NaN or infinite.

    Raises:
        ValueError: It is.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError
    return value


def recipe_names() -> list[str]:
    """List the names of the recipes that come with the package."""
    folder = files("barcodemae.training").joinpath("recipes")
    return sorted(
        Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )


def load_recipe(name_or_file: str | Path) -> dict[str, Any]:
    """Read a recipe.

    Args:
        name_or_file: Name of a recipe of the package, or a file: YAML, or the `settings.json` of a
            run.

    Returns:
        Field names and values, with `recipe` set to the name of the recipe.

    Raises:
        SettingsError: There is no such recipe, or it is not a YAML mapping.
    """
    path = Path(name_or_file)
    if path.suffix in {".yaml", ".yml", ".json"}:
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
        reason = " ".join(str(error).split())
        raise SettingsError(f"{path}: not YAML: {reason}") from error
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: a recipe must be a mapping from settings to values")
    return {"recipe": path.stem, **values}
