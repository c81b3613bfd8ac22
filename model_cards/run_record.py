"""Record of a training run: its settings, its duration, its loss curve.

In: `settings.json`, `history.json` and, after fine-tuning, `test.json` of a run, all optional; for
the weights of the bundled model, those that come with it. Out: a `RunRecord` for the card, and a
plot of the loss. Guarded by tests/model_cards/test_run_record.py.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from barcodemae import default_model
from barcodemae.errors import DataError
from barcodemae.files import whole_file
from barcodemae.model_cards.model_folder import WEIGHTS, ModelFolder


SETTINGS_FILE = "settings.json"
HISTORY_FILE = "history.json"
TEST_FILE = "test.json"
EARLIER_STAGES = "*_stage"  # folders with the same two files of the runs before the last one
# Name in settings.json -> label on the card. Sizes of the model are read from its config.
SHOWN_SETTINGS = {
    "recipe": "recipe",
    "data": "data set",
    "model": "fine-tuned from",
    "rank": "rank that is named",
    "freeze_encoder": "encoder kept as it was",
    "train_splits": "trained on",
    "train_split": "trained on",
    "val_split": "validated on",
    "frame": "barcodes brought into a common frame",
    "mask_ratio": "k-mers hidden",
    "scored_ratio": "k-mers predicted, of all",
    "window_fraction": "barcodes of which only a window is shown",
    "barcode_loss_weight": "weight of predicting the whole barcode from the mean",
    "barcode_whitening": "whitening of the barcode's components",
    "barcode_transversion_cost": "cost of a transversion, in transitions",
    "barcode_relatives_whitening": "whitening of what differs between relatives",
    "initial_weights": "weights it started from",
    "exact_masks": "the same count hidden in every barcode",
    "random_offset": "random start of the reading frame",
    "epochs": "epochs",
    "max_steps": "steps asked for",
    "batch_size": "barcodes per step",
    "learning_rate": "learning rate per 64 barcodes",
    "weight_decay": "weight decay",
    "warmup_fraction": "share of steps before the OneCycle peak",
    "dropout": "dropout",
    "precision": "precision",
    "seed": "seed",
}


@dataclass(frozen=True)
class RunRecord:
    """Record of a training run, as far as the card needs it.

    Attributes:
        settings: Label on the card -> value of each setting, in order; empty if unknown.
        history: Records by step; empty if unknown.
        earlier_seconds: Duration of the earlier stages that the run continued, s.
        test: Content of `test.json` after fine-tuning; empty without it.
        start: Hub name of the model that was fine-tuned; None if it had none, or after
            pre-training.
    """

    settings: dict[str, str] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    earlier_seconds: float = 0.0
    test: dict[str, Any] = field(default_factory=dict)
    start: str | None = None

    def last(self, name: str) -> Any:
        """Return the last value of a column of the history, None if there is none."""
        values = [record[name] for record in self.history if name in record]
        return values[-1] if values else None

    @property
    def seconds(self) -> float | None:
        """Duration of the run including earlier stages, s; None if unknown."""
        seconds = self.last("seconds")
        return None if seconds is None else float(seconds) + self.earlier_seconds

    @property
    def hours(self) -> float | None:
        """Duration of the run including earlier stages, h; None if unknown."""
        return None if self.seconds is None else self.seconds / 3600

    @property
    def duration(self) -> str | None:
        """Duration of the run including earlier stages, in words; None if unknown."""
        seconds = self.seconds
        if seconds is None:
            return None
        if seconds < 120:
            return f"{seconds:.0f} s"
        return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def find_run(folder: ModelFolder) -> Path:
    """Find the folder with the record of a model's training run.

    Returns:
        The model folder itself; or that of a version of the bundled model, if the folder has no
        record but the same weights, as after `barcodemae export --model default`.
    """
    if any((folder.path / name).exists() for name in (SETTINGS_FILE, HISTORY_FILE)):
        return folder.path
    weights = folder.fingerprint()
    for bundled in default_model.bundled_folders():
        if any(bundled.glob(WEIGHTS)) and ModelFolder(bundled).fingerprint() == weights:
            return bundled
    return folder.path


def read_run(folder: Path) -> RunRecord:
    """Read the record of a run from its folder.

    Raises:
        DataError: A file exists but is not what training writes.
    """
    settings = read_json(folder / SETTINGS_FILE, dict)
    history = read_json(folder / HISTORY_FILE, list)
    if not all(isinstance(record, dict) and "step" in record for record in history):
        raise DataError(folder / HISTORY_FILE, "is not a list of records by step")
    skipped = "epochs" if settings.get("max_steps") else "max_steps"
    return RunRecord(
        {
            label: describe(name, settings[name])
            for name, label in SHOWN_SETTINGS.items()
            if settings.get(name) is not None and name != skipped
        },
        history,
        sum(read_run(stage).seconds or 0.0 for stage in sorted(folder.glob(EARLIER_STAGES))),
        read_json(folder / TEST_FILE, dict),
        hub_name(settings.get("model")),
    )


def hub_name(model: Any) -> str | None:
    """Return a model's name if it is one of the Hub, `owner/name`, and not a folder."""
    is_name = isinstance(model, str) and re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", model)
    return model if is_name and not Path(model).exists() else None


def read_json(path: Path, kind: type) -> Any:
    """Read a JSON object or list; a missing file is an empty one.

    Args:
        path: File to read.
        kind: `dict` or `list`.

    Raises:
        DataError: The file is not JSON, or of the other kind.
    """
    if not path.exists():
        return kind()
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataError(path, f"cannot be read: {error}") from error
    if not isinstance(content, kind):
        raise DataError(path, f"is not a JSON {'object' if kind is dict else 'list'}")
    return content


def describe(name: str, value: Any) -> str:
    """Format the value of a setting; only the last part of a path is shown, the rest is private."""
    if name == "data" or (name == "model" and hub_name(value) is None):
        return PurePath(str(value)).name
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value) or "none"


def draw_loss(history: list[dict[str, Any]], path: Path, what: str) -> bool:
    """Plot training and validation loss against steps.

    Args:
        history: Records by step.
        what: What the loss is.
        path: PNG file to write.

    Returns:
        Whether the history holds a loss; without one no file is written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.2), layout="constrained")
    panel = figure.subplots()
    for name, label, marker in (("loss", "training", None), ("val_loss", "validation", "o")):
        points = [(record["step"], record[name]) for record in history if name in record]
        if points:
            panel.plot(*zip(*points, strict=True), label=label, marker=marker, markersize=3)
    if not panel.lines:
        return False
    panel.set(xlabel="step", ylabel=f"{what} (nats)")
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, loc="upper right")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the version that matplotlib would add, the same history gives the same file.
    with whole_file(path) as file:
        figure.savefig(file, dpi=150, metadata={"Software": None})
    return True
