"""How long the probes take at BIOSCAN-5M's size: python benchmarks/probes.py --json FILE.

1-NN of 3,401 queries among 118,051 references, and zero-shot clustering of 21,763 barcodes into
3,600 units, on random vectors of width 768 that come in groups as barcodes of species do. Time and
peak memory of the searching and clustering alone; embedding is timed by benchmarks/embed.py.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from measure import PeakMemory, seconds, show
from numpy.typing import NDArray

from barcodemae.eval.clustering import PROTOCOLS, zero_shot_clusters
from barcodemae.eval.nearest import nearest_neighbors


WIDTH = 768
NUM_REFERENCES, NUM_QUERIES = 118_051, 3_401
NUM_CLUSTERED, NUM_SPECIES = 21_763, 3_600


def grouped(
    num_rows: int, num_groups: int, generator: np.random.Generator
) -> tuple[NDArray[np.float32], list[str]]:
    """Vectors (N, D) around random centres, and the group of each."""
    centres = generator.standard_normal((num_groups, WIDTH), dtype=np.float32)
    groups = generator.integers(num_groups, size=num_rows)
    noise = generator.standard_normal((num_rows, WIDTH), dtype=np.float32)
    return centres[groups] + 0.5 * noise, [str(group) for group in groups]


def main(
    only: Annotated[str, typer.Option(help="1nn, zsc, or both, comma-separated.")] = "1nn,zsc",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the records.")] = None,
) -> None:
    """Time the probes."""
    device = torch.device("cpu")
    generator = np.random.default_rng(0)
    references, _ = grouped(NUM_REFERENCES, NUM_SPECIES, generator)
    queries, _ = grouped(NUM_QUERIES, NUM_SPECIES, generator)
    clustered, species = grouped(NUM_CLUSTERED, NUM_SPECIES, generator)
    jobs = {
        "1nn": (lambda: nearest_neighbors(references, queries), NUM_QUERIES, NUM_REFERENCES),
        "zsc": (
            lambda: zero_shot_clusters(clustered, species, PROTOCOLS["barcodemae"], seed=42),
            NUM_CLUSTERED,
            NUM_SPECIES,
        ),
    }
    records: list[dict[str, Any]] = []
    for name in only.split(","):
        job, rows, against = jobs[name]
        with PeakMemory(device) as memory:
            elapsed = seconds(job, device)
        row = {"probe": name, "rows": rows, "against": against, "width": WIDTH}
        records.append({**row, "seconds": elapsed, "peak_memory_gib": memory.bytes / 2**30})
    show(records, f"probes at BIOSCAN-5M's size, {torch.get_num_threads()} threads")
    if json_file is not None:
        json_file.write_text(json.dumps(records, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
