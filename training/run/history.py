"""The history of a run: measurements by step, stored as JSON and drawn as curves.

In: measurements of the training loop. Out: `history.json` (a list of records, each with `step`)
and `loss.png`. Guarded by tests/training/run/test_history.py.
"""

import json
from pathlib import Path
from typing import Any

from barcodemae.files import whole_file, write_text


class History:
    """The records of one run, in order of steps.

    Attributes:
        records: One dictionary per measurement; training records hold `loss`, validation records
            `val_loss` and `val_accuracy`.
    """

    def __init__(self, records: list[dict[str, Any]] | None = None) -> None:
        self.records = list(records or [])

    def add(self, **record: float) -> None:
        """Append one record."""
        self.records.append(record)

    def column(self, name: str) -> tuple[list[float], list[float]]:
        """Return the steps and the values of the records that hold `name`."""
        rows = [record for record in self.records if name in record]
        return [row["step"] for row in rows], [row[name] for row in rows]

    def save(self, path: Path) -> None:
        """Write `history.json`, completely or not at all."""
        lines = ",\n".join(json.dumps(record) for record in self.records)
        write_text(path, f"[\n{lines}\n]\n")

    def plot(self, path: Path) -> None:
        """Draw the loss and the masked-token accuracy of training and validation by step."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 3.6), layout="constrained")
        panels = figure.subplots(1, 2)
        for panel, name, title in (
            (panels[0], "loss", "masked cross-entropy (nats)"),
            (panels[1], "accuracy", "masked-token accuracy (%)"),
        ):
            for column, label in ((name, "training"), (f"val_{name}", "validation")):
                steps, values = self.column(column)
                if steps:
                    marker = "o" if column.startswith("val_") else None
                    panel.plot(steps, values, label=label, marker=marker, markersize=3)
            panel.set(xlabel="step", title=title)
            panel.spines[["top", "right"]].set_visible(False)
            if panel.lines:
                panel.legend(frameon=False, loc="upper right")
        with whole_file(path) as file:
            figure.savefig(file, dpi=150)
