"""The record of a run: numbers by step, kept as JSON, drawn as curves.

In: what the loop measures. Out: `history.json` (a list of records, each with `step`) and
`loss.png`. Guarded by tests/training/run/test_history.py.
"""

import json
from pathlib import Path
from typing import Any


class History:
    """Records of one run in step order.

    Attributes:
        records: One dict per measurement; training records hold `loss`, validation records
            `val_loss` and `val_accuracy`.
    """

    def __init__(self, records: list[dict[str, Any]] | None = None) -> None:
        self.records = list(records or [])

    def add(self, **record: float) -> None:
        """Append one record."""
        self.records.append(record)

    def column(self, name: str) -> tuple[list[float], list[float]]:
        """Steps and values of the records that hold `name`."""
        rows = [record for record in self.records if name in record]
        return [row["step"] for row in rows], [row[name] for row in rows]

    def save(self, path: Path) -> None:
        """Write `history.json`, whole or not at all."""
        temporary = path.with_name(f".{path.name}.tmp")
        lines = ",\n".join(json.dumps(record) for record in self.records)
        temporary.write_text(f"[\n{lines}\n]\n")
        temporary.replace(path)

    def plot(self, path: Path) -> None:
        """Draw loss and masked accuracy against steps, training and validation."""
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
                panel.legend(frameon=False)
        figure.savefig(path, dpi=150)
