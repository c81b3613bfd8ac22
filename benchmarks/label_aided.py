"""Whether labels help the bundled recipe: python benchmarks/label_aided.py --data DATA ...

The recipe of the bundled model with a further loss that names the genus from the mean (the idea of
BarcodeMAE+), at several weights, beside the bundled model itself, which is that recipe without. A
fifth of the genera lose their labels before training, so that each model is asked about genera that
it saw labelled and about others. Measured are
- 1-NN genus of `val_unseen` among `train`, also apart for the two kinds of genera;
- AMI of average linkage on `val` and `val_unseen`;
- novelty, as area under the ROC curve: how well the cosine to the nearest of `train` tells barcodes
  of its species (`val`) from other species of its genera (`val_unseen`), and these from barcodes of
  genera it lacks (`other_heldout`).

In: a prepared data set. Out: in OUT, the data set without those labels and the runs, which go on
where they were; a file of records. Guarded by tests/benchmarks/test_label_aided.py.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
import torch
import typer
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from transformers.utils.logging import disable_progress_bar

from barcodemae.dataset import dataset_hash, read_splits
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.probe.average_linkage import average_linkage_clusters
from barcodemae.eval.probe.clustering import PROTOCOLS, score_clusters
from barcodemae.eval.probe.probe_data import LabelledRows, read_labelled
from barcodemae.eval.probe.scores import Score, interval, score_predictions
from barcodemae.eval.report.records import ResultRecord, write_records
from barcodemae.eval.search.nearest import Neighbors, nearest_neighbors
from barcodemae.files import staged_folder
from barcodemae.training.export.folders import ENCODER_FOLDER
from barcodemae.training.pretrain import pretrain
from barcodemae.training.run.pretrain_settings import PretrainConfig
from barcodemae.training.run.run_settings import load_recipe


RECIPE = "compact"
TRAINED_ON = ("pretrain", "train")
SHARE_WITHOUT = 0.2  # of the genera of `train`
SEED = 0
PROBE = "label-aided"  # in records; no column of a leaderboard
NUM_RESAMPLES = 200
Floats = NDArray[np.float32]
Cosines = NDArray[np.float64]


def genera_without_labels(data: Path) -> list[str]:
    """Draw the genera that lose their labels, among those of `train`, sorted."""
    names = pc.unique(read_splits(data, ["train"], ("genus",))["genus"]).drop_null().to_pylist()
    drawn = np.random.default_rng(SEED).permutation(sorted(names))
    return sorted(drawn[: round(SHARE_WITHOUT * len(names))].tolist())


def write_without_labels(data: Path, folder: Path, genera: Sequence[str]) -> None:
    """Copy a data set in which some genera have no name; nothing is done if it is there."""
    if folder.is_dir():
        return
    with staged_folder(folder) as staging:
        shutil.copytree(data, staging, dirs_exist_ok=True)
        for split in TRAINED_ON:
            file = staging / f"{split}.parquet"
            table = pyarrow.parquet.read_table(data / file.name)
            is_hidden = pc.is_in(table["genus"], pa.array(genera, pa.string()))
            named = pc.if_else(is_hidden, pa.scalar(None, pa.string()), table["genus"])
            at = table.schema.get_field_index("genus")
            pyarrow.parquet.write_table(table.set_column(at, "genus", named), file)


@dataclass(frozen=True)
class Asked:
    """What every model is asked.

    Attributes:
        train: References.
        seen: Barcodes of their species, with the genus as label.
        unseen: Barcodes of other species of their genera.
        foreign: Barcodes of other genera.
        without: Genera that were trained without a label.
    """

    train: LabelledRows
    seen: LabelledRows
    unseen: LabelledRows
    foreign: LabelledRows
    without: Sequence[str]

    @classmethod
    def read(cls, data: Path, without: Sequence[str]) -> "Asked":
        """Read the partitions."""
        parts = ("train", "val", "val_unseen", "other_heldout")
        return cls(*(read_labelled(data, [part], "genus") for part in parts), without)


def novelty(near: Neighbors, far: Neighbors) -> Score:
    """Compute the AUROC (%) of telling the second from the first by their nearest cosine."""
    generator = np.random.default_rng(SEED)

    def auroc(first: Cosines, second: Cosines) -> float:
        is_new = np.repeat([False, True], [len(first), len(second)])
        return 100 * float(roc_auc_score(is_new, -np.concatenate([first, second])))

    both = near.similarity, far.similarity
    resampled = [
        auroc(*(some[generator.integers(len(some), size=len(some))] for some in both))
        for _ in range(NUM_RESAMPLES)
    ]
    return Score(auroc(*both), *interval(np.array(resampled)))


def measure(model: str, asked: Asked) -> tuple[dict[str, Score], str]:
    """Measure one model.

    Args:
        model: Folder of an encoder, or the bundled model's name.
        asked: What it is asked.

    Returns:
        Metric -> score in percent; and the fingerprint of the weights.
    """
    embedder = load_embedder(model, device="cpu")
    parts = (asked.train, asked.seen, asked.unseen, asked.foreign)
    train, seen, unseen, foreign = (embedder.embed(list(part.sequences)) for part in parts)
    near_seen, near, far = (nearest_neighbors(train, some) for some in (seen, unseen, foreign))

    # Name the genus of unseen species, of genera trained with and without a label.
    truth = np.array(asked.unseen.labels)
    named = np.array(asked.train.labels)[near.rows]
    is_without = np.isin(truth, asked.without)
    scores = {
        f"1-NN, {which}": score_predictions(truth[rows].tolist(), named[rows].tolist())["accuracy"]
        for which, rows in (
            ("all", np.ones_like(is_without)),
            ("genera with a label", ~is_without),
            ("genera without", is_without),
        )
    }

    # Cluster both kinds of species together, and tell what is new.
    labels = [*asked.seen.labels, *asked.unseen.labels]
    vectors: Floats = np.concatenate([seen, unseen])
    clusters = average_linkage_clusters(vectors, labels, PROTOCOLS["barcodemae"])
    scores["AMI, average linkage"] = score_clusters(labels, clusters)
    scores["AUROC, new species"] = novelty(near_seen, near)
    scores["AUROC, new genera"] = novelty(near, far)
    return scores, embedder.fingerprint


def train(weight: float, labels: Path, out: Path, changes: dict[str, Any]) -> str:
    """Train the recipe with a weight of the genus loss, and return the folder of its encoder."""
    output = out / f"weight-{weight:g}"
    if not (output / ENCODER_FOLDER).is_dir():
        recipe = load_recipe(RECIPE) | {"recipe": RECIPE, "taxon_loss_weight": weight} | changes
        config = PretrainConfig.resolve(
            recipe,
            data=labels,
            output=output,
            seed=SEED,
            train_splits=",".join(TRAINED_ON),
            validate_every=1_000_000,
        )
        pretrain(config, resume=True)
    return str(output / ENCODER_FOLDER)


def main(
    data: Annotated[Path, typer.Option(help="Prepared data set.")],
    out: Annotated[Path, typer.Option(help="Folder of the runs.")],
    json_file: Annotated[Path, typer.Option("--json", help="JSON file for the records.")],
    weights: Annotated[str, typer.Option(help="Weights of the genus loss.")] = "0.1,1",
    threads: Annotated[int, typer.Option(help="Threads; the weights depend on them.")] = 1,
    settings: Annotated[
        str, typer.Option(help="JSON object of settings to change, for rehearsals.")
    ] = "{}",
) -> None:
    """Train the recipe with and without labels, and measure what they change."""
    disable_progress_bar()
    torch.set_num_threads(threads)
    without = genera_without_labels(data)
    write_without_labels(data, out / "data", without)
    asked = Asked.read(data, without)
    shared: dict[str, Any] = {
        "dataset": data.resolve().name,
        "dataset_hash": dataset_hash(data),
        "probe": PROBE,
        "protocol": {"rank": "genus", "references": "train", "genera_without": len(without)},
        "training_seed": SEED,
        "counts": {"references": len(asked.train.labels), "queries": len(asked.unseen.labels)},
        "command": f"python benchmarks/label_aided.py --data {data.name} --weights {weights}",
    }
    records: list[ResultRecord] = []
    for weight in (0.0, *map(float, weights.split(","))):
        changes = json.loads(settings)
        encoder = train(weight, out / "data", out, changes) if weight else "default"
        scores, fingerprint = measure(encoder, asked)
        records += [
            ResultRecord(
                model=f"genus loss, weight {weight:g}" if weight else "bundled, no labels",
                metric=metric,
                value=score.value,
                low=score.low,
                high=score.high,
                weights=fingerprint,
                **shared,
            )
            for metric, score in scores.items()
        ]
        write_records(json_file, records)
        shown = ", ".join(f"{name} {score.value:.1f}" for name, score in scores.items())
        typer.echo(f"weight {weight:g}: {shown}")


if __name__ == "__main__":
    typer.run(main)
