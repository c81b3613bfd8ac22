"""Targets of the barcode loss, used as embeddings: python benchmarks/barcode_targets.py.

The target of `training/batches/barcode_targets.py` is itself a vector per barcode. Its 1-NN genus
accuracy on unseen species tells which target is worth learning, without any training:
- queries `val_unseen`, references `train`;
- queries `held-out species`: one barcode each of every seventh species of `train` that shares its
  genus with another; references are all other species of `train`. These are more species than in
  `val_unseen`, so the result depends less on chance;
- with `--queries test_unseen`, the clusters of `test` and `test_unseen` by average linkage too.
Writes result records and prints a table.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from barcodemae.dataset import dataset_hash, read_splits
from barcodemae.eval.probe.average_linkage import (
    average_linkage_clusters,
    average_linkage_protocol,
)
from barcodemae.eval.probe.clustering import PROTOCOLS, score_clusters
from barcodemae.eval.probe.scores import score_predictions
from barcodemae.eval.report.records import ResultRecord, write_records
from barcodemae.eval.search.nearest import nearest_neighbors
from barcodemae.tokenization import BarcodeFrame
from barcodemae.training.batches.barcode_targets import (
    Components,
    TargetSettings,
    estimate_components,
)
from barcodemae.training.batches.frame import (
    estimate_frame,
    find_starts,
    placed_letters,
    sample_rows,
)
from barcodemae.training.batches.reader import BarcodeReader


K = 6
SEED = 0
HELD_OUT_SHARE = 1 / 7
REFERENCES, HELD_OUT = "train", "held-out species of train"
CLUSTERING = PROTOCOLS["barcodemae"]  # its splits and labels
CHOICES = "val_unseen"  # split on which choices are made; only with it, held-out species are used

REPORTED = "test_unseen"  # with it, clusters are measured too


@dataclass(frozen=True)
class Barcodes:
    """Labelled barcodes in the common frame.

    Attributes:
        framed: Base codes by site of the frame, (N, W).
        genus: Genus of each barcode, (N,).
        species: Species of each barcode, (N,).
    """

    framed: NDArray[np.uint8]
    genus: NDArray[np.str_]
    species: NDArray[np.str_]

    def select(self, rows: NDArray[np.int64]) -> "Barcodes":
        """Return the barcodes of some rows."""
        return Barcodes(self.framed[rows], self.genus[rows], self.species[rows])


def framed_letters(
    reader: BarcodeReader, rows: NDArray[np.int64], frame: BarcodeFrame
) -> NDArray[np.uint8]:
    """Return the base codes of some barcodes in the frame, (N, W)."""
    return placed_letters(reader, rows, find_starts(reader, rows, frame))


def read_framed(data: Path, split: str, frame: BarcodeFrame) -> Barcodes:
    """Read a split and bring its barcodes into the frame."""
    reader = BarcodeReader.from_dataset(data, [split], k=K)
    labels = read_splits(data, [split], ("genus", "species")).to_pandas().fillna("")
    framed = framed_letters(reader, np.arange(len(reader)), frame)
    return Barcodes(framed, labels["genus"].to_numpy(str), labels["species"].to_numpy(str))


def hold_out(barcodes: Barcodes) -> tuple[Barcodes, Barcodes]:
    """Hold out whole species that share their genus with another.

    Returns:
        Barcodes of the other species, and one barcode of each held-out species.
    """
    generator = np.random.default_rng(SEED)
    names, first, species = np.unique(barcodes.species, return_index=True, return_inverse=True)
    genus = barcodes.genus[first]  # (species,)
    _, genus_index, species_per_genus = np.unique(genus, return_inverse=True, return_counts=True)
    has_relatives = (species_per_genus[genus_index] > 1) & (names != "") & (genus != "")
    is_held_out = has_relatives & (generator.random(len(names)) < HELD_OUT_SHARE)
    rest = barcodes.select(np.flatnonzero(~is_held_out[species]))
    chosen = [generator.choice(np.flatnonzero(species == s)) for s in np.flatnonzero(is_held_out)]
    queries = barcodes.select(np.array(chosen))
    return rest, queries.select(np.flatnonzero(np.isin(queries.genus, rest.genus)))


def candidates() -> Iterator[tuple[str, TargetSettings]]:
    """Yield name and settings of the targets to compare."""
    for cost in (1.0, 2.0, 5.0, 17.0):
        for whitening in (0.0, 0.25, 0.5):
            name = f"transversion cost {cost:g}, whitening {whitening:g}, 512 components"
            yield (
                name,
                TargetSettings(num_components=512, whitening=whitening, transversion_cost=cost),
            )
    for cost in (1.0, 5.0):
        name = f"transversion cost {cost:g}, whitening 0.25, 768 components"
        yield name, TargetSettings(num_components=768, whitening=0.25, transversion_cost=cost)
    for whitening in (0.0, 0.25):
        for relatives in (0.125, 0.25, 0.5):
            settings = TargetSettings(
                num_components=512,
                whitening=whitening,
                transversion_cost=5.0,
                relatives_whitening=relatives,
            )
            name = f"transversion cost 5, whitening {whitening:g}, relatives {relatives:g}"
            yield f"{name}, 512 components", settings


def pool(parts: Sequence[Barcodes]) -> Barcodes:
    """Put sets of barcodes together, without those that have no genus."""
    whole = Barcodes(
        np.concatenate([part.framed for part in parts]),
        np.concatenate([part.genus for part in parts]),
        np.concatenate([part.species for part in parts]),
    )
    return whole.select(np.flatnonzero(whole.genus != ""))


def clustered_genera(components: Components, barcodes: Barcodes) -> ResultRecord:
    """Measure how clusters in the space of the components agree with genera."""
    genera = barcodes.genus.tolist()
    clusters = average_linkage_clusters(components(barcodes.framed), genera, CLUSTERING)
    score = score_clusters(genera, clusters)
    return ResultRecord(
        model="",
        dataset="",
        probe="zsc-average",
        metric="ami",
        value=score.value,
        low=score.low,
        high=score.high,
        architecture="letters, no network",
        counts={"rows": len(genera), "labels": len(set(genera))},
    )


def nearest_genus(components: Components, queries: Barcodes, references: Barcodes) -> ResultRecord:
    """Measure 1-NN genus accuracy in the space of the components."""
    found = nearest_neighbors(components(references.framed), components(queries.framed))
    scores = score_predictions(queries.genus.tolist(), references.genus[found.rows].tolist())
    score = scores["accuracy"]
    return ResultRecord(
        model="",
        dataset="",
        probe="1nn",
        metric="accuracy",
        value=score.value,
        low=score.low,
        high=score.high,
        architecture="letters, no network",
        counts={"references": len(references.genus), "queries": len(queries.genus)},
    )


def main(
    data: Annotated[Path, typer.Option(help="Prepared data set.")],
    json_file: Annotated[Path, typer.Option("--json", help="JSON file for the records.")],
    queries: Annotated[str, typer.Option(help="Split of unseen species.")] = CHOICES,
    only: Annotated[str, typer.Option(help="Only the target of this name.")] = "",
) -> None:
    """Compare targets."""
    training = BarcodeReader.from_dataset(data, ["pretrain", REFERENCES], k=K)
    frame = estimate_frame(training)
    framed_sample = framed_letters(training, sample_rows(training), frame)
    train = read_framed(data, REFERENCES, frame)
    unseen = read_framed(data, queries, frame)
    rest, held_out = hold_out(train)
    facts = {"dataset": data.name, "dataset_hash": dataset_hash(data), "seed": SEED}
    command = f"python benchmarks/barcode_targets.py --data {data.name}"
    records: list[ResultRecord] = []
    experiments = [(queries, unseen, train)]
    if queries == CHOICES:
        experiments.append((HELD_OUT, held_out, rest))
    pooled = None
    if queries == REPORTED:
        pooled = pool([read_framed(data, split, frame) for split in CLUSTERING.splits])
    typer.echo("| target | genus of | 1-NN (%) |\n| --- | --- | ---: |")
    for name, settings in candidates():
        if only and name != only:
            continue
        components = estimate_components(framed_sample, settings)
        for split, barcodes, references in experiments:
            record = nearest_genus(components, barcodes, references)
            protocol = {
                "rank": "genus",
                "references": REFERENCES,
                "queries": split,
                "neighbors": 1,
                "similarity": "cosine",
                **dataclasses.asdict(settings),
            }
            records.append(
                dataclasses.replace(record, model=name, protocol=protocol, command=command, **facts)
            )
            typer.echo(f"| {name} | {split} | {record.value:.2f} |")
        if pooled is not None:
            record = clustered_genera(components, pooled)
            protocol = {**average_linkage_protocol(CLUSTERING), **dataclasses.asdict(settings)}
            records.append(
                dataclasses.replace(record, model=name, protocol=protocol, command=command, **facts)
            )
            typer.echo(f"| {name} | AMI, average linkage | {record.value:.2f} |")
        write_records(json_file, records)


if __name__ == "__main__":
    typer.run(main)
