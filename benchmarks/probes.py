"""Speed and memory of the probes at the size of BIOSCAN-5M: python benchmarks/probes.py --json F.

1-NN of 3,401 queries among 118,051 references, and zero-shot clustering of 21,763 barcodes into
3,600 clusters, on random vectors of width 768 in groups, like the barcodes of species. Measured
are search and clustering alone, with the vectors in the memory; benchmarks/embed.py times
embedding. Records that are in the file already are not measured again, so the two probes may be run
at different times; `--shrink 20` tries the program in seconds.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from measure import PeakMemory, seconds, show
from numpy.typing import NDArray

from barcodemae.eval.probe.clustering import PROTOCOLS, zero_shot_clusters
from barcodemae.eval.search.nearest import nearest_neighbors
from barcodemae.files import write_json


WIDTH = 768
NUM_REFERENCES, NUM_QUERIES = 118_051, 3_401
NUM_CLUSTERED, NUM_SPECIES = 21_763, 3_600


def grouped(
    num_rows: int, num_groups: int, generator: np.random.Generator
) -> tuple[NDArray[np.float32], list[str]]:
    """Return random vectors (N, D) around the centres of groups, and the group of each."""
    centres = generator.standard_normal((num_groups, WIDTH), dtype=np.float32)
    groups = generator.integers(num_groups, size=num_rows)
    noise = generator.standard_normal((num_rows, WIDTH), dtype=np.float32)
    return centres[groups] + 0.5 * noise, [str(group) for group in groups]


def search(share: int, generator: np.random.Generator) -> tuple[Callable[[], object], int, int]:
    """Prepare the 1-NN probe: function to time, number of queries, number of references."""
    num_references, num_queries = NUM_REFERENCES // share, NUM_QUERIES // share
    references, _ = grouped(num_references, NUM_SPECIES // share, generator)
    queries, _ = grouped(num_queries, NUM_SPECIES // share, generator)
    return lambda: nearest_neighbors(references, queries), num_queries, num_references


def clustering(share: int, generator: np.random.Generator) -> tuple[Callable[[], object], int, int]:
    """Prepare the clustering probe: function to time, number of rows, number of clusters."""
    num_rows, num_species = NUM_CLUSTERED // share, NUM_SPECIES // share
    vectors, species = grouped(num_rows, num_species, generator)
    protocol = PROTOCOLS["barcodemae"]
    return lambda: zero_shot_clusters(vectors, species, protocol, seed=42), num_rows, num_species


JOBS = {"1nn": search, "zsc": clustering}


def main(
    only: Annotated[str, typer.Option(help="1nn, zsc, or both, comma-separated.")] = "1nn,zsc",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the records.")] = None,
    shrink: Annotated[int, typer.Option(min=1, help="Use one in so many rows.")] = 1,
) -> None:
    """Time the probes."""
    device = torch.device("cpu")
    kept = json_file is not None and json_file.is_file()
    records: list[dict[str, Any]] = json.loads(json_file.read_text()) if kept else []
    for name in only.split(","):
        job, rows, against = JOBS[name](shrink, np.random.default_rng(0))
        facts = {"probe": name, "rows": rows, "against": against, "width": WIDTH}
        facts["threads"] = torch.get_num_threads()
        if any(facts.items() <= record.items() for record in records):
            continue
        with PeakMemory(device) as memory:
            elapsed = seconds(job, device)
        records.append({**facts, "seconds": elapsed, "peak_memory_gib": memory.bytes / 2**30})
        if json_file is not None:
            write_json(json_file, records)
    show(records, "probes; UMAP compiles itself within zsc")


if __name__ == "__main__":
    typer.run(main)
