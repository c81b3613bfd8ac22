"""How much of what the layers add is worth keeping: python benchmarks/layers_share.py --data DATA.

An encoder with site embeddings gives the sum over a barcode's letters and what its layers add.
1-NN genus accuracy of `val_unseen`, whole barcodes and windows of them, among whole barcodes of
`train`, at several shares of that part: 0 is the table alone. `layers_share` of the recipe
`compact` was chosen by it. The vectors are computed once with and once without that part.

In: a prepared data set and a model that keeps a known share. Out: a file of records, and a table.
Guarded by tests/benchmarks/test_layers_share.py.
"""

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from barcodemae.dataset import dataset_hash
from barcodemae.eval.embed.cpu.encoder import pack
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.embed.model_embedder import AutoModelEmbedder
from barcodemae.eval.probe.probe_data import read_labelled
from barcodemae.eval.probe.scores import Score, score_predictions
from barcodemae.eval.report.records import ResultRecord, write_records
from barcodemae.eval.search.nearest import nearest_neighbors


SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
WINDOWS_BP = (400, 313, 200, 150, 100)
SEED = 0
PROTOCOL = {
    "rank": "genus",
    "references": "train",
    "queries": "val_unseen",
    "neighbors": 1,
    "similarity": "cosine",
}
Floats = NDArray[np.float32]
Names = NDArray[np.str_]


@dataclass(frozen=True)
class Parts:
    """Embeddings in two parts.

    Attributes:
        table: Without what the layers add, (N, D).
        layers: What the layers add, all of it, (N, D).
    """

    table: Floats
    layers: Floats

    def at(self, share: float) -> Floats:
        """Add a share of what the layers add, (N, D)."""
        return self.table + np.float32(share) * self.layers


def without_layers(embedder: AutoModelEmbedder) -> AutoModelEmbedder:
    """Copy an embedder whose layers add nothing."""
    model: Any = copy.deepcopy(embedder.model)
    with torch.no_grad():
        for parameter in model.widening.parameters():
            parameter.zero_()
    return replace(embedder, model=model, packed=pack(model))


def windows(sequences: list[str], length: int) -> list[str]:
    """Cut one window out of each barcode, at a random place."""
    highest = np.array([max(1, len(text) - length) for text in sequences])
    starts = np.random.default_rng((SEED, length)).integers(0, highest)
    return [text[at : at + length] for text, at in zip(sequences, starts, strict=True)]


def embed_parts(embedder: AutoModelEmbedder, sequences: list[str], kept: float) -> Parts:
    """Embed sequences with and without what the layers add; the model keeps a share of it."""
    table = without_layers(embedder).embed(sequences, progress=True)
    return Parts(table, (embedder.embed(sequences, progress=True) - table) / np.float32(kept))


def measure(
    parts: Parts, labels: list[str], references: Parts, names: Names, share: float
) -> Score:
    """Measure the 1-NN accuracy of queries at one share."""
    found = nearest_neighbors(references.at(share), parts.at(share))
    return score_predictions(labels, names[found.rows].tolist())["accuracy"]


def main(
    data: Annotated[Path, typer.Option(help="Prepared data set.")],
    json_file: Annotated[Path, typer.Option("--json", help="JSON file for the records.")],
    model: Annotated[str, typer.Option(help="Model with site embeddings.")] = "default",
    kept: Annotated[float, typer.Option(help="Share that this model keeps.")] = 0.5,
) -> None:
    """Measure the accuracy at every share."""
    embedder = load_embedder(model, device="cpu")
    assert isinstance(embedder, AutoModelEmbedder)
    train, unseen = (read_labelled(data, [split], "genus") for split in ("train", "val_unseen"))
    cuts = {"whole": list(unseen.sequences)}
    cuts |= {f"{length} bp": windows(cuts["whole"], length) for length in WINDOWS_BP}
    references = embed_parts(embedder, list(train.sequences), kept)
    queries = {name: embed_parts(embedder, texts, kept) for name, texts in cuts.items()}
    names, labels = np.array(train.labels), list(unseen.labels)
    shared: dict[str, Any] = {
        "dataset": data.resolve().name,
        "probe": "1nn",
        "metric": "accuracy",
        "architecture": embedder.architecture,
        "weights": embedder.fingerprint,
        "dataset_hash": dataset_hash(data),
        "seed": SEED,
        "counts": {"references": len(names), "queries": len(labels)},
        "command": f"python benchmarks/layers_share.py --data {data.name} "
        f"--model {Path(model).name} --kept {kept:g}",
    }
    records = []
    typer.echo("| share | " + " | ".join(queries) + " |\n| ---: |" + " ---: |" * len(queries))
    for share in SHARES:
        scores = {
            name: measure(parts, labels, references, names, share)
            for name, parts in queries.items()
        }
        cells = " | ".join(f"{score.value:.1f}" for score in scores.values())
        typer.echo(f"| {share:g} | {cells} |")
        records += [
            ResultRecord(
                model=f"share {share:g}",
                value=score.value,
                low=score.low,
                high=score.high,
                protocol=PROTOCOL | {"queries_cut_to": name, "layers_share": share},
                **shared,
            )
            for name, score in scores.items()
        ]
    write_records(json_file, records)


if __name__ == "__main__":
    typer.run(main)
