"""The progress display of a training run, on stderr of the main process.

On a terminal it is a live bar; elsewhere one plain line per measurement, so that log files stay
readable. Guarded by tests/training/run/test_progress.py.
"""

from types import TracebackType
from typing import Any, Self

from accelerate import Accelerator
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


LABELS = {
    "loss": ("loss", "{:.3f}"),
    "accuracy": ("acc", "{:.1f} %"),
    "val_loss": ("val loss", "{:.3f}"),
    "val_accuracy": ("val acc", "{:.1f} %"),
    "barcodes_per_second": ("barcodes/s", "{:.0f}"),
}


class TrainingProgress:
    """A progress bar with the latest measurements, the time spent and the time left.

    Args:
        num_steps: Number of steps of the whole run.
        done: Number of steps done before.
        accelerator: Accelerator of the run; only its main process shows anything.
    """

    def __init__(self, num_steps: int, done: int, accelerator: Accelerator) -> None:
        self.num_steps = num_steps
        self.console = Console(stderr=True, quiet=not accelerator.is_main_process)
        self.is_live = self.console.is_terminal
        self._values: dict[str, Any] = {}
        self._bar = Progress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.is_live,
        )
        self._task = self._bar.add_task("", total=num_steps, completed=done)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def advance(self) -> None:
        """Advance the bar by one step."""
        self._bar.advance(self._task)

    def show(self, step: int, values: dict[str, Any]) -> None:
        """Show a measurement."""
        self._values |= {name: value for name, value in values.items() if name in LABELS}
        text = self.describe()
        self._bar.update(self._task, description=text)
        if not self.is_live:
            self.console.print(
                f"step {step}/{self.num_steps}  {text}", highlight=False, soft_wrap=True
            )

    def describe(self) -> str:
        """Write the latest measurements as one line of text."""
        parts = [
            f"{label} {form.format(self._values[name])}"
            for name, (label, form) in LABELS.items()
            if name in self._values
        ]
        return "  ".join(parts)
